import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { createEmailAssistant } from "../src/agent/graph.ts";
import { createDecider } from "../src/agent/triage.ts";
import { loadConfig } from "../src/config.ts";
import type { Email } from "../src/email.ts";
import type { Feedback } from "../src/learning/feedback.ts";
import { type LearningParts, learn } from "../src/learning/learn.ts";
import { openInbox } from "../src/mail/inbox.ts";
import type { Receipt } from "../src/memory/feedback-record.ts";
import { Memory } from "../src/memory/memory.ts";
import { type Label, labelSchema } from "../src/memory/records.ts";
import { openModels } from "../src/models.ts";
import { loadPrompts } from "../src/prompts.ts";
import type { MnemailStore } from "../src/store/mnemail-store.ts";
import { userNamespaces } from "../src/store/namespaces.ts";
import { openStore } from "../src/store/open-store.ts";

/** One feedback of a kind, and one of the same kind right after it. */
export interface LearningCase {
  kind: string;
  /** No answer of an earlier test is kept; what triage said when the emails came in is. */
  cold: Receipt;
  /** The next one, with other words or about another email. */
  next: Receipt;
}

/** Everything one run found. */
export interface LearningReport {
  quick: boolean;
  /** Emails whose label the user gave before each feedback. */
  labelled: number;
  /** Emails that a rule about {@link SENDER} can affect, counted in the samples and not by what is measured. */
  affected: number;
  cases: LearningCase[];
}

/** Two of the samples are theirs, and always have a label. */
const SENDER = "marit.haugland@skarvebotn.example";

/** The case in which the first feedback has every email asked about, so that only the change of the second is new. */
const WARM_THEN_SENDER = "text about any email, then one sender";
/** Samples of a quick run, those of the sender besides. */
const QUICK_SAMPLES = 18;

interface Sample extends Email {
  wanted: Label;
}

/** What a case works on: emails that have no label of the user's yet, by what was done with them. */
interface Unlabelled {
  drafted: Sample[];
  notified: Sample[];
  lists: Sample[];
}

/** No sentence stands in two cases: the vector of one that was embedded before is known. */
const KINDS: { kind: string; said: (emails: Unlabelled) => [Feedback, Feedback] }[] = [
  {
    kind: "text about answers",
    said: () => says("Always sign my emails with Nora L.", "Keep replies to three sentences."),
  },
  {
    kind: "text with a fact",
    said: () => says("Owen Tallis prefers mornings.", "Per Lindaas is our contact at Halvgrad."),
  },
  {
    kind: "text about one sender",
    said: () => says("Ignore emails from noreply@pakkeruta.example", `Notify me about emails from ${SENDER}`),
  },
  {
    kind: WARM_THEN_SENDER,
    said: () => says('Ignore emails about "bingo"', `Always notify me about emails from ${SENDER}`),
  },
  {
    kind: "text about any email",
    said: () => says('Ignore emails about "raffle"', 'Notify me about emails about "tombola"'),
  },
  {
    kind: "text on two prompts",
    said: () =>
      says(
        "Sign my emails with Nora. Ignore emails from a.example.",
        "Sign my emails with N. Ignore emails from b.example.",
      ),
  },
  {
    kind: "relabel: an example",
    said: ({ notified }) => each(notified, (id) => ({ kind: "relabel", email_id: id, label: "respond" })),
  },
  {
    kind: "relabel: a rule",
    said: ({ lists }) => each(lists, (id) => ({ kind: "relabel", email_id: id, label: "notify" })),
  },
  {
    kind: "edited draft",
    said: ({ drafted }) =>
      each(drafted, (id, i) => ({
        kind: "edited_draft",
        email_id: id,
        after: `It will be done by ${i + 4} May.\n\nNora ${["Lindqvist", "Berg"][i]}`,
      })),
  },
  {
    kind: "rejected draft",
    said: ({ drafted }) =>
      each(drafted, (id, i) => ({ kind: "rejected_draft", email_id: id, text: `Write at most ${i + 4} lines.` })),
  },
  { kind: "accepted draft", said: ({ drafted }) => each(drafted, (id) => ({ kind: "accepted_draft", email_id: id })) },
  { kind: "notification seen", said: ({ notified }) => each(notified, (id) => ({ kind: "seen", email_id: id })) },
];

function says(first: string, second: string): [Feedback, Feedback] {
  return [
    { kind: "text", text: first },
    { kind: "text", text: second },
  ];
}

function each(emails: readonly Sample[], said: (id: string, index: number) => Feedback): [Feedback, Feedback] {
  const [first, second] = emails;
  if (!first || !second) throw new Error("the samples have too few emails of a kind");
  return [said(first.id, 0), said(second.id, 1)];
}

/**
 * Counts what each kind of feedback costs, before its test and in it. Each kind is tried for a user of its own, who got
 * the sample week and gave some of it a label. The model is the stand-in: calls are real, its tokens are its own count,
 * and nothing here is about quality.
 */
export async function runLearningBench(
  { quick }: { quick: boolean },
  note: (line: string) => void,
): Promise<LearningReport> {
  const folder = await mkdtemp(join(tmpdir(), "mnemail-bench-"));
  try {
    const environment = { STORE_URL: `sqlite:${join(folder, "memory.db")}`, MNEMAIL_MODEL: "stand-in" };
    const config = loadConfig({ environment, directory: folder });
    await using models = await openModels(config);
    const { embeddings, embeddingModel: model } = models;
    await using store = await openStore(config.store, embeddings ? { index: { embeddings, model } } : {});
    const prompts = loadPrompts();
    const memory = new Memory(store, prompts);
    const decider = createDecider({ models, prompts });
    const parts: LearningParts = { memory, models, prompts, decider, now: () => new Date() };
    const graph = createEmailAssistant({ store, models, prompts });
    const week = await loadSamples();
    const samples = quick ? week.filter((email, i) => i < QUICK_SAMPLES || names(email, SENDER)) : week;
    const labelled = quick ? 6 : 24;
    const cases: LearningCase[] = [];
    for (const { kind, said } of KINDS) {
      note(kind);
      const handle = (email: Email) => graph.invoke({ email_input: { ...email } }, { configurable: { user_id: kind } });
      for (const email of samples) await handle(email);
      const rest = await giveLabels(kind, samples, labelled, parts);
      const [first, second] = said(rest);
      await forgetAnswers(store, kind);
      const { receipt: cold } = await learn(kind, first, parts);
      const { receipt: next } = await learn(kind, second, parts);
      cases.push({ kind, cold, next });
    }
    const affected = samples.filter((email) => names(email, SENDER)).length;
    return { quick, labelled, affected, cases };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const expectedSchema = z.object({ id: z.string(), label: labelSchema });

async function loadSamples(): Promise<Sample[]> {
  const lines = (await readFile("samples/expected.jsonl", "utf8")).trim().split("\n");
  const expected = new Map(
    lines.map((line) => expectedSchema.parse(JSON.parse(line))).map(({ id, label }) => [id, label]),
  );
  const samples: Sample[] = [];
  for await (const entry of (await openInbox("samples/week")).entries()) {
    const wanted = entry.status === "unreadable" ? undefined : expected.get(entry.email.id);
    if (entry.status !== "unreadable" && wanted) samples.push({ ...entry.email, wanted });
  }
  return samples;
}

function names({ from, to, cc = "", subject, body }: Email, address: string): boolean {
  return [from, to, cc, subject, body].join("\n").toLowerCase().includes(address);
}

/** Gives the label the user wants to some emails, those of one sender among them; returns others to try kinds on. */
async function giveLabels(
  user: string,
  samples: readonly Sample[],
  count: number,
  parts: LearningParts,
): Promise<Unlabelled> {
  const free: Unlabelled = { drafted: [], notified: [], lists: [] };
  for (const email of samples) {
    const decision = await parts.memory.findDecision(user, email.id);
    const kept = email.list_id ? free.lists : decision?.draft ? free.drafted : free.notified;
    if (kept.length < 2 && !email.from.includes(SENDER)) kept.push(email);
  }
  const others = samples.filter((email) => !Object.values(free).flat().includes(email));
  const ordered = others.sort((a, b) => Number(b.from.includes(SENDER)) - Number(a.from.includes(SENDER)));
  for (const { id, wanted } of ordered.slice(0, count)) {
    await learn(user, { kind: "relabel", email_id: id, label: wanted }, parts);
  }
  return free;
}

async function forgetAnswers(store: MnemailStore, user: string): Promise<void> {
  await store.drop([userNamespaces(user).replays]);
}

/** A goal with what was measured. */
export interface LearningGoal {
  name: string;
  wanted: string;
  found: string;
  met: boolean;
}

/** The goals of learning. No limit is taken from the gate that is judged by it. */
export function judgeLearning({ cases, labelled, affected }: LearningReport): LearningGoal[] {
  const most = (chosen: readonly LearningCase[]) =>
    Math.max(...chosen.flatMap(({ cold, next }) => [cold, next]).map(({ usage }) => usage.before.model_calls));
  const isText = ({ kind }: LearningCase) => kind.startsWith("text");
  const gateOf = (kind: string) => cases.find((one) => one.kind === kind)?.next.gate;
  const scoped = gateOf(WARM_THEN_SENDER);
  const any = cases.find(({ kind }) => kind === "text about any email");
  const second = "a second feedback, about a sender,";
  return [
    atMost("model calls of typed feedback before its test", 1, most(cases.filter((one) => !isText(one)))),
    atMost("model calls of free text before its test", 2, most(cases.filter(isText))),
    atMost(`labelled emails that ${second} replays, of ${labelled}`, affected, scoped?.tested),
    // One question with the changed prompts, and one more where the label flips; those with the live ones are known.
    atMost(`questions that ${second} asks (about all: ${any?.next.gate?.asked})`, 2 * affected, scoped?.asked),
    // The first asked twice about each email.
    atMost("questions of a second feedback about any email", (any?.cold.gate?.asked ?? 0) / 2, any?.next.gate?.asked),
  ];
}

function atMost(name: string, limit: number, found = Number.NaN): LearningGoal {
  const met = found <= limit;
  return { name, wanted: `at most ${limit}`, found: `${found}${met ? "" : `, ${found - limit} too many`}`, met };
}
