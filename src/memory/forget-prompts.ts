import type { Item } from "@langchain/langgraph-checkpoint";
import { hashText, LEARNABLE_PROMPTS, type LearnablePrompt, type Prompts } from "../prompts.ts";
import { jsonEqual } from "../store/json-equal.ts";
import type { UserNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import type { UserItems } from "./forget-items.ts";
import { rewriteVersion } from "./forget-log.ts";
import { mapTexts } from "./forget-text.ts";
import type { Traces } from "./forget-traces.ts";
import { liveVersion, readLog, versionsOf } from "./history.ts";
import { promptPut, readPrompt } from "./procedural.ts";
import { applyOperations, inOrder, type PromptState, type VersionRecord, versionRecordSchema } from "./versions.ts";

/** A prompt that loses rules or words: what is put, and how many versions and rules that touches. */
export interface RewrittenPrompt {
  name: LearnablePrompt;
  puts: ConditionalPut[];
  versions: number;
  rules: number;
}

/** How prompts are rewritten: `clean` takes an address out of a text, `keyOf` gives an item's key without it. */
export interface PromptRewriting {
  at: UserNamespaces;
  traces: Traces;
  clean: (text: string) => string;
  keyOf: (item: Item) => string;
  prompts: Prompts;
  isConditional: boolean;
  time: string;
}

/**
 * Rewrites the logs of versions and the heads of the prompts that hold forgotten rules or words. All versions keep
 * their numbers, and one more is added, which has no operations and says how many rules are gone: there is nothing for
 * a rollback to revive.
 */
export function rewritePrompts(user: UserItems, options: PromptRewriting): RewrittenPrompt[] {
  return LEARNABLE_PROMPTS.flatMap((name) => rewritePrompt(name, user, options) ?? []);
}

function rewritePrompt(name: LearnablePrompt, user: UserItems, options: PromptRewriting): RewrittenPrompt | undefined {
  const { at, traces, clean, keyOf, prompts, isConditional, time } = options;
  const rewrite = (record: VersionRecord): VersionRecord =>
    versionRecordSchema.parse(mapTexts(rewriteVersion(record, traces), clean));
  const logged = user.versions.flatMap((item): { item: Item; record: VersionRecord }[] => {
    const record = versionRecordSchema.safeParse(item.value).data;
    return record?.prompt === name ? [{ item, record }] : [];
  });
  const headItem = user.prompts.find(({ key }) => key === name) ?? null;
  const head = readPrompt(name, headItem, prompts);
  const live = liveVersion(versionsOf(head, readLog(logged.map(({ item }) => item)), isConditional));
  // An edit by another program, which is in no log yet.
  const adopted = live.isRecorded ? null : live.record;
  const changed = logged.flatMap(({ item, record }) => {
    const rewritten = rewrite(record);
    return jsonEqual(rewritten, record) && keyOf(item) === item.key ? [] : [{ item, record: rewritten }];
  });
  const kept = adopted && rewrite(adopted);
  if (changed.length === 0 && jsonEqual(kept, adopted)) return undefined;
  const records = logged.map(({ item, record }) => changed.find((each) => each.item === item)?.record ?? record);
  const state = inOrder([...records, ...(kept ? [kept] : [])]).reduce<PromptState>(
    (folded, { operations }) => applyOperations(folded, operations),
    { base: head.defaultText, rules: [] },
  );
  const gone = new Set([...logged.map(({ record }) => record), ...(adopted ? [adopted] : [])].flatMap(rulesIn));
  const rules = [...gone].filter((id) => traces.rules.has(id)).length;
  const last: VersionRecord & { forgotten: number } = {
    ...{ prompt: name, version: live.number + 1, parent: live.number, operations: [] },
    ...{ author: { actor: "user", channel: "cli" }, feedback: null, gate: null, model: null, at: time },
    ...{ accepted: false, restores: null, forgotten: rules },
  };
  const newKey = (record: VersionRecord) => `${name}:${record.version}-${hashText(JSON.stringify(record))}`;
  const added = [...(kept ? [kept] : []), last];
  const { value, ...put } = promptPut(head, at.prompts, { ...state, version: last.version });
  return {
    name,
    versions: changed.length + (kept ? 1 : 0),
    rules,
    puts: [
      ...changed.flatMap(({ item, record }) => replacePuts(item, keyOf(item), record)),
      ...added.map(
        (each): ConditionalPut => ({
          ...{ namespace: at.versions, key: newKey(each), value: each, index: false },
        }),
      ),
      { ...put, value: value && mapTexts(value, clean) },
    ],
  };
}

function rulesIn({ operations }: VersionRecord): string[] {
  return operations.flatMap((each) => {
    if (each.op === "retire") return [];
    return each.op === "restore" ? each.rules.map(({ id }) => id) : [each.rule.id];
  });
}

/** The puts that give an item another value, and another key where that names what is forgotten. */
export function replacePuts(
  { namespace, key, value: expected }: Item,
  newKey: string,
  value: Record<string, unknown>,
  more: Pick<ConditionalPut, "index" | "ttlMinutes"> = { index: false },
): ConditionalPut[] {
  if (newKey === key) return [{ namespace, key, value, expected, ...more }];
  return [
    { namespace, key, value: null, expected },
    { namespace, key: newKey, value, expected: null, ...more },
  ];
}
