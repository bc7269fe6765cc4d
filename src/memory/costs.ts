import { randomUUID } from "node:crypto";
import { z } from "zod";
import { addUsage, NO_USAGE, type Usage, usageSchema } from "../meter.ts";
import { hashText } from "../prompts.ts";
import { type UserNamespaces, userNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import type { StoreAccess } from "./access.ts";
import { timeToLive } from "./episodic.ts";

/** Days that a cost is kept: a year can be compared with the one before it, month by month. */
export const COST_DAYS = 400;

const DAY_MS = 24 * 60 * 60_000;

/** What models are used for. */
export const COST_KINDS = ["email", "feedback", "extraction", "remember", "chat", "review"] as const;

/** By what costs can be summed: the day or month (UTC) they arose, what they are for, or the model. */
export const COST_GROUPS = ["day", "month", "kind", "model"] as const;

/** One of {@link COST_GROUPS}. */
export type CostGroup = (typeof COST_GROUPS)[number];

const costRecordSchema = z.looseObject({
  kind: z.enum(COST_KINDS),
  model: z.string(),
  usage: usageSchema,
  at: z.iso.datetime({ precision: 3 }),
  email_hash: z.string().optional(),
});

/** One cost as it is kept: numbers, a time, and at most the hash of the id of an email, so that it holds no one's text. */
export type CostRecord = z.infer<typeof costRecordSchema>;

/** What used models once. `at` is ISO 8601; `email_id` names the email it was for, where it was for one. */
export interface Cost {
  kind: (typeof COST_KINDS)[number];
  model: string;
  usage: Usage;
  at: string;
  email_id?: string | undefined;
}

/** The costs of a group; `per_email` is over those that were for an email, null where none was. */
export interface CostSum {
  name: string;
  /** How many different emails they were for. */
  emails: number;
  usage: Usage;
  per_email: Usage | null;
}

/**
 * The put that keeps a cost: not indexed, under a key of its own, in the order of time. It belongs into the batch that
 * writes what the cost was for, so that it takes no round trip.
 */
export function costPut(
  namespaces: UserNamespaces,
  { kind, model, usage, at: time, email_id: emailId }: Cost,
): ConditionalPut {
  const at = new Date(time).toISOString();
  const value = {
    ...{ kind, model, usage: { ...usage }, at },
    ...(emailId === undefined ? {} : { email_hash: hashText(emailId) }),
  } satisfies CostRecord;
  const key = `${at}-${randomUUID().slice(0, 8)}`;
  return { namespace: namespaces.costs, key, value, index: false, ...timeToLive(COST_DAYS) };
}

/**
 * What models cost each user. Methods throw MnemailError("store") when the store fails.
 */
export class Costs {
  readonly #access: StoreAccess;

  constructor(access: StoreAccess) {
    this.#access = access;
  }

  /** Keeps a cost by itself, for what failed and wrote nothing else. */
  async add(userId: string, cost: Cost): Promise<void> {
    await this.#access.batch([costPut(userNamespaces(userId), cost)]);
  }

  /** The costs of a user, oldest first: from `since` on, up to `until` and without it. */
  async list(userId: string, { since, until }: { since?: Date; until?: Date } = {}): Promise<CostRecord[]> {
    const items = await this.#access.all(userNamespaces(userId).costs);
    const [from, to] = [since?.toISOString() ?? "", until?.toISOString()];
    return items
      .flatMap(({ value, updatedAt }) => {
        // Not every store knows a time to live.
        if (Date.now() - new Date(updatedAt).getTime() > COST_DAYS * DAY_MS) return [];
        return costRecordSchema.safeParse(value).data ?? [];
      })
      .filter(({ at }) => at >= from && (to === undefined || at < to))
      .sort((a, b) => (a.at < b.at ? -1 : Number(a.at > b.at)));
  }
}

/** Sums costs by group, groups in the order of their names, and all of them. */
export function sumCosts(records: readonly CostRecord[], by: CostGroup): { groups: CostSum[]; total: CostSum } {
  const groups = new Map<string, CostRecord[]>();
  for (const record of records) {
    const name = groupOf(record, by);
    const group = groups.get(name) ?? [];
    group.push(record);
    groups.set(name, group);
  }
  const names = [...groups.keys()].sort();
  return { groups: names.map((name) => sum(name, groups.get(name) ?? [])), total: sum("total", records) };
}

function groupOf({ kind, model, at }: CostRecord, by: CostGroup): string {
  if (by === "kind") return kind;
  if (by === "model") return model;
  return at.slice(0, by === "day" ? "YYYY-MM-DD".length : "YYYY-MM".length);
}

function sum(name: string, records: readonly CostRecord[]): CostSum {
  const ofEmails = records.filter(({ email_hash }) => email_hash !== undefined);
  const emails = new Set(ofEmails.map(({ email_hash }) => email_hash)).size;
  return {
    ...{ name, emails, usage: sumUsage(records) },
    per_email: emails === 0 ? null : divide(sumUsage(ofEmails), emails),
  };
}

function sumUsage(records: readonly CostRecord[]): Usage {
  return records.reduce((total, { usage }) => addUsage(total, usage), { ...NO_USAGE });
}

function divide(usage: Usage, by: number): Usage {
  const part = (name: keyof Usage) => Math.round((usage[name] / by) * 100) / 100;
  return {
    model_calls: part("model_calls"),
    input_tokens: part("input_tokens"),
    output_tokens: part("output_tokens"),
    embedding_calls: part("embedding_calls"),
    store_round_trips: part("store_round_trips"),
    ms: part("ms"),
  };
}
