import { randomUUID } from "node:crypto";
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

/**
 * Writes the three kinds of memory for a user made up for it, reads and searches them across a reopened connection, and
 * removes all of it, also when something failed. `open` opens a new connection each time.
 *
 * @throws MnemailError("store") that says what was not found again or not removed; what the store throws.
 */
export async function selfTest(
  open: () => Promise<AsyncDisposable & { store: MnemailStore }>,
  prompts: Prompts,
): Promise<void> {
  const user = `self-test-${randomUUID()}`;
  const inStore = async <T>(run: (store: MnemailStore) => Promise<T>): Promise<T> => {
    await using opened = await open();
    return await run(opened.store);
  };
  try {
    await inStore((store) => write(new Memory(store, prompts), user));
    await inStore((store) => read(new Memory(store, prompts), user));
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

function lost(what: string, hint: string): never {
  throw new MnemailError("store", `the self test failed: ${what} after the store was opened again`, hint);
}
