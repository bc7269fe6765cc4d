import type { Item } from "@langchain/langgraph-checkpoint";
import { jsonEqual } from "../store/json-equal.ts";
import { renderState, type UserPrompt } from "./procedural.ts";
import {
  applyOperations,
  inOrder,
  type Operation,
  type PromptState,
  type VersionRecord,
  versionRecordSchema,
} from "./versions.ts";

/**
 * One version of a prompt with all that is known of it. Version 0 is the default and has no record; `isRecorded` is
 * false for an edit by another program that no change of ours came after yet.
 */
export interface Version {
  number: number;
  state: PromptState;
  text: string;
  record: VersionRecord | null;
  isRecorded: boolean;
}

/** A version record as the store has it, with the time the store took it. */
export interface LoggedVersion {
  record: VersionRecord;
  createdAt: Date;
}

/** Parses the log of versions; items of another shape are passed over. */
export function readLog(items: readonly Item[]): LoggedVersion[] {
  return items.flatMap(({ value, createdAt }) => {
    const record = versionRecordSchema.safeParse(value);
    return record.success ? [{ record: record.data, createdAt: new Date(createdAt) }] : [];
  });
}

/**
 * The versions of one prompt, oldest first, folded from its log and its head record. Where conditional puts hold, the
 * head is the truth, and a head to which the log does not lead was written by another program: it is adopted as one
 * more version. Elsewhere (`isConditional` false) a head may have lost a writer's change, so the log is the truth, and
 * only a text that is not ours is adopted, with what was logged after it.
 */
export function versionsOf(head: UserPrompt, log: readonly LoggedVersion[], isConditional: boolean): Version[] {
  const own = log.filter(({ record }) => record.prompt === head.name);
  const records = inOrder(own.map(({ record }) => record));
  const start: PromptState = { base: head.defaultText, rules: [] };
  const versions: Version[] = [{ ...toVersion(0, start), record: null, isRecorded: true }];
  let [state, number] = [start, 0];
  for (const record of records) {
    state = applyOperations(state, record.operations);
    number = Math.max(record.version, number + 1);
    versions.push({ ...toVersion(number, state), record, isRecorded: true });
  }
  const isLed = jsonEqual({ ...state }, { base: head.base, rules: head.rules });
  const isForeign = isConditional ? !isLed : head.isEdited || (records.length === 0 && !isLed);
  if (!isForeign) return versions;
  const since = isConditional ? [] : own.filter(({ createdAt }) => head.updatedAt && createdAt > head.updatedAt);
  const later = since.flatMap(({ record }) => record.operations).filter(({ op }) => op !== "restore");
  // A line in the words of a rule that was learnt is that rule, with its origin.
  const rules = head.rules.map((rule) => state.rules.find(({ text }) => text === rule.text) ?? rule);
  const adopted = applyOperations({ base: head.base, rules }, later);
  const record: VersionRecord = {
    prompt: head.name,
    version: Math.max(number + 1, isConditional ? head.version : 0),
    parent: number,
    operations: [restoreOperation(adopted, state)],
    author: { actor: "another program", channel: "store" },
    feedback: null,
    gate: null,
    accepted: false,
    restores: null,
    model: null,
    at: head.updatedAt?.toISOString() ?? "",
  };
  return [...versions, { ...toVersion(record.version, adopted), record, isRecorded: false }];
}

/** The operation that makes `to` of `from`; rules that others add meanwhile stay. */
export function restoreOperation(to: PromptState, from: PromptState): Operation {
  return { op: "restore", base: to.base, rules: [...to.rules], seen: from.rules.map(({ id }) => id) };
}

function toVersion(number: number, state: PromptState): Pick<Version, "number" | "state" | "text"> {
  return { number, state, text: renderState(state) };
}

/** A prompt as its newest version has it. @see versionsOf */
export function foldHead(head: UserPrompt, log: readonly LoggedVersion[], isConditional: boolean): UserPrompt {
  const { number, state, text } = liveVersion(versionsOf(head, log, isConditional));
  // What another program wrote is read as it stands, whatever is adopted of it.
  return { ...head, ...state, text: head.isEdited && isConditional ? head.text : text, version: number };
}

/** The live version of a prompt: the last. @throws Error for an empty list, which {@link versionsOf} never gives. */
export function liveVersion(versions: readonly Version[]): Version {
  const live = versions.at(-1);
  if (!live) throw new Error("a prompt has at least its default version");
  return live;
}

/**
 * The version to which undoing goes from `version`: its parent, or the parent of the one that a rollback restored, so
 * that undoing again goes further back. Undefined for the default.
 */
export function undoTarget(versions: readonly Version[], version: Version): Version | undefined {
  let at = version;
  // Each step goes to an older version, so it ends.
  while (at.record?.restores !== null && at.record?.restores !== undefined) {
    const restored = versions.find(({ number }) => number === at.record?.restores);
    if (!restored || restored.number >= at.number) break;
    at = restored;
  }
  return versions.findLast(({ number, text }) => number < at.number && text !== version.text);
}

/** The version that each rule came with, by rule id. A rollback carries rules that are older, so the first counts. */
export function originsOf(versions: readonly Version[]): Map<string, Version> {
  const origins = new Map<string, Version>();
  for (const version of versions) {
    for (const each of version.record?.operations ?? []) {
      const rules = each.op === "restore" ? each.rules : each.op === "retire" ? [] : [each.rule];
      for (const { id } of rules) if (!origins.has(id)) origins.set(id, version);
    }
  }
  return origins;
}
