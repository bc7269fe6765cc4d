import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { threadIdFor } from "../src/agent/thread-id.ts";
import { openAssistant } from "../src/assistant.ts";
import { loadConfig } from "../src/config.ts";
import type { Email } from "../src/email.ts";
import type { EmailResult } from "../src/handle.ts";
import { Memory } from "../src/memory/memory.ts";
import { profileSchema } from "../src/memory/profile.ts";
import { labelSchema } from "../src/memory/records.ts";
import { openModels } from "../src/models.ts";
import { loadPrompts } from "../src/prompts.ts";
import { openCheckpointer } from "../src/store/open-checkpointer.ts";
import { openStore } from "../src/store/open-store.ts";
import { type Asked, createBareGraph } from "./graph-bare.ts";
import { emailsOf } from "./memory-operations.ts";
import { makeManyFacts } from "./memory-questions.ts";
import { keepFacts } from "./memory-store.ts";

/** Facts that each user has in memory before the first email; every tenth may be recalled for any email. */
export const FACTS = 300;
/** Emails whose label each user gave before the first. */
export const EXAMPLES = 24;

const GIVEN_AT = "2026-03-02T09:00:00.000Z";
const NOW = "2026-03-06T17:00:00+01:00";

/** What was written to a checkpointer so far: whole checkpoints, writes of tasks, and the bytes of both. */
export interface Written {
  checkpoints: number;
  writes: number;
  bytes: number;
}

/** Who handles emails; `sample` names which of the samples an email is, whatever its id. */
export interface Contender<T> {
  handle(userId: string, email: Email, sample: string): Promise<T>;
  written(): Written;
}

/** Both contenders, each with a checkpointer of its own. */
export interface Contenders extends AsyncDisposable {
  ours: Contender<EmailResult>;
  /** The graph without anything but the requests that were asked about each sample. */
  openBare(asked: ReadonlyMap<string, Asked>): Contender<unknown>;
  /** Gives a new user a profile and a memory. */
  furnish(userId: string): Promise<void>;
}

/** Opens both in a folder, on SQLite, with models of the server at `modelUrl`. */
export async function openContenders(folder: string, modelUrl: string): Promise<Contenders> {
  const opened: AsyncDisposable[] = [];
  const use = <T extends AsyncDisposable>(each: T): T => {
    opened.push(each);
    return each;
  };
  const config = loadConfig({
    environment: {
      STORE_URL: `sqlite:${join(folder, "memory.db")}`,
      OPENAI_BASE_URL: modelUrl,
      CHAT_MODEL: "stand-in",
      EMBEDDING_MODEL: "stand-in",
      CALENDAR_PATH: "samples/calendar.ics",
      OUTBOX_PATH: join(folder, "outbox"),
      // It works beside the emails that come after, and would be timed with them.
      MEMORY_EXTRACTION: "off",
    },
    directory: folder,
  });
  const models = use(await openModels(config));
  const { embeddings, embeddingModel: model } = models;
  if (!embeddings) throw new Error("the stand-in has no embeddings");
  const store = use(await openStore(config.store, { index: { embeddings, model } }));
  const own = use(await openCheckpointer(config.store));
  const bare = use(await openCheckpointer({ backend: "sqlite", path: join(folder, "bare.db") }));
  const written = countWrites(own.checkpointer);
  const bareWritten = countWrites(bare.checkpointer);
  const { checkpointer } = own;
  const now = () => new Date(NOW);
  const assistant = use(await openAssistant(config, { models, store, checkpointer, now }));
  const memory = new Memory(store, loadPrompts());
  const profile = profileSchema.parse(JSON.parse(await readFile("samples/profile.json", "utf8")));
  const facts = makeManyFacts(FACTS);
  const everybody = facts.flatMap(({ content }, i) => (i % 10 === 0 ? [{ content, scope: "all" as const }] : []));
  const given = emailsOf(facts).slice(0, EXAMPLES);
  return {
    ours: {
      async handle(userId, email) {
        const result = await assistant.handle(userId, email);
        if (result.status === "failed") throw new Error(`${email.id}: ${result.error}`);
        return result;
      },
      written,
    },
    openBare(asked) {
      const graph = createBareGraph({ chat: models.chat, asked, checkpointer: bare.checkpointer });
      return {
        handle: (userId, email, sample) =>
          graph.invoke(
            { email },
            { configurable: { thread_id: threadIdFor(userId, email), sample }, durability: "sync", recursionLimit: 32 },
          ),
        written: bareWritten,
      };
    },
    async furnish(userId) {
      await memory.saveProfile(userId, profile);
      await keepFacts(store, userId, facts);
      await keepFacts(store, userId, everybody);
      for (const [i, label] of labelSchema.options.entries()) {
        const some = given.filter((_, n) => n % labelSchema.options.length === i);
        await memory.examples.add(userId, some, label, GIVEN_AT);
      }
    },
    async [Symbol.asyncDispose]() {
      for (const each of opened.reverse()) await each[Symbol.asyncDispose]();
    },
  };
}

function countWrites(saver: BaseCheckpointSaver): () => Written {
  const written: Written = { checkpoints: 0, writes: 0, bytes: 0 };
  const { serde } = saver;
  const put = saver.put.bind(saver);
  const putWrites = saver.putWrites.bind(saver);
  saver.put = (...parameters) => {
    written.checkpoints += 1;
    return put(...parameters);
  };
  saver.putWrites = (...parameters) => {
    written.writes += 1;
    return putWrites(...parameters);
  };
  saver.serde = {
    async dumpsTyped(value) {
      const dumped = await serde.dumpsTyped(value);
      written.bytes += dumped[1].length;
      return dumped;
    },
    loadsTyped: (type, data) => serde.loadsTyped(type, data),
  };
  return () => ({ ...written });
}
