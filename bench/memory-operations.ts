import { openAnswer } from "../src/agent/respond.ts";
import { type Email, emailSchema } from "../src/email.ts";
import { extractWaiting } from "../src/learning/extract.ts";
import { remember } from "../src/learning/remember.ts";
import { keepEmail } from "../src/memory/records.ts";
import { metered, NO_USAGE, type Usage } from "../src/meter.ts";
import type { Models } from "../src/models.ts";
import { putIf } from "../src/store/conditional-put.ts";
import type { Fact } from "./memory-questions.ts";
import { type BenchMemory, keepFacts } from "./memory-store.ts";

/** One operation. `usage` is the most of each that any of its runs took. */
export interface OperationCost {
  name: string;
  /** Whether it only reads, before or while an email is answered. */
  isRead: boolean;
  usage: Usage;
}

/** What the memories in one prompt took, in tokens of four characters. */
export interface PromptCost {
  memories: string;
  shown: number;
  tokens: number;
}

const CHARACTERS_PER_TOKEN = 4;
/** Characters of a long memory: just what one may have. */
const LONG = 2_000;
/** Characters of memories of which not all that are found fit into a prompt. */
const MIDDLING = 300;
const RUNS = 5;

/** Counts what operations on the memories of a user cost. Each is run five times, with other words. */
export async function measureOperations(
  opened: BenchMemory,
  models: Models,
  userId: string,
  facts: readonly Fact[],
): Promise<OperationCost[]> {
  const { store, memory, prompts } = opened;
  const parts = { memory, models, prompts, now: () => new Date() };
  const at = () => new Date().toISOString();
  const emails = emailsOf(facts);
  /** What extraction would leave of an email. */
  const leavePending = async (email: Email, content: string) => {
    const puts = await memory.pending.puts(userId, email, [{ content, author: "extraction" }], at());
    const [put] = puts;
    if (!put || !(await putIf(store, puts))) throw new Error("nothing was left pending");
    return put.key;
  };
  const told = async (user: string, content: string) => {
    const { status, note } = await remember(user, { content }, parts);
    if (status !== "live" || note !== undefined) throw new Error(`not remembered: ${note ?? status}`);
  };
  const costs: OperationCost[] = [];
  const measure = async (name: string, isRead: boolean, prepare: (run: number) => Promise<() => Promise<unknown>>) => {
    let most: Usage = NO_USAGE;
    for (let run = 0; run < RUNS; run += 1) {
      const operate = await prepare(run);
      most = mostOf(most, await metered(async (usage) => operate().then(usage)));
    }
    costs.push({ name, isRead, usage: most });
  };
  const emailOf = (run: number) => {
    const email = emails[run];
    if (!email) throw new Error("too few emails");
    return email;
  };
  // The default prompts are written before the first answer.
  await openAnswer(emailOf(0), userId, { memory, prompts, now: new Date() });
  await measure("search", true, async (run) => () => {
    return memory.facts.search(userId, { query: `Who has agreed to lend us ${run} devices?`, limit: 5 });
  });
  await measure("search for an email", true, async (run) => () => {
    return memory.facts.search(userId, { query: `What was agreed ${run} days ago?`, email: emailOf(run), limit: 5 });
  });
  await measure("recall for an answer", true, async (run) => () => memory.readForAnswer(userId, emailOf(run + 1)));
  await measure("list", true, async () => () => memory.facts.list(userId));
  await measure("remember, nothing is known yet", false, async (run) => () => {
    return told(`new-${run}`, `Dagny Quist is back in ${2030 + run}.`);
  });
  await measure(`remember, among ${facts.length.toLocaleString("en")}`, false, async (run) => () => {
    return told(userId, `Dagny Quist travels to Oslo in ${2030 + run}.`);
  });
  await measure("extract the facts of an email", false, async (run) => {
    const email = { ...emailOf(run), body: `I prefer meetings before ${7 + run}.` };
    const decision = { email: keepEmail(email), label: "notify" as const, reason: "", draft: null, events: [] };
    const record = { ...decision, memories: [], prompts: [], at: at() };
    await memory.recordDecision(userId, email, record, { proposals: [], extract: true });
    return async () => {
      for await (const { found, error } of extractWaiting(userId, parts)) {
        if (found !== 1) throw new Error(`not extracted: ${error ?? `found ${found}`}`);
      }
    };
  });
  await measure("approve", false, async (run) => {
    const key = await leavePending(emailOf(run), `Moves house in ${2040 + run}.`);
    return () => memory.pending.approve(userId, key, at());
  });
  await measure("reject", false, async (run) => {
    const key = await leavePending(emailOf(run), `Retires in ${2050 + run}.`);
    return () => memory.pending.reject(userId, key, at());
  });
  return costs;
}

function mostOf(a: Usage, b: Usage): Usage {
  return {
    model_calls: Math.max(a.model_calls, b.model_calls),
    input_tokens: Math.max(a.input_tokens, b.input_tokens),
    output_tokens: Math.max(a.output_tokens, b.output_tokens),
    embedding_calls: Math.max(a.embedding_calls, b.embedding_calls),
    store_round_trips: Math.max(a.store_round_trips, b.store_round_trips),
    ms: Math.max(a.ms, b.ms),
  };
}

/** An email from each person, in the words of what is known of them. */
export function emailsOf(facts: readonly Fact[]): Email[] {
  const people = new Set(facts.map(({ person }) => person));
  return [...people].map((person) => {
    const own = facts.filter((fact) => fact.person === person);
    const { name, address, number } = person;
    return emailSchema.parse({
      id: `memory-${number}`,
      from: `${name} <${address}>`,
      to: "nora@lindqvist.example",
      subject: own[0]?.kind.topic ?? "",
      body: `Hello,\n\n${own.map(({ content }) => content).join("\n")}\n\n${name}`,
    });
  });
}

/**
 * What the memories in a prompt take, where all those of a user may be recalled for the email: with the scope `all` and
 * words that are in the email. Of `facts`, as they are and filled up to the longest that a memory may be.
 */
export async function measurePrompts(opened: BenchMemory, facts: readonly Fact[], email: Email): Promise<PromptCost[]> {
  const filling = ` ${email.subject}, as said: ${email.body.replaceAll(/\s+/g, " ")}`.repeat(20);
  const count = facts.length.toLocaleString("en");
  // Some facts say a first name only, and are the same of two people.
  const short = facts.map(({ person, content }) => `${person.address}: ${content}`);
  const sets = [
    { memories: `${count} memories of one sentence`, contents: short },
    ...[MIDDLING, LONG].map((length) => ({
      memories: `${count} memories of ${length.toLocaleString("en")} characters`,
      contents: short.map((content) => (content + filling.slice(0, length)).slice(0, length)),
    })),
  ];
  const costs: PromptCost[] = [];
  for (const { memories, contents } of sets) {
    await keepFacts(
      opened.store,
      memories,
      contents.map((content) => ({ content: content.trim(), scope: "all" })),
    );
    const { messages } = await openAnswer(email, memories, { ...opened, now: new Date() });
    const part = /<memories>\n([\s\S]*?)\n<\/memories>/.exec(messages.map(({ text }) => text).join("\n"));
    if (!part) throw new Error("no memory is in the prompt");
    const shown = (part[1] ?? "").split("\n").length;
    costs.push({ memories, shown, tokens: Math.ceil(part[0].length / CHARACTERS_PER_TOKEN) });
  }
  return costs;
}
