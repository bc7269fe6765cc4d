import { randomUUID } from "node:crypto";
import { RemoveMessage } from "@langchain/core/messages";
import { Overwrite, REMOVE_ALL_MESSAGES } from "@langchain/langgraph";
import { type Email, emailSchema } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { canonicalJson } from "../memory/canonical-json.ts";
import { compareEmail } from "../memory/records.ts";
import { NO_USAGE } from "../meter.ts";
import { type ActionPlace, renewAction } from "./actions.ts";
import { isUnfinished } from "./review.ts";
import { type AssistantState, inputFields, userIdOf } from "./state.ts";

type State = typeof AssistantState.State;
type Update = typeof AssistantState.Update;

/** The input of a run, cleared: a thread keeps it otherwise, and would mix it into its next email. */
export const NO_INPUT: Update = Object.fromEntries(Object.keys(inputFields).map((name) => [name, null]));

/**
 * The state in which an email starts, whatever the thread held before, except what waits of other emails, and what the
 * user decided and a killed run had not carried out. What waits of this email is replaced; that it is this one is told by
 * what it says, since its id is its sender's choice.
 */
export function startEmail(state: State, place: ActionPlace): Update {
  const email = parseInput(state);
  const isSame = isAbout(email);
  const unfinished = state.answers.filter(isUnfinished);
  const isAnswered = ({ id }: State["actions"][number]) => unfinished.some(({ action }) => action.id === id);
  const fresh: Update = {
    ...NO_INPUT,
    user_id: place.userId,
    trust: "mail",
    attempt: randomUUID(),
    email,
    problem: null,
    label: null,
    reason: "",
    messages: [new RemoveMessage({ id: REMOVE_ALL_MESSAGES })],
    draft: null,
    events: [],
    actions: [
      ...state.actions.filter((each) => !isSame(each)),
      ...unwritten(state, place).filter((each) => !isSame(each)),
    ],
    replaced: state.actions.filter((each) => isSame(each) && !isAnswered(each)),
    answers: overwrite(unfinished.map((each) => ({ ...each, status: "given" as const }))),
    remarks: [],
    proposals: overwrite([]),
    memories: overwrite([]),
    prompts: [],
    extracted: false,
    request: "",
    answered: false,
    answer_calls: 0,
    usage: overwrite({ ...NO_USAGE }),
  };
  // Those of an earlier email are removed, where there are any.
  const { messages, ...others } = fresh;
  return { ...onlyNews(others, state), ...(state.messages.length > 0 ? { messages } : {}) };
}

/** An update without what the state holds already: each field that is written is a row in the checkpoints. */
export function onlyNews(update: Update, state: object): Update {
  const isNews = ([name, value]: [string, unknown]) => !isAlready(Reflect.get(state, name), value);
  return Object.fromEntries(Object.entries(update).filter(isNews));
}

function isAlready(was: unknown, value: unknown): boolean {
  const wanted: unknown = value instanceof Overwrite ? value.value : value;
  return (was ?? null) === wanted || [was, wanted].every((each) => Array.isArray(each) && each.length === 0);
}

/** What the user wanted written anew where the model failed before it could: it waits again as it was. */
function unwritten({ remarks, answers, attempt }: State, place: ActionPlace): State["actions"] {
  if (remarks.length === 0) return [];
  return answers
    .filter(({ action, decision }) => decision.type === "respond" && action.attempt === attempt)
    .map(({ action }) => renewAction(action, place));
}

/** Tells the actions of this very email: its id alone is its sender's choice. */
export function isAbout(email: Email): (action: State["actions"][number]) => boolean {
  const said = canonicalJson(compareEmail(email));
  return (action) => action.email.id === email.id && canonicalJson(compareEmail(action.email)) === said;
}

/** A value in the place of what a reducer would make of it. Its type is that of the channel. */
export function overwrite<T>(value: T): T {
  return new Overwrite(value) as T;
}

/** Whose a run's thread is, where the run says so. */
export function ownerOf(config: unknown): { user_id?: string } {
  try {
    return { user_id: userIdOf(config) };
  } catch {
    return {};
  }
}

/** A thread is one user's: neither its next email nor the rest of a broken run may become another's. */
export function checkOwner(state: Pick<State, "user_id">, userId: string): void {
  if (state.user_id === userId) return;
  throw new MnemailError("forbidden", "thread: belongs to another user", "start a new thread");
}

/** The email that a thread is at. @throws MnemailError("input") when it was given none. */
export function emailOf(state: Pick<State, "email">): Email {
  if (state.email === null) throw new MnemailError("input", "email: none received", "give the graph an email");
  return state.email;
}

function parseInput(state: State): Email {
  const parsed = emailSchema.safeParse(
    state.email_input ?? Object.fromEntries(Object.entries(state).filter(([name]) => Object.hasOwn(inputFields, name))),
  );
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new MnemailError(
    "input",
    `email: ${issue?.path.join(".") || "input"}: ${issue?.message ?? "not an email"}`,
    "expected { from, to, subject, body } or { author, to, subject, email_thread }, wrapped in email_input or not",
  );
}
