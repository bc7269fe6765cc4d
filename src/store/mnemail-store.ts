import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import {
  BaseStore,
  type Item,
  type ListNamespacesOperation,
  type Operation,
  type OperationResults,
  type PutOperation,
  type SearchItem,
  type SearchOperation,
} from "@langchain/langgraph-checkpoint";
import { matchesFilter } from "./filter.ts";
import {
  type ConditionalPut,
  equalities,
  isGet,
  isListNamespaces,
  isPut,
  isSearch,
  validateAddress,
  validateSearch,
  validateValue,
} from "./operations.ts";
import { rankByVector, rankByWords, textsAtPath } from "./ranking.ts";
import type { FieldVector, RowDriver, RowWrite, ScannedRow } from "./row-driver.ts";

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

/**
 * Mnemail's LangGraph store: one implementation of `BaseStore` over a small {@link RowDriver}, so that every
 * backend validates, filters, ranks and pages alike. Differs from LangGraph's `InMemoryStore` where that one
 * leaks or forgets: prefixes match by whole labels, values are copies, deleting removes vectors, a `query`
 * without embeddings ranks by words. A batch is one transaction; its reads see the state before its writes;
 * texts are embedded in one call before it begins.
 */
export class MnemailStore extends BaseStore {
  readonly #driver: RowDriver;
  readonly #index: StoreIndex | undefined;
  readonly #warn: (line: string) => void;
  readonly #warned = new Set<string>();
  /** The last queries' vectors: the nodes that handle one email search by the same text. */
  readonly #queryVectors = new Map<string, Float32Array>();

  private constructor(driver: RowDriver, index: StoreIndex | undefined, warn: (line: string) => void) {
    super();
    this.#driver = driver;
    this.#index = index;
    this.#warn = warn;
  }

  /** Opens a store on a driver, which it owns from then on. `warn` is told once of each degraded search. */
  static async open(
    driver: RowDriver,
    options: { index?: StoreIndex; warn?: (line: string) => void } = {},
  ): Promise<MnemailStore> {
    const warn = options.warn ?? (() => {});
    const { index } = options;
    if (!index) return new MnemailStore(driver, undefined, warn);
    const inForce = await driver.claimEmbeddingModel(index.model);
    if (inForce === index.model) return new MnemailStore(driver, index, warn);
    warn(
      `memory holds vectors of the embedding model "${inForce}", not of "${index.model}": it is searched by words alone (another STORE_URL starts afresh)`,
    );
    return new MnemailStore(driver, undefined, warn);
  }

  override async batch<Op extends Operation[]>(operations: Op): Promise<OperationResults<Op>> {
    return (await this.#run(operations)).results as OperationResults<Op>;
  }

  /**
   * Puts all or nothing: when one expectation fails, nothing is written and the answer is false. This is how
   * two writers at once lose no update (compare-and-set on the value that was read).
   *
   * @throws TypeError when two puts are of one address.
   */
  async putIf(puts: readonly ConditionalPut[]): Promise<boolean> {
    const addresses = new Set(puts.map(({ namespace, key }) => JSON.stringify([namespace, key])));
    if (addresses.size < puts.length) throw new TypeError("putIf: expected one put for each address");
    return (await this.#run([...puts])).applied;
  }

  /** Releases the driver. */
  override async stop(): Promise<void> {
    await this.#driver.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(operations: readonly (Operation | ConditionalPut)[]): Promise<{ results: unknown[]; applied: boolean }> {
    const gets = operations.filter(isGet);
    const searches = operations.filter(isSearch);
    // The last write to an address wins, as in InMemoryStore and Python's stores.
    const puts = [
      ...new Map(operations.filter(isPut).map((op) => [JSON.stringify([op.namespace, op.key]), op])).values(),
    ];
    for (const op of [...gets, ...puts]) validateAddress(op.namespace, op.key);
    for (const op of puts) validateValue(op.value);
    for (const op of searches) validateSearch(op);

    const { writes, queries } = await this.#embed(puts, searches);
    const result = await this.#driver.run({
      gets: gets.map(({ namespace, key }) => ({ namespace, key })),
      scans: searches.map((op) => ({
        prefix: op.namespacePrefix,
        withVectors: queries.has(op.query ?? ""),
        equal: equalities(op.filter),
      })),
      listNamespaces: operations.some(isListNamespaces),
      writes,
    });
    if (result.unreadable > 0) this.#warnOnce(`records that cannot be read are left out: ${result.unreadable}`);
    return {
      applied: result.applied,
      results: operations.map((op): Item | null | SearchItem[] | string[][] | undefined => {
        if (isSearch(op)) return rank(result.scans[searches.indexOf(op)] ?? [], op, queries.get(op.query ?? ""));
        if (isGet(op)) return result.gets[gets.indexOf(op)] ?? null;
        if (isListNamespaces(op)) return selectNamespaces(result.namespaces, op);
        return undefined;
      }),
    };
  }

  /** One embedding call for all texts of a batch. A search survives its failure by ranking words; a put does not. */
  async #embed(
    puts: readonly (PutOperation | ConditionalPut)[],
    searches: readonly SearchOperation[],
  ): Promise<{ writes: RowWrite[]; queries: Map<string, Float32Array> }> {
    const queries = new Set(searches.flatMap((op) => (op.query?.trim() ? [op.query] : [])));
    const fields = puts.map((op) => this.#textsToEmbed(op));
    const texts = [...queries, ...fields.flat().map((each) => each.text)];
    const vectors = await this.#vectorsOf(texts, { mayFail: fields.every((each) => each.length === 0) });
    const writes = puts.map((op, i): RowWrite => {
      const embedded = (fields[i] ?? []).flatMap(({ field, text }): FieldVector[] => {
        const embedding = vectors.get(text);
        return embedding ? [{ field, embedding }] : [];
      });
      const write: RowWrite = { namespace: op.namespace, key: op.key, value: op.value, vectors: embedded };
      return "expected" in op && op.expected !== undefined ? { ...write, expected: op.expected } : write;
    });
    const found = new Map([...vectors].filter(([text]) => queries.has(text)));
    for (const [text, vector] of found) this.#rememberQuery(text, vector);
    return { writes, queries: found };
  }

  async #vectorsOf(texts: readonly string[], options: { mayFail: boolean }): Promise<Map<string, Float32Array>> {
    const vectors = new Map([...this.#queryVectors].filter(([text]) => texts.includes(text)));
    const missing = [...new Set(texts)].filter((text) => !vectors.has(text));
    if (!this.#index || missing.length === 0) return vectors;
    try {
      const inputs = missing.map((text) => text.slice(0, EMBEDDED_TEXT_LIMIT).toWellFormed());
      const found = await this.#index.embeddings.embedDocuments(inputs);
      for (const [i, text] of missing.entries()) {
        const vector = found[i];
        if (!vector?.length) throw new TypeError("embeddings: the model answered with no vector");
        vectors.set(text, Float32Array.from(vector));
      }
    } catch (error) {
      if (!options.mayFail) throw error;
      this.#warnOnce(`memory is searched by words alone: ${error instanceof Error ? error.message : String(error)}`);
    }
    return vectors;
  }

  #rememberQuery(text: string, vector: Float32Array): void {
    this.#queryVectors.delete(text);
    this.#queryVectors.set(text, vector);
    const [oldest] = this.#queryVectors.keys();
    if (this.#queryVectors.size > REMEMBERED_QUERIES && oldest !== undefined) this.#queryVectors.delete(oldest);
  }

  #textsToEmbed(op: PutOperation | ConditionalPut): { field: string; text: string }[] {
    const { value } = op;
    if (!this.#index || value === null || op.index === false) return [];
    return (op.index ?? this.#index.fields ?? ["$"]).flatMap((path) => {
      const texts = textsAtPath(value, path).filter((text) => text.trim() !== "");
      return texts.map((text, i) => ({ field: texts.length > 1 ? `${path}.${i}` : path, text }));
    });
  }

  #warnOnce(line: string): void {
    if (this.#warned.has(line)) return;
    this.#warned.add(line);
    this.#warn(line);
  }
}

function rank(rows: readonly ScannedRow[], op: SearchOperation, query: Float32Array | undefined): SearchItem[] {
  const offset = op.offset ?? 0;
  const matching = rows.filter((row) => matchesFilter(row.value, op.filter));
  const ranked = query
    ? rankByVector(matching, query)
    : op.query?.trim()
      ? rankByWords(matching, op.query)
      : matching.map((row) => ({ row, score: undefined }));
  return ranked.slice(offset, offset + (op.limit ?? 10)).map(({ row: { vectors: _, ...item }, score }) => {
    return score === undefined ? item : { ...item, score };
  });
}

function selectNamespaces(all: readonly string[][], op: ListNamespacesOperation): string[][] {
  const matching = all.filter((namespace) =>
    (op.matchConditions ?? []).every(({ matchType, path }) => {
      const part = matchType === "prefix" ? namespace.slice(0, path.length) : namespace.slice(-path.length);
      return part.length === path.length && part.every((label, i) => path[i] === "*" || path[i] === label);
    }),
  );
  const cut = matching.map((namespace) => namespace.slice(0, op.maxDepth ?? namespace.length));
  const distinct = [...new Map(cut.map((namespace) => [namespace.join("."), namespace])).entries()];
  distinct.sort(([a], [b]) => (a < b ? -1 : 1));
  const offset = op.offset ?? 0;
  return distinct.slice(offset, offset + (op.limit ?? 100)).map(([, namespace]) => namespace);
}
