import { randomUUID } from "node:crypto";
import type { Item } from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import { hashText, type Prompts } from "../prompts.ts";
import { jsonEqual } from "../store/json-equal.ts";
import { threadNamespace, userNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import { addressText, type JsonObject } from "../store/row-driver.ts";
import { describeRemoved, type ForgottenThing, rewrittenThing, type TouchedThing } from "./forget-describe.ts";
import { MEMORY_PLACES, sortItems, type UserItems } from "./forget-items.ts";
import { replacePuts, rewritePrompts } from "./forget-prompts.ts";
import { memoryKey, type Rewriting, rewriteItem, spoiltIn, tombstone } from "./forget-rewrite.ts";
import { mapTexts } from "./forget-text.ts";
import type { ForgottenThread } from "./forget-threads.ts";
import type { Traces } from "./forget-traces.ts";
import { daysOf, MEMORY_DAYS, memoryRecordSchema } from "./memory-record.ts";
import { decisionRecordSchema } from "./records.ts";

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;

/** What a forgetting does: what goes, what only loses words, and the puts that do it, to be applied all or none. */
export interface ForgetPlan {
  removed: ForgottenThing[];
  rewritten: TouchedThing[];
  threads: ForgottenThread[];
  puts: ConditionalPut[];
  /** Items that are found by words alone until they are indexed again, since their text changed. */
  unindexed: number;
  traces: Traces;
}

/**
 * What stays of a forgetting: what was asked for, when, and how much went. `threads` are those still to be deleted;
 * `erased` says that the files hold nothing of it any more.
 */
export const forgetTombstoneSchema = z.looseObject({
  kind: z.literal("forget"),
  what: z.enum(["contact", "email", "memory"]),
  at: z.string(),
  removed: z.record(z.string(), z.number()),
  erased: z.boolean(),
  threads: z.array(z.string()).optional(),
});

/** See {@link forgetTombstoneSchema}. */
export type ForgetTombstone = z.infer<typeof forgetTombstoneSchema>;

/** What a plan is made from. */
export interface PlanInput {
  userId: string;
  items: readonly Item[];
  traces: Traces;
  threads: readonly ForgottenThread[];
  prompts: Prompts;
  isConditional: boolean;
  time: string;
}

/**
 * Plans how what was traced is forgotten: pure, so that it can be shown before it is done. The plan has no puts where
 * nothing is left to forget.
 */
export function planForgetting({
  userId,
  items,
  traces,
  threads,
  prompts,
  isConditional,
  time,
}: PlanInput): ForgetPlan {
  const at = userNamespaces(userId);
  const user = sortItems(at, items);
  const clean = (text: string) => traces.address?.without(text) ?? text;
  const labels = new Set(threads.map(({ threadId }) => threadNamespace(userId, threadId).at(-1) ?? ""));
  const by: Rewriting = { traces, drafts: spoiltDrafts(user, traces), threads: labels, time };
  const keyOf = keysWithout(items, clean);
  const revised = rewritePrompts(user, { at, traces, clean, keyOf, prompts, isConditional, time });
  const puts = revised.flatMap((each) => each.puts);
  const done = new Set(puts.map(({ namespace, key }) => addressText(namespace, key)));
  const gone: { name: keyof UserItems; item: Item }[] = [];
  const rewritten: TouchedThing[] = [];
  let unindexed = 0;
  for (const name of namesOf(user)) {
    for (const item of user[name]) {
      if (done.has(addressText(item.namespace, item.key))) continue;
      const { namespace, key, value: expected } = item;
      const kept = rewriteItem(name, item, by);
      if (kept === null) {
        puts.push({ namespace, key, value: null, expected });
        gone.push({ name, item });
        continue;
      }
      const value = mapTexts(kept, clean);
      const newKey = memoryKey(key, expected, value) ?? keyOf(item);
      const isTaken = newKey !== key && user[name].some((each) => each.key === newKey);
      if (jsonEqual(value, expected) && newKey === key) continue;
      const how = { index: indexOf(name, value), ...timeLeft(name, item) };
      puts.push(...(isTaken ? [{ namespace, key, value: null, expected }] : replacePuts(item, newKey, value, how)));
      if (how.index !== false) unindexed += 1;
      if (value["kind"] === "forgotten") gone.push({ name, item });
      else rewritten.push(rewrittenThing(name, item, jsonEqual(kept, expected) ? undefined : kept, traces));
    }
  }
  // Who learns from forgotten feedback at this moment finds a receipt, and gives up.
  const receipts = new Set(user.receipts.map(({ key }) => key));
  for (const { name, item } of gone) {
    if (name !== "feedback" || receipts.has(item.key)) continue;
    const value = tombstone({}, time);
    puts.push({ namespace: at.receipts, key: keyOf(item), value, expected: null, index: false });
  }
  rewritten.push(
    ...revised.map(
      ({ name, versions, rules }): TouchedThing => ({
        ...{ group: "prompts", key: name, text: `${versions} versions` },
        why: rules > 0 ? `rules that are forgotten: ${rules}` : "they name or quote what is forgotten",
      }),
    ),
  );
  const removed = describeRemoved(user, gone, traces);
  if (puts.length > 0 || threads.length > 0) {
    const counts = { ...countBy(removed), rewritten: rewritten.length, threads: threads.length };
    const value: ForgetTombstone = {
      ...{ kind: "forget", what: traces.target.what, at: time, removed: counts, erased: false },
      ...(threads.length > 0 ? { threads: threads.map(({ threadId }) => threadId) } : {}),
    };
    // Last, since it vouches for the others.
    puts.push({ namespace: at.tombstones, key: `forget-${randomUUID()}`, value, index: false });
  }
  return { removed, rewritten, threads: [...threads], puts, unindexed, traces };
}

function namesOf(user: UserItems): (keyof UserItems)[] {
  return Object.keys(user).filter((name): name is keyof UserItems => name in user);
}

/** The emails whose drafts may repeat what is forgotten. */
function spoiltDrafts(user: UserItems, traces: Traces): Set<string> {
  const drafts = user.decisions.flatMap(({ key, value }) => {
    const decision = decisionRecordSchema.safeParse(value).data;
    return decision && spoiltIn(decision, traces).draft ? [key] : [];
  });
  return new Set(drafts);
}

/** Keys without an address; each item has one of its own in its namespace. */
function keysWithout(items: readonly Item[], clean: (text: string) => string): (item: Item) => string {
  const taken = new Set(items.map(({ namespace, key }) => addressText(namespace, key)));
  const found = new Map<Item, string>();
  for (const item of items) {
    const key = clean(item.key);
    if (key === item.key) continue;
    const isTaken = taken.has(addressText(item.namespace, key));
    const free = isTaken ? `${key}-${hashText(item.key)}` : key;
    taken.add(addressText(item.namespace, free));
    found.set(item, free);
  }
  return (item) => found.get(item) ?? item.key;
}

function indexOf(name: keyof UserItems, value: JsonObject): false | string[] {
  if (name === "examples") return ["email"];
  return name === "collection" && value["kind"] !== "conversation" ? ["content"] : false;
}

/** The time to live that an item has left: a plain put would keep it for good. */
function timeLeft(name: keyof UserItems, { value, updatedAt }: Item): { ttlMinutes?: number } {
  const record = memoryRecordSchema.safeParse(value).data;
  if (!record || !MEMORY_PLACES.some((place) => place === name)) return {};
  const days = name === "pending" || name === "superseded" ? MEMORY_DAYS[name] : daysOf(record);
  if (days === undefined) return {};
  const passed = Math.floor((Date.now() - new Date(updatedAt).getTime()) / MINUTE_MS);
  return { ttlMinutes: Math.max(1, days * DAY_MINUTES - passed) };
}

function countBy(things: readonly ForgottenThing[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { group } of things) counts[group] = (counts[group] ?? 0) + 1;
  return counts;
}
