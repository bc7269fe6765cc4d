import { AIMessage, ToolMessage } from "@langchain/core/messages";
import { z } from "zod";
import { threadIdFor } from "../../agent/thread-id.ts";
import { ahead } from "../../meter.ts";
import type { KeptRow } from "../../store/row-driver.ts";
import type { AnswerCase, CaseUser, Story } from "../cases.ts";
import {
  type Laboratory,
  MEMORY_ARMS,
  type MemoryArm,
  openTrialAssistant,
  type Subject,
  type TrialAssistant,
} from "../laboratory.ts";
import { type Found, failTrial, runTrial } from "../run-trial.ts";
import type { Unit } from "../run-units.ts";
import { checkDraft } from "../scorers/draft.ts";
import type { Judge } from "../scorers/judge.ts";
import { checkMemory, viewOfMemory } from "../scorers/memory.ts";
import { checkToolCalls } from "../scorers/tool-calls.ts";
import { checkLabel, nameCase, repeated, unlearnt } from "./triage.ts";

/** What trials of answers read and ask beside the laboratory. */
export interface AnswerParts {
  laboratory: Laboratory;
  users: ReadonlyMap<string, CaseUser>;
  /** What a user's memory has in an arm. */
  rowsFor(userId: string, arm: MemoryArm): Promise<readonly KeptRow[]>;
  judge: Judge;
}

/** A unit for each case in each arm, each in a store of its own. */
export function answersUnits(
  cases: readonly AnswerCase[],
  { repeat, arms = MEMORY_ARMS }: { repeat: number; arms?: readonly MemoryArm[] },
  { laboratory, users, rowsFor, judge }: AnswerParts,
): Unit[] {
  return arms.flatMap((arm) =>
    repeated(cases, repeat).flatMap(([one, turn]) => {
      const user = users.get(one.user);
      if (!user) return [];
      const run = async () => {
        const name = { suite: "answers" as const, arm, ...nameCase(one), repeat: turn };
        const rows = await rowsFor(user.id, arm).catch(unlearnt);
        if (rows instanceof Error) return [await failTrial(name, rows)];
        return [await answerTrial(name, one, { laboratory, user, rows, judge })];
      };
      return { key: `answers/${arm}/${one.id}#${turn}`, trials: 1, run };
    }),
  );
}

/** What is expected of one answer. */
export type ExpectedAnswer = Pick<AnswerCase, "email" | "label" | "tools" | "answer"> & {
  memory?: AnswerCase["memory"];
};

/** Has the whole graph handle an email on a store that has the given rows, and checks what came of it. */
export async function answerTrial(
  name: Parameters<typeof runTrial>[0],
  expected: ExpectedAnswer | Story["later"][number],
  { laboratory, user, rows, judge }: { laboratory: Laboratory; user: Subject; rows: readonly KeptRow[]; judge: Judge },
) {
  await using assistant = await openTrialAssistant(laboratory, user, rows);
  return runTrial(name, () => answer(assistant, user.id, expected, judge));
}

async function answer(
  assistant: TrialAssistant,
  userId: string,
  expected: ExpectedAnswer | Story["later"][number],
  judge: Judge,
): Promise<Found> {
  const { email } = expected;
  const before = viewOfMemory(await assistant.memory.readAll(userId));
  const at = { configurable: { user_id: userId, thread_id: threadIdFor(userId, email) } };
  const state = await assistant.graph.invoke({ email_input: { ...email } }, at);
  const after = viewOfMemory(await assistant.memory.readAll(userId));
  const draft = state.draft === null ? null : withoutNote(state.draft.body);
  const wantsDraft = expected.label === "respond";
  const checks = [
    checkLabel(expected.label, state.label),
    ...(expected.tools ? checkToolCalls(expected.tools, callsOf(state.messages)) : []),
    ...(wantsDraft ? checkDraft(expected.answer, draft) : []),
    // What a judge costs is no cost of the email.
    ...(wantsDraft ? await ahead(() => judge({ email, draft, criteria: expected.answer })).result : []),
    ...("memory" in expected && expected.memory ? checkMemory(expected.memory, before, after) : []),
  ];
  return { got: state.label, checks, draft };
}

/** The calls that tools took; one that was refused and made again in another way counts as the latter only. */
function callsOf(messages: readonly unknown[]): { name: string; args: Record<string, unknown> }[] {
  const refused = new Set(
    messages.flatMap((message) =>
      ToolMessage.isInstance(message) && /^(?:Refused|Failed):/.test(message.text) ? [message.tool_call_id] : [],
    ),
  );
  const calls = messages.flatMap((message) => (AIMessage.isInstance(message) ? (message.tool_calls ?? []) : []));
  return calls
    .filter(({ id }) => id === undefined || !refused.has(id))
    .map(({ name, args }) => ({ name, args: z.record(z.string(), z.unknown()).parse(args) }));
}

/** The stand-in ends each draft with a line in which it says that it is one; no criterion is about that. */
function withoutNote(draft: string): string {
  return draft.replace(/\n*^\[stand-in model: .*$/m, "").trimEnd();
}
