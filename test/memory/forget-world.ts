import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openAssistant } from "../../src/assistant.ts";
import type { Config } from "../../src/config.ts";
import { emailSchema } from "../../src/email.ts";
import { StoreAccess } from "../../src/memory/access.ts";
import { TemporaryData } from "../../src/memory/temporary.ts";
import { userNamespaces } from "../../src/store/namespaces.ts";
import { openStore } from "../../src/store/open-store.ts";
import { lesson, ruleOf } from "../support/lesson.ts";

/** Who is forgotten, and words that only they, or what was made of their mail, brought in. */
export const ZOE = "zoe.canary@qanarymail.example";
export const CANARIES = {
  address: ZOE,
  name: "Zoe Qanaryname",
  domain: "qanarymail",
  messageId: "midqanary",
  subject: "Subjektqanary",
  body: "bodyqanary",
  approved: "pendqanary",
  waiting: "waitqanary",
  fact: "factqanary",
  named: "namedqanary",
  superseded: "oldqanary",
  rule: "Ruleqanary",
  edited: "editqanary",
  feedback: "feedqanary",
  proposal: "propqanary",
  temporary: "tempqanary",
};
/** What must stay. */
export const KEPT = ["Keptsubject", "keptbody", "Keptrule", "keptfact", "keptabout"];

const FROM = `"${CANARIES.name}" <Zoe.Canary@qanarymail.example>`;
const TOM = "Tom Berg <tom@work.example>";

/** The emails of a world, in the order in which they come. */
const emails = (user: string) => [
  {
    ...{ id: `<${CANARIES.messageId}-1@qanarymail.example>`, from: FROM, to: user, thread_id: "talk-1" },
    subject: `${CANARIES.subject} plan`,
    body: `Could you send me the plan for ${CANARIES.body}?\n\nPlease remember that the ${CANARIES.approved} office is in Bergen.\n\nZoe`,
  },
  {
    ...{ id: `<${CANARIES.messageId}-2@qanarymail.example>`, from: FROM, to: user },
    ...{
      subject: `${CANARIES.subject} again`,
      body: `Could you look at ${CANARIES.body} again?\n\nPlease remember that the ${CANARIES.waiting} desk is new.`,
    },
  },
  {
    ...{ id: "o1", from: TOM, to: user, cc: `Ann <ann@work.example>, ${FROM}` },
    subject: "Keptsubject one",
    body: `Could you help with keptbody?\n\nOn Monday ${CANARIES.name} <${ZOE}> wrote:\nsee https://x.example/?who=zoe.canary%40qanarymail.example`,
  },
  {
    id: "o2",
    from: TOM,
    to: `${user}, ${FROM}`,
    subject: "Keptsubject two",
    body: "Could you help with keptbody two?",
  },
];

/**
 * Gives a user a bit of everything, by the ways a user has where there are any: emails in threads, feedback of each
 * kind, rules, examples, facts in every state, a prompt edited by another program, a proposal, temporary data.
 */
export async function buildWorld(config: Config, user: string): Promise<void> {
  const [first, second, other, last] = emails(user).map((each) => emailSchema.parse(each));
  if (!first || !second || !other || !last) throw new Error("four emails");
  {
    await using assistant = await openAssistant(config, {
      now: () => new Date("2026-03-02T09:00:00Z"),
    });
    const { memory } = assistant;
    const handle = (email: object, thread: string) =>
      assistant.graph.invoke(
        { email_input: { ...email } },
        { configurable: { user_id: user, thread_id: `${user} ${thread}` } },
      );
    await handle(first, "t-first");
    await handle(second, "t-second");
    const learn = (feedback: object) => assistant.learn(user, { actor: "user", channel: "test", ...feedback } as never);
    await learn({ id: "f-label-1", kind: "relabel", email_id: first.id, label: "notify" });
    await learn({ id: "f-label-2", kind: "relabel", email_id: second.id, label: "notify" });
    await learn({
      id: "f-rule",
      kind: "text",
      email_id: first.id,
      text: `Always sign my emails with ${CANARIES.rule} Q.`,
    });
    await learn({ id: `f:${ZOE}`, kind: "text", text: `Ignore emails from ${ZOE} about ${CANARIES.feedback}.` });
    await learn({ id: "f-kept", kind: "text", text: "Always close my emails with Keptrule." });
    await learn({
      id: "f-edit",
      kind: "edited_draft",
      email_id: second.id,
      after: `Hi Zoe, ${CANARIES.edited} is fine. Bye.`,
    });
    const pending = (await memory.pending.list(user)).find(({ record }) => record.content.includes(CANARIES.approved));
    if (pending) await memory.pending.approve(user, pending.key, "2026-03-02T10:00:00Z");
    const at = "2026-03-02T11:00:00Z";
    const old = { content: `Prefers ${CANARIES.superseded} mornings.`, scope: `person:${ZOE}` as const };
    const { key } = await memory.facts.remember(user, old, at);
    const scope = `person:${ZOE}` as const;
    await memory.facts.remember(user, { content: `Likes ${CANARIES.fact} evenings.`, scope, supersedes: [key] }, at);
    await memory.facts.remember(user, { content: `Ask ${ZOE} for the ${CANARIES.named} report.` }, at);
    const people = ["tom@work.example", ZOE];
    await memory.facts.remember(user, { content: "A keptfact of this talk.", scope: "thread:talk-9", people }, at);
    // As a model that was shown the approved memory might write it into another's.
    await handle(other, "t-other");
    await handle(last, "t-last");
    const operations = [
      { op: "add" as const, rule: ruleOf(`Answer ${ZOE} with ${CANARIES.proposal} words`) },
      { op: "add" as const, rule: ruleOf("Answer with Keptrule words") },
    ];
    await memory.ledger.commit(
      user,
      lesson("f-proposal", { proposed: [{ prompt: "agent_instructions", operations }] }),
    );
    await memory.saveProfile(user, {
      ...{ name: "Ana", addresses: [], time_zone: "UTC", about: `keptabout; my assistant is ${ZOE}.` },
      working_hours: { start: "09:00", end: "17:00", days: ["Monday"] },
    });
  }
  await using store = await openStore(config.store);
  const at = userNamespaces(user);
  const head = await store.get(at.prompts, "triage_notify");
  const prompt = `Mail of ${ZOE} matters.\n\n${String(head?.value["prompt"])}`;
  await store.put(at.prompts, "triage_notify", { ...head?.value, prompt, note: `by ${ZOE}` }, false);
  const event = {
    // As an answer that was shown the fact could word it.
    title: `Talk about the ${CANARIES.named} report`,
    attendees: [ZOE, "tom@work.example"],
    start: "2026-03-09T10:00",
    duration_minutes: 30,
  };
  await store.put(at.events, "o1", { events: [event] }, false);
  await store.put(at.events, first.id, { events: [{ ...event, title: CANARIES.body }] }, false);
  await store.put(at.extractions, first.id, { at: "2026-03-02T09:00:00Z", attempts: 0 }, false);
  await store.put(
    [...at.decisions.slice(0, 2), "notes"],
    `about ${ZOE}`,
    { text: `of another program, ${ZOE}` },
    false,
  );
  const temporary = new TemporaryData(new StoreAccess(store, () => {}));
  await temporary.put(user, `${user} t-first`, "choice", { of: CANARIES.temporary }, { minutes: 60 });
  await temporary.put(user, "elsewhere", "choice", { who: ZOE, of: CANARIES.temporary }, { minutes: 60 });
  await temporary.put(user, "kept", "choice", { of: "keptbody" }, { minutes: 60 });
}

/** The files of a folder that hold a text: as it is, or in base64, wherever in it the text begins. */
export function filesWith(folder: string, text: string): string[] {
  const forms = formsOf(text);
  return readdirSync(folder).filter((file) => {
    const bytes = readFileSync(join(folder, file));
    const lower = Buffer.from(bytes.toString("latin1").toLowerCase(), "latin1");
    return forms.some((form) => bytes.includes(form)) || lower.includes(text.toLowerCase());
  });
}

/** A text and its base64 at each of the three ways in which it can begin. */
export function formsOf(text: string): string[] {
  return [
    text,
    ...[0, 1, 2].map((shift) => {
      const whole = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)]).toString("base64");
      // The first and last characters depend on what stands before and after.
      const end = Math.floor(((shift + Buffer.byteLength(text)) * 8) / 6);
      return whole.slice(Math.ceil((shift * 8) / 6), end);
    }),
  ];
}
