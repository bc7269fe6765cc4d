import type { BaseStore } from "@langchain/langgraph-checkpoint";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { embedText } from "../../../src/stand-in/embedding.ts";
import type { StoreIndex } from "../../../src/store/embedder.ts";
import { MnemailStore } from "../../../src/store/mnemail-store.ts";
import type { SearchLanguage } from "../../../src/store/tokens.ts";

/** How a clause wants its store opened: with vectors unless `index` is null. */
export interface OpenOptions {
  index?: StoreIndex | null;
  language?: SearchLanguage;
  warn?: (line: string) => void;
}

/** A store to be held to the contract. Each clause opens one that is empty, and `release` ends whatever it opened. */
export interface StoreUnderTest {
  open(options: OpenOptions): Promise<BaseStore>;
  /** Opens the same data again after all handles were closed; absent where nothing survives that. */
  reopen?(options: OpenOptions): Promise<BaseStore>;
  /** Another handle on the same data, as another process would have it. */
  openSecond?(options: OpenOptions): Promise<BaseStore>;
  release(): Promise<void>;
  /** The clauses that the store breaks, by name, with the reason; one that it keeps after all fails. */
  differences: Record<string, string>;
}

/** What a clause works with. */
export interface Trial {
  open(options?: OpenOptions): Promise<BaseStore>;
  /** As `open`, with what our stores have beyond LangGraph's contract. */
  openOurs(options?: OpenOptions): Promise<MnemailStore>;
  reopen(options?: OpenOptions): Promise<MnemailStore>;
  openSecond(options?: OpenOptions): Promise<MnemailStore>;
}

/** One sentence of the contract and its proof. */
export interface Clause {
  name: string;
  run(trial: Trial): Promise<void>;
}

/** Makes a group of clauses from sentences and proofs. */
export function clauses(group: Record<string, (trial: Trial) => Promise<void>>): Clause[] {
  return Object.entries(group).map(([name, run]) => ({ name, run }));
}

/** An index of the stand-in's embeddings, in process; `model` and `dimensions` as of another embedding model. */
export function indexOf(model = "stand-in", dimensions = 64): StoreIndex {
  const embed = (text: string) => [...embedText(text, dimensions)];
  return {
    model,
    embeddings: { embedDocuments: async (texts) => texts.map(embed), embedQuery: async (text) => embed(text) },
  };
}

/** What a machine may lack, by the beginning of the names of the stores that need it. */
const NEEDED: Record<string, string> = {
  Redis: "redis-server on PATH",
  "PostgreSQL (PostgreSQL": "a PostgreSQL server: initdb and postgres in /usr/lib/postgresql or on PATH",
  "hybrid: SQLite and a Chroma": "the packages that test/store/hybrid/install-packages.sh installs",
  "hybrid: SQLite and Qdrant": "the packages that test/store/hybrid/install-packages.sh installs",
  "hybrid: SQLite and Pinecone": "the packages that test/store/hybrid/install-packages.sh installs",
  "hybrid: SQLite and Weaviate": "the packages that test/store/hybrid/install-packages.sh installs",
};

/** What was run, and what is declared of it. */
const summary = new Map<string, Record<string, string>>();
let isSummaryAwaited = false;

/** Every declared difference with its reason, and the stores that a machine lacks. */
function renderSummary(): string {
  /** The stores by what they declare: clause and reason. */
  const storesOf = new Map<string, string[]>();
  for (const [name, differences] of summary) {
    for (const each of Object.entries(differences)) {
      const declared = JSON.stringify(each);
      storesOf.set(declared, [...(storesOf.get(declared) ?? []), name]);
    }
  }
  const clausesOf = new Map<string, string[]>();
  for (const [declared, names] of storesOf) {
    const [clause, reason] = z.tuple([z.string(), z.string()]).parse(JSON.parse(declared));
    const heading = `- ${reason} (${names.join("; ")})`;
    clausesOf.set(heading, [...(clausesOf.get(heading) ?? []), `    ${clause}`]);
  }
  const isRun = (beginning: string) => [...summary.keys()].some((name) => name.startsWith(beginning));
  const lacking = Object.entries(NEEDED).filter(([beginning]) => !isRun(beginning));
  return [
    "conformance: declared differences, each with the clauses it is about",
    ...[...clausesOf].flatMap(([heading, clauses]) => [heading, ...clauses]),
    ...(lacking.length > 0 ? ["conformance: not run"] : []),
    ...lacking.map(([beginning, needed]) => `- ${beginning}…: needs ${needed}`),
  ].join("\n");
}

/** Runs every clause on a store; those declared as differences have to fail. */
export function describeStore(name: string, all: readonly Clause[], prepare: () => Promise<StoreUnderTest>): void {
  // At the end of the file, since the first store is described at its top.
  if (!isSummaryAwaited) {
    afterAll(() => {
      console.log(renderSummary());
      summary.clear();
      isSummaryAwaited = false;
    });
  }
  isSummaryAwaited = true;
  describe(`${name}: the contract of a store`, () => {
    let subject: StoreUnderTest;
    beforeEach(async () => {
      subject = await prepare();
    });
    afterEach(() => subject.release());
    afterAll(() => {
      summary.set(name, subject.differences);
      console.log(
        `conformance: ${name} ${all.length} clauses, ${Object.keys(subject.differences).length} declared differences`,
      );
    });

    test("every declared difference is a clause", () => {
      const names = new Set(all.map((clause) => clause.name));
      expect(Object.keys(subject.differences).filter((each) => !names.has(each))).toEqual([]);
    });

    for (const { name: sentence, run } of all) {
      test(sentence, async () => {
        const reason = subject.differences[sentence];
        if (reason === undefined) return run(trialOf(subject));
        const kept = await run(trialOf(subject)).then(
          () => true,
          () => false,
        );
        expect(kept, `declared as a difference (${reason}), and kept: remove the declaration`).toBe(false);
      });
    }
  });
}

function trialOf(subject: StoreUnderTest): Trial {
  const ours = (store: BaseStore): MnemailStore => {
    if (store instanceof MnemailStore) return store;
    throw new TypeError("this store has only what LangGraph's contract asks for");
  };
  const withIndex = (options: OpenOptions = {}) => ({ ...options, index: options.index ?? null });
  const defaults = (options: OpenOptions = {}) => withIndex({ index: indexOf(), ...options });
  const need = <T>(opener: T | undefined, what: string): T => {
    if (opener) return opener;
    throw new TypeError(`this store has no ${what}`);
  };
  return {
    open: (options) => subject.open(defaults(options)),
    openOurs: async (options) => ours(await subject.open(defaults(options))),
    reopen: async (options) => ours(await need(subject.reopen, "reopening")(defaults(options))),
    openSecond: async (options) => ours(await need(subject.openSecond, "second handle")(defaults(options))),
  };
}
