import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import { ahead } from "../meter.ts";
import { throughJson } from "./json-equal.ts";
import type { ConditionalPut } from "./operations.ts";
import type { JsonObject, RowWrite } from "./row-driver.ts";
import type { VectorSpace } from "./vector-space.ts";

/** Characters of one text that are embedded; models refuse more than some 8,000 tokens. */
const EMBEDDED_TEXT_LIMIT = 8_000;
const REMEMBERED_QUERIES = 64;

/** How items are made searchable by meaning. */
export interface StoreIndex {
  embeddings: EmbeddingsInterface;
  /** Names the vectors: those of another model are never compared with these. */
  model: string;
  /** Paths that are embedded when a put names none; `$`, the whole value, by default. */
  fields?: string[];
}

/** One text to embed, with the name of the field it is of. */
interface FieldText {
  field: string;
  text: string;
}

/** What a batch writes and searches by, with its vectors. */
export interface EmbeddedBatch {
  writes: RowWrite[];
  /** The vector of each query that has one. */
  queries: Map<string, Float32Array>;
  /** The space of these vectors; undefined when there are none. */
  space: VectorSpace | undefined;
}

/**
 * Turns texts into vectors, all of a batch in one call, and remembers those of the last queries: the nodes that
 * handle one email search by the same text. Without an index, fields wait for their vectors.
 */
export class Embedder {
  readonly #index: StoreIndex | undefined;
  readonly #warn: (line: string) => void;
  readonly #queries = new Map<string, Float32Array>();
  /** Queries that are being embedded before a search asks for them. */
  readonly #expected = new Map<string, ReturnType<typeof ahead<Float32Array>>>();

  constructor(index: StoreIndex | undefined, warn: (line: string) => void) {
    this.#index = index;
    this.#warn = warn;
  }

  /** The name of the embedding model; undefined when there is none. */
  get model(): string | undefined {
    return this.#index?.model;
  }

  /** The space of the model's vectors, found by asking it for one; undefined when there is no model. */
  async probe(): Promise<VectorSpace | undefined> {
    const text = { namespace: [], key: "", value: { text: "dimensions" }, index: ["text"] };
    return (await this.embedBatch([text], [])).space;
  }

  /** Begins to embed what will be searched by, while its caller does something else. A failure is the search's. */
  expect(query: string): void {
    const index = this.#index;
    if (!index || query.trim() === "" || this.#queries.has(query) || this.#expected.has(query)) return;
    const asked = ahead(async () => (await embedAll(index.embeddings, [query]))[0] ?? new Float32Array());
    this.#expected.set(query, asked);
    asked.result.catch(() => {});
    const [oldest] = this.#expected.keys();
    if (this.#expected.size > REMEMBERED_QUERIES && oldest !== undefined) this.#expected.delete(oldest);
  }

  /**
   * Embeds what a batch puts and searches by. A search survives a failure by ranking words; a put does not.
   *
   * @throws what the embeddings throw; TypeError when they answer with no vector or with vectors of several lengths.
   */
  async embedBatch(
    puts: readonly ConditionalPut[],
    searches: readonly { query?: string; ranking?: string }[],
  ): Promise<EmbeddedBatch> {
    const fields = puts.map(({ value, index }) =>
      value === null || index === false ? [] : textsOfFields(value, index ?? this.#index?.fields ?? ["$"]),
    );
    const queries = new Set(
      searches.flatMap(({ query, ranking }) => (query?.trim() && ranking !== "words" ? [query] : [])),
    );
    const texts = fields.flatMap((each, i) => (puts[i]?.embedLater ? [] : each.map(({ text }) => text)));
    const vectors = await this.#vectorsOf(queries, texts);
    const writes = puts.map(({ namespace, key, value, expected, ttlMinutes }, i): RowWrite => {
      const ofFields = (fields[i] ?? []).map(({ field, text }) => ({ field, embedding: vectors.get(text) ?? null }));
      return {
        ...{ namespace, key, value, vectors: ofFields },
        ...(expected === undefined ? {} : { expected }),
        ...(ttlMinutes === undefined ? {} : { ttlMinutes }),
      };
    });
    const [first] = vectors.values();
    return {
      writes,
      queries: new Map([...vectors].filter(([text]) => queries.has(text))),
      space: this.#index && first ? { model: this.#index.model, dimensions: first.length } : undefined,
    };
  }

  async #vectorsOf(queries: ReadonlySet<string>, texts: readonly string[]): Promise<Map<string, Float32Array>> {
    if (!this.#index) return new Map();
    try {
      return await this.#embed(this.#index.embeddings, queries, texts);
    } catch (error) {
      if (texts.length > 0) throw error;
      this.#warn(`memory is searched by words alone: ${error instanceof Error ? error.message : String(error)}`);
      return new Map();
    }
  }

  async #embed(embeddings: EmbeddingsInterface, queries: ReadonlySet<string>, texts: readonly string[]) {
    const wanted = new Set([...queries, ...texts]);
    const vectors = new Map<string, Float32Array>();
    for (const text of wanted) {
      const vector = this.#queries.get(text) ?? (await this.#take(text));
      if (vector) vectors.set(text, vector);
    }
    const missing = [...wanted].filter((text) => !vectors.has(text));
    if (missing.length > 0) {
      const found = await embedAll(embeddings, missing);
      for (const [i, text] of missing.entries()) vectors.set(text, found[i] ?? new Float32Array());
    }
    const lengths = new Set([...vectors.values()].map((vector) => vector.length));
    if (lengths.has(0)) throw new TypeError("embeddings: the model answered with no vector");
    if (lengths.size > 1) {
      // Those that are remembered came before the model changed its mind.
      this.#queries.clear();
      throw new TypeError(
        `embeddings: the model answered with vectors of several lengths (${[...lengths].join(", ")})`,
      );
    }
    for (const query of queries) this.#remember(query, vectors.get(query));
    return vectors;
  }

  /** The vector of a query that was expected: whoever takes it is charged with the call. */
  async #take(query: string): Promise<Float32Array | undefined> {
    const asked = this.#expected.get(query);
    if (!asked) return undefined;
    try {
      return await asked.result;
    } finally {
      asked.charge();
      if (this.#expected.get(query) === asked) this.#expected.delete(query);
    }
  }

  #remember(text: string, vector: Float32Array | undefined): void {
    if (!vector) return;
    this.#queries.delete(text);
    this.#queries.set(text, vector);
    const [oldest] = this.#queries.keys();
    if (this.#queries.size > REMEMBERED_QUERIES && oldest !== undefined) this.#queries.delete(oldest);
  }
}

/** The vector of each text, in one call; an empty one where the model answered with none. */
async function embedAll(embeddings: EmbeddingsInterface, texts: readonly string[]): Promise<Float32Array[]> {
  const found = await embeddings.embedDocuments(texts.map((text) => text.slice(0, EMBEDDED_TEXT_LIMIT).toWellFormed()));
  return texts.map((_, i) => Float32Array.from(found[i] ?? []));
}

/** The texts of a value that are embedded for the given paths; blank ones are not. */
function textsOfFields(value: JsonObject, paths: readonly string[]): FieldText[] {
  return paths.flatMap((path) => {
    const texts = textsAtPath(value, path).filter((text) => text.trim() !== "");
    return texts.map((text, i) => ({ field: texts.length > 1 ? `${path}.${i}` : path, text }));
  });
}

/** The paths that a stored item's fields came from: a path of several texts has numbered fields. */
export function pathsOfFields(fields: readonly string[]): string[] {
  return [...new Set(fields.map((field) => (field.includes("[") ? field.replace(/\.\d+$/, "") : field)))];
}

/**
 * The texts at a path of a value, as LangGraph's index configuration writes paths: `$` for the whole value,
 * `a.b`, `a[0]`, `a[-1].b`, `a[*].b`. Objects give their JSON.
 */
function textsAtPath(value: JsonObject, path: string): string[] {
  if (path === "$") return [JSON.stringify(value)];
  const steps = path.match(/[^.[\]]+|\[(?:\*|-?\d+)\]/g) ?? [];
  // As it will be read back, so that embedding it again gives the same text.
  const found = steps.reduce<unknown[]>((at, step) => at.flatMap((each) => follow(each, step)), [throughJson(value)]);
  return found.flatMap((each) => {
    if (each === null || each === undefined) return [];
    return [typeof each === "object" ? JSON.stringify(each) : String(each)];
  });
}

function follow(value: unknown, step: string): unknown[] {
  if (typeof value !== "object" || value === null) return [];
  if (!step.startsWith("["))
    return Object.hasOwn(value, step) ? [Object.entries(value).find(([k]) => k === step)?.[1]] : [];
  if (!Array.isArray(value)) return [];
  return step === "[*]" ? value : value.slice(Number(step.slice(1, -1))).slice(0, 1);
}
