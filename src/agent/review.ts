import { randomUUID } from "node:crypto";
import { z } from "zod";
import { cleanText, oneLine, senderAddress } from "../email.ts";
import { ERROR_CODES } from "../errors.ts";
import { canonicalJson } from "../memory/canonical-json.ts";
import { receiptSchema } from "../memory/feedback-record.ts";
import type { ProposedFact } from "../memory/records.ts";
import { DECISION_TYPES, type DecisionType } from "../memory/review-log.ts";
import { type Action, type ActionName, actionSchema, isClockTime, renderAction, startOf } from "./actions.ts";
import { checkEdit } from "./gated-tools.ts";

const MESSAGE_LIMIT = 4_000;
const words = z.string().transform((text) => cleanText(text).trim());
const message = words.refine((text) => text.length <= MESSAGE_LIMIT, {
  message: `expected at most ${MESSAGE_LIMIT} characters`,
});
const learn = z.boolean().optional();

/**
 * The user's answer to one action, as LangChain's human-in-the-loop middleware has it. `reject` ends the email, and its
 * message teaches; `respond` tells the model what to do differently, or answers its question. `learn: false` is an answer
 * from which nothing is learnt.
 */
export const decisionSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("approve"), learn }),
  z.strictObject({ type: z.literal("edit"), args: z.record(z.string(), z.unknown()), learn }),
  z.strictObject({ type: z.literal("reject"), message: message.optional(), learn }),
  z.strictObject({
    type: z.literal("respond"),
    message: message.refine((text) => text !== "", "expected what to do differently, or the answer"),
    learn,
  }),
]);

/** See {@link decisionSchema}. */
export type Decision = z.infer<typeof decisionSchema>;

/** What was done of an approval: the file that was written, or was there already. */
export const actedSchema = z.object({
  kind: z.enum(["email", "event"]),
  status: z.enum(["written", "known"]),
  path: z.string(),
});

/**
 * An answer and what became of it. `given_as` names this giving of it: of two who say the same at once, one is first.
 * `given` is on its way; `refused` came after another answer to the same action, and nothing was done. `args` are those
 * that are acted on: the action's, or the user's edit of them.
 */
export const answerSchema = z.object({
  action: actionSchema,
  decision: decisionSchema,
  args: z.record(z.string(), z.unknown()),
  given_as: z.string(),
  status: z.enum(["given", "done", "refused"]),
  acted: actedSchema.nullable(),
  /** Why an approval could not be carried out; the action waits again. */
  failure: z
    .object({ code: z.enum(ERROR_CODES), message: z.string() })
    .nullable()
    .default(null),
  receipt: receiptSchema.nullable(),
  note: z.string().nullable(),
});

/** See {@link answerSchema}. */
export type Answer = z.infer<typeof answerSchema>;

/** Whether an answer was cut off before it was done and learnt from. Doing it again changes nothing. */
export function isUnfinished({ status, receipt, note }: Answer): boolean {
  return status === "given" || (status === "done" && receipt === null && note === null);
}

const ALLOWED: Record<ActionName, readonly DecisionType[]> = {
  notify: ["approve", "reject", "respond"],
  write_email: ["approve", "edit", "reject", "respond"],
  schedule_meeting: ["approve", "edit", "reject", "respond"],
  ask_user: ["respond", "reject"],
};

/** How an action can be answered. The model can be told something only about the email that the thread is at. */
export function allowedDecisions(action: Action, currentAttempt: string): DecisionType[] {
  return ALLOWED[action.name].filter((type) => type !== "respond" || action.attempt === currentAttempt);
}

/** What an answer would teach, in a sentence for people; what exactly, a dry run of learning tells. */
export function teaches(action: Action): Partial<Record<DecisionType, string>> {
  const changes = "the change to memory that your words ask for, if any";
  switch (action.name) {
    case "write_email":
      return {
        approve: "that this email was rightly answered (an example for triage)",
        edit: "how you write, from the words you put in",
        reject: `with a message: ${changes}`,
        respond: changes,
      };
    case "schedule_meeting":
      return { reject: `with a message: ${changes}`, respond: changes };
    case "ask_user":
      return { respond: changes };
    case "notify":
      return {
        approve: `that this email was rightly labelled ${action.label ?? "notify"} (an example for triage)`,
        reject: "that such an email is to be ignored (an example for triage, and a rule when your labels agree)",
        respond: "that such an email is to be answered (an example for triage, and a rule when your labels agree)",
      };
  }
}

/**
 * The value of the interrupt: `actionRequests` and `reviewConfigs` as the human-in-the-loop middleware of LangChain has
 * them, with the ids that answers name; and its first action once more in the shape of the older Agent Inbox
 * (`HumanInterrupt`). `problem` is why the last answer was none.
 */
export function renderRequest(
  actions: readonly Action[],
  { proposals, problem, attempt }: { proposals: readonly ProposedFact[]; problem: string | undefined; attempt: string },
) {
  const requests = actions.map((action) => {
    const { id, name, args, expires_at, email } = action;
    const about = `About the email of ${senderAddress(email)}, "${oneLine(cleanText(email.subject))}".`;
    return { name, args, description: `${about}\n\n${renderAction(action)}`, id, email_id: email.id, expires_at };
  });
  const [first] = actions;
  const may = (type: DecisionType) => first !== undefined && allowedDecisions(first, attempt).includes(type);
  return {
    ...(problem === undefined ? {} : { problem }),
    actionRequests: requests,
    reviewConfigs: actions.map((action) => ({
      actionName: action.name,
      allowedDecisions: allowedDecisions(action, attempt),
    })),
    learning: actions.map(teaches),
    memories: proposals.map(({ content }) => ({ content: cleanText(content) })),
    action_request: { action: first?.name ?? "", args: first?.args ?? {} },
    config: {
      allow_accept: may("approve"),
      allow_edit: may("edit"),
      allow_respond: may("respond"),
      allow_ignore: may("reject"),
    },
    description: `${problem === undefined ? "" : `${problem}\n\n`}${requests[0]?.description ?? ""}`,
  };
}

const editedSchema = z.object({ name: z.string().optional(), args: z.record(z.string(), z.unknown()) });
const middlewareSchema = z.object({
  decisions: z.array(
    z.strictObject({
      type: z.enum(DECISION_TYPES),
      id: z.string().optional(),
      message: z.string().nullish(),
      editedAction: editedSchema.optional(),
      edited_action: editedSchema.optional(),
      args: z.record(z.string(), z.unknown()).optional(),
      learn,
    }),
  ),
});
const inboxSchema = z.array(
  z.object({
    type: z.enum(["accept", "ignore", "response", "edit"]),
    args: z
      .union([
        z.null(),
        z.string(),
        z.object({ action: z.string().optional(), args: z.record(z.string(), z.unknown()) }),
      ])
      .optional(),
  }),
);
const INBOX_TYPES = { accept: "approve", ignore: "reject", response: "respond", edit: "edit" } as const;
const EXPECTED =
  'expected { decisions: [{ type: "approve" | "edit" | "reject" | "respond", … }] }, one for each action in order or each with its id';

/** Answers that were checked, or why they are none, in a line for who gave them. */
export type Parsed = { answers: Answer[] } | { problem: string };

/**
 * Reads the value a review is resumed with: the decisions of the human-in-the-loop middleware, or the responses of the
 * Agent Inbox. Without ids there must be one for each action, in order; the Agent Inbox answers the first. All are good, or
 * none is taken.
 */
export function parseAnswers(
  value: unknown,
  actions: readonly Action[],
  { now, attempt }: { now: Date; attempt: string },
): Parsed {
  const inbox = inboxSchema.safeParse(Array.isArray(value) ? value : [value]);
  const raw = inbox.success ? { decisions: inbox.data.map(fromInbox) } : value;
  const parsed = middlewareSchema.safeParse(raw);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { problem: `not an answer: ${issue?.path.join(".") || "value"}: ${issue?.message}; ${EXPECTED}` };
  }
  const { decisions } = parsed.data;
  const isNamed = decisions.every(({ id }) => id !== undefined);
  if (decisions.length === 0 || (!isNamed && !inbox.success && decisions.length !== actions.length)) {
    return { problem: `${actions.length} wait for a decision, and ${decisions.length} came; ${EXPECTED}` };
  }
  const answers: Answer[] = [];
  for (const [i, given] of decisions.entries()) {
    const action = given.id === undefined ? actions[i] : actions.find(({ id }) => id === given.id);
    if (!action) return { problem: `action ${given.id ?? i + 1}: does not wait (any more); answer what is asked now` };
    if (answers.some((each) => each.action.id === action.id)) return { problem: `action ${action.id}: answered twice` };
    const { args, message: words, type, learn: teach } = given;
    const edited = (given.editedAction ?? given.edited_action)?.args ?? args;
    const decision = {
      type,
      ...(edited === undefined ? {} : { args: edited }),
      ...(words ? { message: words } : {}),
      ...(teach === undefined ? {} : { learn: teach }),
    };
    const checked = checkDecision(decision, action, { now, attempt });
    if ("problem" in checked) return { problem: `${action.name}: ${checked.problem}` };
    answers.push(checked);
  }
  return { answers };
}

/** Checks one decision about an action; what it is of is not trusted. */
export function checkDecision(
  given: unknown,
  action: Action,
  { now, attempt }: { now: Date; attempt: string },
): Answer | { problem: string } {
  const parsed = decisionSchema.safeParse(given);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { problem: `not a decision: ${issue?.path.join(".") || "type"}: ${issue?.message}` };
  }
  const decision = parsed.data;
  const allowed = allowedDecisions(action, attempt);
  if (!allowed.includes(decision.type)) {
    return { problem: `${decision.type}: not an answer to this; expected ${allowed.join(", ")}` };
  }
  const answer = {
    action,
    decision,
    args: action.args,
    given_as: randomUUID(),
    status: "given",
    acted: null,
    failure: null,
    receipt: null,
    note: null,
  } as const;
  // A meeting that is past can be moved.
  const isDone = decision.type === "approve" || (decision.type === "edit" && action.name === "write_email");
  if (isDone && now.getTime() >= Date.parse(action.expires_at)) {
    return { problem: `expired on ${action.expires_at}: reject it, or run the email again` };
  }
  if (decision.type !== "edit") return answer;
  const checked = checkEdit(action.name, decision.args, action.args, action.email);
  if ("refused" in checked) return { problem: `edit: ${checked.refused}` };
  if (canonicalJson(checked.args) === canonicalJson(action.args)) {
    return { problem: "edit: changes nothing; approve it, to have it done as it is" };
  }
  const moved = { args: checked.args, time_zone: action.time_zone };
  if (action.name === "schedule_meeting" && !isClockTime(moved)) {
    return { problem: `edit: clocks in ${action.time_zone} skip that start` };
  }
  if (action.name === "schedule_meeting" && startOf(moved) <= now) return { problem: "edit: start is in the past" };
  return { ...answer, args: checked.args };
}

function fromInbox({ type, args }: z.infer<typeof inboxSchema>[number]) {
  const isText = typeof args === "string";
  return {
    type: INBOX_TYPES[type],
    ...(isText ? { message: args } : {}),
    ...(!isText && args ? { args: args.args } : {}),
  };
}
