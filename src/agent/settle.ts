import { Send } from "@langchain/langgraph";
import { z } from "zod";
import { MnemailError, renderError } from "../errors.ts";
import type { Feedback } from "../learning/feedback.ts";
import type { Outcome } from "../learning/learn.ts";
import type { Outbox } from "../mail/outbox.ts";
import { canonicalJson } from "../memory/canonical-json.ts";
import type { Memory } from "../memory/memory.ts";
import { draftSchema, proposedEventSchema } from "../memory/records.ts";
import type { Claim } from "../memory/review-log.ts";
import { type Action, type ActionPlace, actionId, identify, outboxKey, renewAction, startOf } from "./actions.ts";
import { eventsOf } from "./answering.ts";
import { overwrite } from "./receive.ts";
import { ownAddress } from "./respond.ts";
import { type Answer, actedSchema, answerSchema, checkDecision } from "./review.ts";
import type { AssistantState } from "./state.ts";
import { feedbackOf } from "./teach.ts";

type State = typeof AssistantState.State;
type Update = typeof AssistantState.Update;

/** What answers of the user are carried out with. */
export interface SettlingParts {
  memory: Memory;
  outbox: Outbox | undefined;
  learn: ((userId: string, feedback: Feedback) => Promise<Pick<Outcome, "receipt">>) | undefined;
  now: () => Date;
}

/** The thread's actions as the review log has them. */
export function toWaiting(actions: readonly Action[], { threadId }: ActionPlace, onServer: boolean) {
  return actions.map(({ id, proposed_at: at, expires_at }) => ({
    ...{ id, thread_id: threadId, on_server: onServer, at, expires_at },
  }));
}

/**
 * Makes the answers that were given hold: of several to one action the first does. An action about which nobody was asked,
 * since its payload was changed in the checkpoint, goes on waiting and is asked about.
 *
 * @throws MnemailError("store") when the store fails; nothing holds then.
 */
export async function settle(
  state: State,
  place: ActionPlace,
  { memory, now }: SettlingParts,
  onServer: boolean,
): Promise<Update> {
  const given = state.answers.filter((each) => each.status === "given" && isAsGiven(each, place));
  const outcomes = await memory.reviews.claim(place.userId, given.map(claimOf), now().toISOString());
  const answers = given.flatMap((each, i): Answer[] => {
    const outcome = outcomes[i];
    if (outcome === undefined) return [];
    if (outcome === "claimed") return [{ ...each, status: "done", failure: lateFailure(each, state) }];
    const first = outcome.decided_at === undefined ? outcome.status : `${outcome.status} on ${outcome.decided_at}`;
    return [{ ...each, status: "refused", note: `decided otherwise before (${first}): nothing was done now` }];
  });
  const settled = new Set(answers.map(({ action }) => action.id));
  const actions = state.actions.map((action) => identify(action, place)).filter(({ id }) => !settled.has(id));
  const changed = actions.filter(({ asked }) => !asked);
  await memory.reviews.ask(place.userId, toWaiting(changed, place, onServer));
  return {
    actions: actions.map((action) => ({ ...action, asked: true })),
    answers: overwrite(answers),
    remarks: answers.flatMap(remarkOf),
    answer_calls: 0,
    answered: false,
  };
}

/** Whether an answer is what the review made of it: its payload may have been changed in the checkpoint since. */
function isAsGiven({ action, decision, args }: Answer, place: ActionPlace): boolean {
  // Whether it came in time was checked when it was given.
  const checked = checkDecision(decision, action, { now: new Date(0), attempt: action.attempt });
  const isSame = "args" in checked && canonicalJson(checked.args) === canonicalJson(args);
  return isSame && actionId(action, place) === action.id;
}

function claimOf({ action, decision, args, given_as }: Answer): Claim {
  return { id: action.id, type: decision.type, answer: [decision, args, given_as] };
}

/** What the user says about an email that the thread has left, after a killed run, is not said to the model about this one. */
function lateFailure({ action, decision }: Answer, { attempt }: State): Answer["failure"] {
  if (decision.type !== "respond" || action.attempt === attempt) return null;
  return { code: "conflict", message: "the conversation went on before the model was told" };
}

function remarkOf({ action, decision, status, failure }: Answer): string[] {
  if (status !== "done" || decision.type !== "respond" || failure !== null) return [];
  const heading = {
    notify: "The user says how to answer:",
    write_email: "The user says about the draft:",
    schedule_meeting: "The user says about the meeting:",
    ask_user: "The user answers the question:",
  }[action.name];
  return [`${heading}\n${decision.message}`];
}

/** One task for each answer that something is done for. */
export function actTasks({ answers, user_id }: State): Send[] {
  return answers
    .filter(({ status, decision, action }) => {
      const isAct = decision.type === "approve" || decision.type === "edit";
      return status === "done" && isAct && (action.name === "write_email" || action.name === "schedule_meeting");
    })
    .map((answer) => new Send("act", { answer, user_id }));
}

/**
 * Does what an answer approved, into the outbox. The key is of what is written, so that doing it again after a crash changes
 * nothing. What cannot be done is said in the answer, and waits again: a broken outbox closes no conversation.
 *
 * @throws MnemailError("store") where it cannot be read whether the answer holds.
 */
export async function act(task: unknown, place: ActionPlace, { memory, outbox, now }: SettlingParts): Promise<Update> {
  const { answer } = z.object({ answer: answerSchema }).parse(task);
  if (outbox === undefined) return { answers: [{ ...answer, note: "nothing was sent: this assistant has no outbox" }] };
  if (!(await memory.reviews.holds(place.userId, claimOf(answer)))) {
    return { answers: [{ ...answer, status: "refused", note: "was not decided so: nothing was done" }] };
  }
  try {
    return { answers: [{ ...answer, acted: await carryOut(answer, place, outbox, now()) }] };
  } catch (error) {
    if (!(error instanceof MnemailError)) throw error;
    return { answers: [{ ...answer, failure: { code: error.code, message: renderError(error) } }] };
  }
}

async function carryOut(
  { action, args }: Answer,
  place: ActionPlace,
  outbox: Outbox,
  at: Date,
): Promise<Answer["acted"]> {
  const { email, time_zone, sender } = action;
  const common = { key: outboxKey({ ...action, args }, place), userId: place.userId, at };
  if (action.name === "write_email") {
    const { to, subject, body } = draftSchema.parse(args);
    const thread = {
      references: email.references ?? [],
      ...(email.message_id === undefined ? {} : { inReplyTo: email.message_id }),
    };
    const from = sender === null ? {} : { from: sender };
    return actedSchema.parse({
      kind: "email",
      ...(await outbox.writeEmail({ ...common, ...from, to, subject, body, ...thread })),
    });
  }
  const { title, attendees, duration_minutes: durationMinutes } = proposedEventSchema.parse(args);
  const start = startOf({ args, time_zone });
  if (start <= at) throw new MnemailError("expired", "the meeting has begun meanwhile", "move it, or reject it");
  const organizer = sender === null ? {} : { organizer: sender };
  const event = { ...common, title, attendees, start, durationMinutes, ...organizer };
  return actedSchema.parse({ kind: "event", ...(await outbox.addEvent(event)) });
}

/**
 * Learns from the answers, and records what became of their emails. A model that fails does not undo what was done: the
 * feedback waits in the log.
 *
 * @throws MnemailError("store") when the store fails; learning goes on from there when the thread is resumed.
 */
export async function teach(
  state: State,
  place: ActionPlace,
  { memory, learn, now }: SettlingParts,
  onServer: boolean,
): Promise<Update> {
  const { userId } = place;
  const decided = state.answers.filter(({ status }) => status === "done");
  const failed = decided.filter(({ failure }) => failure !== null);
  const done = decided.filter(({ failure }) => failure === null);
  // An address that was missing may be there now.
  const { addresses = [] } = failed.length === 0 ? {} : await memory.profiles.read(userId);
  const renewed = failed.map(({ action }) => {
    const sender = action.sender ?? ownAddress(userId, addresses, action.email) ?? null;
    return renewAction({ ...action, sender }, place);
  });
  await memory.reviews.ask(userId, toWaiting(renewed, place, onServer));
  const learnt: Answer[] = [];
  for (const answer of done) {
    const feedback = feedbackOf(answer);
    if ("note" in feedback) learnt.push({ ...answer, note: answer.note ?? feedback.note });
    else if (learn === undefined) learnt.push({ ...answer, note: answer.note ?? "this assistant does not learn" });
    else learnt.push(await learnFrom(answer, () => learn(userId, feedback)));
  }
  const at = now().toISOString();
  for (const { email, label } of new Map(done.map(({ action }) => [action.email.id, action])).values()) {
    const own = done.filter(({ action }) => action.email.id === email.id);
    const events = eventsOf(state.actions.filter((each) => each.email.id === email.id));
    const drafts = own.filter(({ action }) => action.name === "write_email").map(({ args }) => draftSchema.parse(args));
    const decision = { label: label ?? "notify", draft: drafts[0] ?? null, events, at };
    await memory.recordAnswer(userId, email, decision, own.map(renderDone).join(" and "));
  }
  await memory.reviews.finish(
    userId,
    decided.map(({ action }) => action.id),
  );
  return { answers: learnt, actions: [...state.actions, ...renewed.map((action) => ({ ...action, asked: true }))] };
}

async function learnFrom(answer: Answer, learn: () => Promise<Pick<Outcome, "receipt">>): Promise<Answer> {
  try {
    const { receipt } = await learn();
    return { ...answer, receipt };
  } catch (error) {
    if (!(error instanceof MnemailError) || error.code === "store") throw error;
    return { ...answer, note: `not learnt: ${renderError(error)}` };
  }
}

/** What was done, in words that hold none of the email's: it is recalled when the sender writes again. */
function renderDone({ action, decision: { type } }: Answer): string {
  const isDone = type === "approve" || type === "edit";
  switch (action.name) {
    case "write_email":
      if (type === "respond") return "the user wanted another answer";
      return isDone ? "the user approved an answer" : "the user sent no answer";
    case "schedule_meeting":
      return isDone ? "the user approved a meeting" : "the user approved no meeting";
    case "ask_user":
      return "the user was asked before the answer";
    case "notify":
      return "the user was notified";
  }
}
