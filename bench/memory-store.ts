import { join } from "node:path";
import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import { factPut } from "../src/memory/episodic.ts";
import { Memory } from "../src/memory/memory.ts";
import { loadPrompts, type Prompts } from "../src/prompts.ts";
import { putIf } from "../src/store/conditional-put.ts";
import type { MnemailStore } from "../src/store/mnemail-store.ts";
import { userNamespaces } from "../src/store/namespaces.ts";
import { openStore } from "../src/store/open-store.ts";
import type { Fact } from "./memory-questions.ts";

/** Facts of one batch. */
const BATCH = 500;
/** When the user said it all. */
const SAID_AT = "2026-03-02T09:00:00.000Z";

/** Memory on a SQLite store of its own. Disposing closes the store. */
export interface BenchMemory extends AsyncDisposable {
  store: MnemailStore;
  memory: Memory;
  prompts: Prompts;
}

/** Opens, and makes where it is missing, the store `name` of a folder. */
export async function openMemory(
  folder: string,
  name: string,
  embeddings: EmbeddingsInterface | undefined,
): Promise<BenchMemory> {
  if (!embeddings) throw new Error("the stand-in has no embeddings");
  const path = join(folder, `${name}.db`);
  const store = await openStore({ backend: "sqlite", path }, { index: { embeddings, model: "stand-in" } });
  const prompts = loadPrompts();
  const memory = new Memory(store, prompts);
  return { store, memory, prompts, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}

/**
 * Keeps facts as `remember` does, many in one batch, and without asking a model which of the earlier ones they
 * contradict.
 */
export async function keepFacts(
  store: MnemailStore,
  userId: string,
  facts: readonly Pick<Fact, "content" | "scope">[],
): Promise<void> {
  for (let at = 0; at < facts.length; at += BATCH) {
    const puts = facts.slice(at, at + BATCH).map((fact) => factPut(userNamespaces(userId), fact, SAID_AT));
    if (!(await putIf(store, puts))) throw new Error("two facts of the set have one key");
  }
}
