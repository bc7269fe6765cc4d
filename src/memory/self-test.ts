import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { emailSchema } from "../email.ts";
import { MnemailError, renderError } from "../errors.ts";
import { NO_USAGE } from "../meter.ts";
import type { Prompts } from "../prompts.ts";
import type { MnemailStore } from "../store/mnemail-store.ts";
import { userRoots } from "../store/namespaces.ts";
import { Memory } from "./memory.ts";
import { keepEmail } from "./records.ts";

const EMAIL = emailSchema.parse({
  id: "self-test",
  from: "Self Test <self-test@mnemail.example>",
  subject: "Self test",
  body: "Is what is written found again?",
});
const FACT = "The self test wrote this fact.";
const RULE = "Keep this rule until the self test ends.";
/** No word of the one is in the other, so that only a vector finds it. */
const WITH_VECTOR = { text: "A turbine stopped on Monday.", query: "violin concerto" };
/** How long a vector database may take to show what it took, and how often it is asked, in milliseconds. */
const SHOWN_MS = 15_000;
const LOOK_MS = 200;

/** A store that was opened; `embeddingModel` is that of its embeddings, where it has some. */
interface Opened extends AsyncDisposable {
  store: MnemailStore;
  embeddingModel?: string | undefined;
}

/**
 * Writes the three kinds of memory for a user made up for it, reads and searches them across a reopened connection, finds
 * an item by its vector, and removes all of it, also when something failed. `open` opens a new connection each time, which
 * tells `warn` what it does without.
 *
 * Where the vectors that are kept are of another model or in another place none is tested: a store says that by itself.
 *
 * @throws MnemailError("store") that says what was not found again or not removed; what the store throws.
 */
export async function selfTest(
  open: (warn: (line: string) => void) => Promise<Opened>,
  prompts: Prompts,
): Promise<void> {
  const user = `self-test-${randomUUID()}`;
  const warnings: string[] = [];
  const inOpened = async <T>(run: (opened: Opened) => Promise<T>): Promise<T> => {
    await using opened = await open((line) => void warnings.push(line));
    return await run(opened);
  };
  const inStore = <T>(run: (store: MnemailStore) => Promise<T>) => inOpened(({ store }) => run(store));
  try {
    await inStore((store) => write(new Memory(store, prompts), user));
    await inStore((store) => read(new Memory(store, prompts), user));
    await inOpened((opened) => findByVector(opened, user, warnings));
  } finally {
    await inStore((store) => remove(store, user)).catch((error: unknown) => {
      const what = `the self test could not remove what it wrote: ${renderError(error)}`;
      throw new MnemailError("store", what, `run \`mnemail memory drop --user ${user}\``, { cause: error });
    });
  }
}

async function remove(store: MnemailStore, user: string): Promise<void> {
  const roots = Object.values(userRoots(user));
  await store.drop(roots);
  for await (const { length } of store.pages(roots)) if (length > 0) throw new Error("it is still there");
}

async function write(memory: Memory, user: string): Promise<void> {
  const at = new Date().toISOString();
  const origin = { actor: user, at, evidence: RULE };
  const operation = { op: "add" as const, rule: { id: "self-test", text: RULE, origin } };
  await memory.ledger.commit(user, {
    feedback: { id: "self-test", kind: "text", text: RULE, actor: user, channel: "self-test", at },
    example: { email: keepEmail(EMAIL), label: "notify", was: "notify" },
    facts: [{ text: FACT, supersedes: [] }],
    retired: [],
    live: [{ prompt: "agent_instructions", operations: [operation] }],
    proposed: [],
    gate: null,
    notes: [],
    model: null,
    usage: { before: { ...NO_USAGE }, gate: { ...NO_USAGE } },
  });
}

async function read(memory: Memory, user: string): Promise<void> {
  const hint = "another process may have removed it, or the store does not keep what it is given";
  const { procedural, semantic, episodic } = await memory.readAll(user);
  if (!procedural.some(({ rules }) => rules.some(({ text }) => text === RULE))) lost("procedural memory is gone", hint);
  if (!semantic.some(({ record }) => record.label === "notify")) lost("semantic memory is gone", hint);
  if (!episodic.some(({ record }) => record.content === FACT)) lost("episodic memory is gone", hint);
  const { examples } = await memory.readForTriage(user, EMAIL);
  if (examples.length !== 1) lost("the example is not found by a search", hint);
  if ((await memory.facts.search(user, { query: FACT, limit: 1 })).length !== 1)
    lost("the fact is not found by a search", hint);
}

/** A store that cannot keep a vector, or find by it, warns and goes on by words: that is a failure here. */
async function findByVector(
  { store, embeddingModel }: Opened,
  user: string,
  warnings: readonly string[],
): Promise<void> {
  if (embeddingModel === undefined || store.withoutVectors !== undefined) return;
  const kept = await store.driver.vectorSpace();
  if (kept && kept.model !== embeddingModel) return;
  const namespace = [...userRoots(user).memory, "self-test"];
  const { text, query } = WITH_VECTOR;
  const heard = warnings.length;
  const fail = (what: string): never => {
    const reason = warnings[heard];
    const hint = reason === undefined ? "the place of the vectors does not keep what it is given" : undefined;
    throw new MnemailError("store", `the self test failed: ${what}${reason === undefined ? "" : `: ${reason}`}`, hint);
  };
  const find = async () =>
    (await store.search(namespace, { query, limit: 100 })).find(({ key }) => key === "self-test");
  await store.put(namespace, "self-test", { text }, ["text"]);
  for (const until = Date.now() + SHOWN_MS; (await find())?.score === undefined; await pause(LOOK_MS)) {
    if (warnings.length > heard || Date.now() > until) fail("an item is not found by its vector");
  }
  await store.delete(namespace, "self-test");
  if (warnings.length > heard || (await find())) fail("an item with a vector is not removed");
}

function lost(what: string, hint: string): never {
  throw new MnemailError("store", `the self test failed: ${what} after the store was opened again`, hint);
}
