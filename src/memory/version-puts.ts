import { hashText, type LearnablePrompt } from "../prompts.ts";
import type { UserNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import type { Change } from "./feedback-record.ts";
import { liveVersion, restoreOperation, type Version } from "./history.ts";
import { promptPut, type UserPrompt } from "./procedural.ts";
import { applyOperations, evidenceOf, type Operation, type VersionRecord } from "./versions.ts";

/** What would be done to one prompt. */
export interface PromptChange {
  prompt: LearnablePrompt;
  operations: Operation[];
}

/** A prompt of a user with its versions, oldest first. */
export interface PromptHistory {
  prompt: UserPrompt;
  versions: Version[];
}

/** Where a version comes from. */
export type Origin = Pick<VersionRecord, "author" | "feedback" | "gate" | "accepted" | "restores" | "model" | "at">;

/**
 * The puts of one more version: its record, that of an edit by another program before it, and the head. Records have
 * keys of their own, so that no writer takes the place of another's.
 */
export function versionPuts(
  at: UserNamespaces,
  { prompt, versions }: PromptHistory,
  operations: readonly Operation[],
  origin: Origin,
): ConditionalPut[] {
  const live = liveVersion(versions);
  const version = live.number + 1;
  // The first version says which default it grew from, since releases change theirs.
  const start = live.number === 0 ? [restoreOperation({ base: prompt.base, rules: [] }, { base: "", rules: [] })] : [];
  const record: VersionRecord = {
    prompt: prompt.name,
    version,
    parent: live.number,
    operations: [...start, ...operations],
    ...origin,
  };
  const state = applyOperations(live.state, record.operations);
  const adopted = live.isRecorded || !live.record ? [] : [live.record];
  return [
    ...[...adopted, record].map((each): ConditionalPut => {
      const cause = each.feedback ?? `${each.version}-${hashText(JSON.stringify(each))}`;
      const key = `${prompt.name}:${cause}${each.accepted ? ":accepted" : ""}`;
      return { namespace: at.versions, key, value: each, index: false };
    }),
    promptPut(prompt, at.prompts, { ...state, version }),
  ];
}

/** Those operations that still change something; `known` are rules that the prompt has in the same words. */
export function newOperations({ versions }: PromptHistory, operations: readonly Operation[]) {
  const { rules } = liveVersion(versions).state;
  const texts = new Set(rules.map(({ text }) => text.toLowerCase()));
  const fresh: Operation[] = [];
  const known: Operation[] = [];
  for (const each of operations) {
    const old = "id" in each ? rules.find(({ id }) => id === each.id)?.text.toLowerCase() : undefined;
    if (each.op === "restore") fresh.push(each);
    else if (each.op === "retire") {
      if (old === undefined) continue;
      fresh.push(each);
      texts.delete(old);
    } else {
      const text = each.rule.text.toLowerCase();
      const isKnown = texts.has(text);
      (isKnown ? known : fresh).push(each);
      if (!isKnown && old !== undefined) texts.delete(old);
      texts.add(text);
    }
  }
  return { fresh, known };
}

/** One operation as a receipt names it, with what became of it. */
export function ruleChange(
  prompt: string,
  { versions }: PromptHistory,
  operation: Operation,
  outcome: { status: "live" | "proposed" | "known"; version?: number; proposal?: number },
): Change {
  const rule = operation.op === "add" || operation.op === "replace" ? operation.rule : undefined;
  const id = operation.op === "replace" || operation.op === "retire" ? operation.id : undefined;
  const was = liveVersion(versions).state.rules.find((each) => each.id === id)?.text ?? null;
  const { status, version = null, proposal = null } = outcome;
  return {
    kind: "rule",
    status,
    prompt,
    action: operation.op === "restore" ? "replace" : operation.op,
    text: rule?.text ?? null,
    was,
    evidence: evidenceOf([operation]).join(", "),
    version,
    proposal,
  };
}
