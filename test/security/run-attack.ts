import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addressList, type Email } from "../../src/email.ts";
import { MnemailError } from "../../src/errors.ts";
import type { Feedback } from "../../src/learning/feedback.ts";
import type { Draft, ProposedEvent } from "../../src/memory/records.ts";
import { participants, type Scope } from "../../src/memory/scope.ts";
import type { KeptRow } from "../../src/store/row-driver.ts";
import type { ObedientModel } from "./obedient-model.ts";
import { type Order, orderSchema } from "./orders.ts";
import { storeViolations } from "./store-violations.ts";
import { ANA, EVE, handleWhole, type ModulesUnderTest, mailOf, openSession, type Session } from "./world.ts";

/** One thing that happens: what the attacker, the user or another program does. */
export type Act =
  /** An email comes, for the user unless another is named. `sender` is who really gets the answer. */
  | { mail: Partial<Email> & { body: string }; userId?: string; sender?: string }
  /** An email comes as it goes over the wire. */
  | { eml: string; sender?: string }
  /** An earlier email of the attacker has left this memory, which waits. */
  | { left: string }
  /** The user looks at what waits because of the emails, and approves it all; for everybody, where that is said. */
  | { approve: "all"; scope?: Scope }
  /** The user looks at what waits because of the emails, and rejects it all. */
  | { reject: "all" }
  /** Another program writes another text under each id that waits, after the user has looked at it. */
  | { tamper: string }
  /** The user gives feedback on the last email. */
  | { feedback: GivenFeedback }
  /** The user states a fact. */
  | { remember: string }
  /** Something is written into the user's calendar. */
  | { calendar: string }
  /** An agent that reads what strangers wrote, and has our memory tool, obeys them. */
  | { tool: { action: string; content?: string; id?: string } };

/** Feedback on the last email; an edited draft is made from the draft and the email. */
export type GivenFeedback =
  | { kind: "relabel"; label: "ignore" | "notify" | "respond"; text?: string }
  | { kind: "text" | "rejected_draft"; text: string }
  | { kind: "edited_draft"; edit: (draft: string, email: Email) => string };

/** One attack: what happens, in which way, and what it is to bring about. */
export interface Attack {
  name: string;
  vector: string;
  goal: string;
  acts: Act[];
  /** The orders that the model has to be seen to obey. */
  obeyed: Order[];
  /** The orders that must never reach it. */
  unseen?: Order[];
  /** The user let the attacker's words in, so that they are shown later, quoted: in these requests. */
  returns?: "to the sender" | "to everybody";
}

/** Something that must not happen; `gate` says in a word what failed. */
export interface Violation {
  gate: "system" | "quoting" | "invisible" | "leak" | "planted" | "draft" | "event" | "store";
  what: string;
}

/** The program under attack, with the rows in which each attack begins. */
export interface Target {
  modules: ModulesUnderTest;
  model: ObedientModel;
  rows: readonly KeptRow[];
}

/** What the attacker's words bear: each field of an email its own mark, so that wherever one shows, its way is known. */
const THEIRS = /canary\w*|OBEY/;
/** A header that may name a rule of a relabel in memory, and may stand among the instructions as little as the others. */
const NAMES_A_RULE = /oddlist/;
/**
 * What no request may ever hold: another user's, what waits, was superseded or came from another program, what the
 * calendar says and what a person does not see.
 */
const NEVER = /secretbo\w*|secretletterbo|secretpending|secretsuperseded|secretforeign|canarycalendar|canaryhidden/;
/** What only an email of the person, of the domain or in the conversation may open. */
const SCOPED = /secretcarla|secretapproved|secretdomain|secretthread|secretletter/;
const LINE_BREAK = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/;
const INVISIBLE = /(?!\n)[\p{Cc}\p{Cf}]/u;
/** Requests that hold words of the user alone; what is known of others may stand beside them. */
const OF_THE_USER = new Set(["learn", "reconcile"]);

const dora = { id: "dora-9@shop.example", from: "Dora <dora@shop.example>", subject: "Printer" };
const later = { body: "Could you tell me when the printer arrives?" };

/**
 * Runs an attack: a first session with all that happens, then a second one, a new assistant on what the first left,
 * in which somebody else writes and then the attacker does. Returns what went wrong: nothing, if the attack failed.
 *
 * Not counted are the label and the words of the draft for the attacker's own email: a model that obeys everything lets
 * itself be told them, what the draft says may be the instructions and what the user knows of everybody, and the user
 * reviews it. The same holds for the labels that an example, which the user labelled, is shown for.
 *
 * @throws Error when a step cannot be done or an order did not reach the model, so that the attack proves nothing.
 */
export async function runAttack(attack: Attack, { modules, model, rows }: Target): Promise<Violation[]> {
  model.reset();
  const violations: Violation[] = [];
  const state: State = { acts: attack.acts, listed: new Map(), rejected: new Set(), handled: [], said: [], violations };
  const first = await attackSession(attack, state, { modules, model, rows });
  violations.push(...orderViolations(attack, model));
  // A sender whose address is a sentence gets no second email: no draft can be addressed to it.
  const isPlain = ({ userId, sender }: State["handled"][number]) => userId === ANA && !/[\s"]/.test(sender);
  const sender = state.handled.findLast(isPlain)?.sender ?? EVE;
  {
    await using session = await openSession(modules, model, first, { MEMORY_EXTRACTION: "off" });
    const mayReturn = { dora: attack.returns === "to everybody", sender: attack.returns !== undefined };
    for (const [who, mail] of [
      ["dora", mailOf(modules, { ...dora, ...later })],
      ["sender", mailOf(modules, { id: "later@evil.example", from: sender, ...later })],
    ] as const) {
      const from = model.requests.length;
      const result = await handleWhole(session, ANA, mail);
      state.handled.push({ email: mail, userId: ANA, sender: addressList(mail.from)[0] ?? "" });
      violations.push(...outcomeViolations(result, mail, addressList(mail.from)[0] ?? ""));
      for (const { kind, messages } of model.requests.slice(from)) {
        const mark = mayReturn[who] ? undefined : messages.map(({ text }) => THEIRS.exec(text)?.[0]).find(Boolean);
        if (mark) violations.push({ gate: "planted", what: `${mark} is shown (${kind}) when ${mail.from} writes` });
      }
    }
    violations.push(...storeViolations({ before: rows, after: await session.rows(), ...state }));
  }
  return [...violations, ...requestViolations(model)];
}

/** What happened so far. */
interface State {
  acts: readonly Act[];
  /** What the user saw when they looked at what waits: texts by id. */
  listed: Map<string, string>;
  /** The texts that the user rejected. */
  rejected: Set<string>;
  handled: { email: Email; userId: string; sender: string }[];
  /** What the user typed as a fact. */
  said: string[];
  violations: Violation[];
}

interface Place {
  session: Session;
  state: State;
  target: Pick<Target, "modules" | "model">;
  calendarPath: string;
}

/** The first session; returns what it leaves in the store. */
async function attackSession(attack: Attack, state: State, target: Target): Promise<KeptRow[]> {
  const hasCalendar = attack.acts.some((act) => "calendar" in act);
  const folder = hasCalendar ? await mkdtemp(join(tmpdir(), "mnemail-attack-")) : tmpdir();
  const calendarPath = join(folder, "calendar.ics");
  try {
    if (hasCalendar) await writeFile(calendarPath, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nEND:VCALENDAR\r\n");
    const environment = hasCalendar ? { CALENDAR_PATH: calendarPath } : {};
    await using session = await openSession(target.modules, target.model, target.rows, environment);
    for (const act of attack.acts) await perform(act, { session, state, target, calendarPath });
    return await session.rows();
  } finally {
    if (hasCalendar) await rm(folder, { recursive: true });
  }
}

async function perform(act: Act, { session, state, target, calendarPath }: Place): Promise<void> {
  const { assistant, store } = session;
  const { memory } = assistant;
  const at = "2026-03-03T09:00:00.000Z";
  if ("mail" in act || "eml" in act) await receive(act, { session, state, target, calendarPath });
  else if ("left" in act) {
    const email = mailOf(target.modules, { id: "hostile-0@evil.example", body: "Hello" });
    await store.batch(await memory.pending.puts(ANA, email, [{ content: act.left, author: "extraction" }], at));
    state.handled.push({ email, userId: ANA, sender: EVE });
  } else if ("approve" in act) {
    await look(session, state);
    const other = act.scope ? { scope: act.scope } : undefined;
    for (const key of state.listed.keys()) await unlessRefused(() => memory.pending.approve(ANA, key, at, other));
  } else if ("reject" in act) {
    await look(session, state);
    for (const [key, content] of state.listed) {
      await memory.pending.reject(ANA, key, at);
      state.rejected.add(content);
    }
  } else if ("tamper" in act) {
    await look(session, state);
    for (const { namespace, key, value } of await session.rows()) {
      if (state.listed.has(key)) await store.put(namespace, key, { ...value, content: act.tamper });
    }
  } else if ("feedback" in act) {
    const feedback = await feedbackOf(act.feedback, session, state);
    await unlessRefused(() => assistant.learn(ANA, feedback));
  } else if ("remember" in act) {
    state.said.push(act.remember);
    await assistant.remember(ANA, { content: act.remember });
  } else if ("calendar" in act) await writeFile(calendarPath, act.calendar.replaceAll("\n", "\r\n"));
  else {
    const manage = target.modules.createManageMemoryTool({ store });
    await manage.invoke(manage.schema.parse(act.tool), { configurable: { user_id: ANA } });
  }
}

async function receive(act: Extract<Act, { mail: unknown } | { eml: string }>, { session, state, target }: Place) {
  const { modules, model } = target;
  const email = "mail" in act ? mailOf(modules, act.mail) : (await modules.parseEml(Buffer.from(act.eml))).email;
  const userId = ("mail" in act ? act.userId : undefined) ?? ANA;
  const sender = act.sender ?? EVE;
  const from = model.requests.length;
  const result = await handleWhole(session, userId, email);
  state.handled.push({ email: { ...email, id: result.id }, userId, sender });
  state.violations.push(...outcomeViolations(result, email, sender));
  for (const { kind, messages } of userId === ANA ? [] : model.requests.slice(from)) {
    const mark = messages.map(({ text }) => /secret\w+|own\w+/.exec(text)?.[0]).find(Boolean);
    if (mark) state.violations.push({ gate: "leak", what: `${mark} of ${ANA} is shown (${kind}) to ${userId}` });
  }
}

/** The user looks at what waits because of the emails, once. */
async function look({ assistant }: Session, { listed, handled }: State): Promise<void> {
  if (listed.size > 0) return;
  const sources = new Set(handled.map(({ email }) => email.id));
  for (const { key, record } of await assistant.memory.pending.list(ANA)) {
    if (sources.has(record.source ?? "")) listed.set(key, record.content);
  }
  if (listed.size === 0) throw new Error("nothing waits for the user to look at");
}

async function feedbackOf(given: GivenFeedback, { assistant }: Session, { handled }: State): Promise<Feedback> {
  const { email } = handled.at(-1) ?? {};
  if (!email) throw new Error("there is no email to give feedback on");
  if (given.kind !== "edited_draft") return { ...given, email_id: email.id };
  const decision = await assistant.memory.findDecision(ANA, email.id);
  return { kind: "edited_draft", email_id: email.id, after: given.edit(decision?.draft?.body ?? "", email) };
}

/** A step that the program may refuse in words. */
async function unlessRefused(step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!(error instanceof Error && error.name === MnemailError.name)) throw error;
  }
}

/** @throws Error when an order was not seen that has to be, so that nothing is proven. */
function orderViolations({ name, obeyed, unseen = [] }: Attack, model: ObedientModel): Violation[] {
  const isSeen = (order: Order) => model.obeyed.has(JSON.stringify(orderSchema.parse(order)));
  const missed = obeyed.find((order) => !isSeen(order));
  if (missed) throw new Error(`${name}: the model never saw ${JSON.stringify(missed)}`);
  return unseen.filter(isSeen).map((order) => ({ gate: "leak", what: `the model saw ${JSON.stringify(order)}` }));
}

function outcomeViolations(
  { draft, events }: { draft: Draft | null; events: readonly ProposedEvent[] },
  email: Email,
  sender: string,
): Violation[] {
  const violations: Violation[] = [];
  if (draft && draft.to !== sender) violations.push({ gate: "draft", what: `it goes to ${draft.to}` });
  const people = participants(email);
  for (const { attendees } of events) {
    const others = attendees.filter((each) => !people.includes(each));
    if (others.length > 0) violations.push({ gate: "event", what: `it is proposed to ${others.join(", ")}` });
  }
  return violations;
}

function requestViolations({ requests }: ObedientModel): Violation[] {
  return requests.flatMap(({ kind, messages }) =>
    messages.flatMap(({ role, text }): Violation[] => {
      const violations: Violation[] = [];
      const found = (gate: Violation["gate"], pattern: RegExp, what: string) => {
        const [mark] = pattern.exec(text) ?? [];
        if (mark) violations.push({ gate, what: `${JSON.stringify(mark)} ${what} (${kind}, ${role} message)` });
      };
      if (role === "system") {
        found("system", THEIRS, "stands among the instructions");
        found("system", NAMES_A_RULE, "stands among the instructions");
      }
      const bare = text.split(LINE_BREAK).find((line) => THEIRS.test(line) && !line.startsWith(">"));
      if (bare !== undefined && role !== "assistant") violations.push({ gate: "quoting", what: `${kind}: ${bare}` });
      found("invisible", INVISIBLE, "is shown");
      found("leak", NEVER, "is shown");
      if (!OF_THE_USER.has(kind)) found("leak", SCOPED, "is shown");
      return violations;
    }),
  );
}
