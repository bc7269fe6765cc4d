import { BaseStore, type Item, type Operation, type OperationResults } from "@langchain/langgraph-checkpoint";
import { MnemailError } from "../errors.ts";
import { Embedder, pathsOfFields, type StoreIndex } from "./embedder.ts";
import { refuseStrangeTimes } from "./kept-rows.ts";
import {
  type ConditionalPut,
  isGet,
  isListNamespaces,
  isPut,
  isSearch,
  type StoreOperation,
  selectNamespaces,
  validateAddress,
  validatePage,
  validatePrefix,
  validatePut,
  validateSearch,
} from "./operations.ts";
import type { JsonObject, KeptRow, RowBatch, RowDriver, RowHealth, RowScan, RowWrite } from "./row-driver.ts";
import { otherVectors, spaceForPeople, type VectorSpace } from "./vector-space.ts";

const REINDEX_PAGE = 100;

/**
 * Mnemail's LangGraph store: one implementation of `BaseStore` over a small {@link RowDriver}, so that every
 * backend validates, embeds and answers alike. Differs from LangGraph's `InMemoryStore` where that one
 * leaks or forgets: prefixes match by whole labels, values are copies, deleting removes vectors, a `query`
 * without embeddings ranks by words. A batch is one transaction; its reads see the state before its writes;
 * texts are embedded in one call before it begins, and before a connection is taken.
 */
export class MnemailStore extends BaseStore {
  /** Whether a batch is all or nothing and {@link putIf} holds between processes. */
  readonly isAtomic: boolean;
  readonly #driver: RowDriver;
  readonly #embedder: Embedder;
  readonly #warn: (line: string) => void;
  readonly #warned = new Set<string>();

  private constructor(driver: RowDriver, index: StoreIndex | undefined, warn: (line: string) => void) {
    super();
    this.#driver = driver;
    this.isAtomic = driver.isAtomic;
    this.#embedder = new Embedder(index, (line) => this.#warnOnce(line));
    this.#warn = warn;
  }

  /** Opens a store on a driver, which it owns from then on. `warn` is told once of each degraded search. */
  static async open(
    driver: RowDriver,
    options: { index?: StoreIndex; warn?: (line: string) => void } = {},
  ): Promise<MnemailStore> {
    const warn = options.warn ?? (() => {});
    const { index } = options;
    if (index && driver.withoutVectors !== undefined) {
      warn(`memory is searched by words alone: ${driver.withoutVectors}`);
      return new MnemailStore(driver, undefined, warn);
    }
    const store = new MnemailStore(driver, index, warn);
    const kept = index && (await driver.vectorSpace());
    if (kept && kept.model !== index.model) store.#warnOfOtherVectors(kept, index);
    return store;
  }

  override async batch<Op extends Operation[]>(operations: Op): Promise<OperationResults<Op>> {
    return (await this.#run(operations)).results as OperationResults<Op>;
  }

  /**
   * Puts all or nothing: when one expectation fails, nothing is written and the answer is false. This is how
   * two writers at once lose no update (compare-and-set on the value that was read), where the store is atomic. What is
   * `fleeting` outlives the process, but not always a power cut.
   *
   * @throws MnemailError("store") where a connection was lost and others wrote since, so that the answer is not known.
   * @throws TypeError when two puts are of one address.
   */
  async putIf(puts: readonly ConditionalPut[], options: { fleeting?: boolean } = {}): Promise<boolean> {
    refuseRepeatedAddresses(puts);
    return (await this.#run(puts, options)).applied;
  }

  /**
   * Begins to embed the text of a search that will come, so that the two need not wait for each other. Where it fails, the
   * search does as if it had asked itself.
   */
  expectQuery(query: string): void {
    this.#embedder.expect(query);
  }

  /** Puts an item that reads no longer see after so many minutes; a later plain put keeps it for good. */
  async putWithTtl(
    namespace: string[],
    key: string,
    value: JsonObject,
    ttlMinutes: number,
    index?: false | string[],
  ): Promise<void> {
    await this.#run([{ namespace, key, value, ttlMinutes, ...(index === undefined ? {} : { index }) }]);
  }

  /**
   * Puts items as they were kept elsewhere: with their times, and with vectors for the same fields. All or nothing.
   *
   * @throws TypeError when two items are of one address.
   */
  async restore(items: readonly KeptRow[]): Promise<void> {
    refuseRepeatedAddresses(items);
    for (const { namespace, key, value, ...times } of items) {
      validateAddress(namespace, key);
      refuseStrangeTimes(times);
      validatePut({ namespace, key, value });
    }
    await this.#write(items);
  }

  /**
   * All items at or below the prefixes as of one moment, ordered by namespace and key, in pages. `warn` is told of
   * those that cannot be read and are left out.
   */
  async *pages(prefixes: string[][], warn = (line: string) => this.#warnOnce(line)): AsyncGenerator<KeptRow[]> {
    for (const prefix of prefixes) validatePrefix(prefix);
    for await (const { rows, unreadable } of this.#driver.pages(prefixes)) {
      if (unreadable > 0) warn(`records that cannot be read are left out: ${unreadable}`);
      yield rows;
    }
  }

  /** Why this store keeps no vectors, in one line for people; undefined when it does. */
  get withoutVectors(): string | undefined {
    return this.#driver.withoutVectors;
  }

  /** Removes every item at or below the prefixes, as {@link RowDriver.drop}; returns how many there were. */
  async drop(prefixes: string[][]): Promise<number> {
    for (const prefix of prefixes) validatePrefix(prefix);
    return this.#driver.drop(prefixes);
  }

  /** Removes the items whose time is over; returns how many. Reads hide them all the same. */
  async sweep(): Promise<number> {
    return this.#driver.sweep();
  }

  /**
   * Removes what is past its time, and all traces of what was removed before, from the files too where the backend has
   * some. Returns what it could not do, in lines for people.
   *
   * @throws MnemailError("store") when other processes kept it from that.
   */
  async erase(): Promise<string[]> {
    await this.#driver.sweep();
    return (await this.#driver.vacuum?.()) ?? [];
  }

  /** What the backend says about itself. */
  async health(): Promise<RowHealth> {
    return this.#driver.health();
  }

  /**
   * Gives every indexed field a vector of this store's embedding model: those of another model, and those that were
   * put while no embeddings could be had. Runs beside other readers and writers; what was done stays done when it
   * is interrupted, and a search finds the fields that still wait by their words. Returns how many items it did.
   *
   * @throws MnemailError("store") where there are no embeddings or no vectors can be kept.
   */
  async reindex(onProgress: (done: number, waiting: number) => void = () => {}): Promise<number> {
    const space = await this.#embedder.probe();
    if (!space) {
      const why = this.#driver.withoutVectors ?? "no embedding model is set";
      throw new MnemailError("store", `there is nothing to index with: ${why}`);
    }
    await this.#driver.resetVectors(space);
    let done = 0;
    for (;;) {
      const inForce = await this.#driver.vectorSpace();
      if (inForce && inForce.model !== space.model) {
        throw new MnemailError(
          "store",
          `another process began to index for ${spaceForPeople(inForce)}`,
          "use one model, and one VECTOR_URL",
        );
      }
      const { rows, waiting } = await this.#driver.unembedded(REINDEX_PAGE);
      if (rows.length === 0) return done;
      // Who changed an item meanwhile has also made its vectors.
      const items = rows.map((row) => ({ ...row, expected: row.value }));
      if (!(await this.#write(items))) for (const item of items) await this.#write([item]);
      done += rows.length;
      onProgress(done, waiting);
    }
  }

  /** Writes a copy of the whole database to a new file; undefined where the backend has no such copy. */
  get backup(): ((path: string) => Promise<void>) | undefined {
    return this.#driver.backup?.bind(this.#driver);
  }

  /** What holds the rows, for what only some backends can. */
  get driver(): RowDriver {
    return this.#driver;
  }

  /** Releases the driver. */
  override async stop(): Promise<void> {
    await this.#driver.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(
    operations: readonly StoreOperation[],
    { fleeting = false }: { fleeting?: boolean } = {},
  ): Promise<{ results: unknown[]; applied: boolean }> {
    const gets = operations.filter(isGet);
    const searches = operations.filter(isSearch);
    const lists = operations.filter(isListNamespaces);
    // The last write to an address wins, as in InMemoryStore and Python's stores.
    const puts = [
      ...new Map(operations.filter(isPut).map((op) => [JSON.stringify([op.namespace, op.key]), op])).values(),
    ];
    for (const op of [...gets, ...puts]) validateAddress(op.namespace, op.key);
    for (const op of puts) validatePut(op);
    for (const op of searches) validateSearch(op);
    for (const op of lists) validatePage(op);

    const { writes, queries, space } = await this.#embedder.embedBatch(puts.map(copyPut), searches);
    const result = await this.#runDriver({
      gets: gets.map(({ namespace, key }) => ({ namespace, key })),
      scans: searches.map((op): RowScan => {
        const query = op.query?.trim() ? op.query : undefined;
        return {
          prefix: op.namespacePrefix,
          filter: op.filter ?? {},
          ranking: query === undefined ? undefined : { query, near: queries.get(query), by: op.ranking ?? "vector" },
          offset: op.offset ?? 0,
          limit: op.limit ?? 10,
        };
      }),
      listNamespaces: lists.length > 0,
      writes,
      space,
      fleeting,
    });
    return {
      applied: result.applied,
      results: operations.map((op): Item | null | Item[] | string[][] | undefined => {
        if (isSearch(op)) return result.scans[searches.indexOf(op)] ?? [];
        if (isGet(op)) return result.gets[gets.indexOf(op)] ?? null;
        if (isListNamespaces(op)) return selectNamespaces(result.namespaces, op);
        return undefined;
      }),
    };
  }

  async #write(items: readonly (KeptRow & { expected?: JsonObject })[]): Promise<boolean> {
    const puts = items.map(({ ttlMinutes: _, ...item }) => ({ ...item, index: pathsOfFields(item.fields) }));
    const { writes, space } = await this.#embedder.embedBatch(puts, []);
    const kept = writes.map((write, i): RowWrite => {
      const item = items[i];
      return item ? { ...write, kept: item } : write;
    });
    return (await this.#runDriver({ gets: [], scans: [], listNamespaces: false, writes: kept, space })).applied;
  }

  async #runDriver(batch: RowBatch) {
    const result = await this.#driver.run(batch);
    if (result.unreadable > 0) this.#warnOnce(`records that cannot be read are left out: ${result.unreadable}`);
    const kept = result.comparable ? undefined : await this.#driver.vectorSpace();
    if (kept && batch.space) this.#warnOfOtherVectors(kept, batch.space);
    return result;
  }

  #warnOfOtherVectors(kept: VectorSpace, own: { model: string; dimensions?: number }): void {
    this.#warnOnce(otherVectors(kept, own));
  }

  #warnOnce(line: string): void {
    if (this.#warned.has(line)) return;
    this.#warned.add(line);
    this.#warn(line);
  }
}

/** Its value as it is now, whatever the caller does to it while its texts are embedded. */
function copyPut<T extends ConditionalPut>(put: T): T {
  return put.value === null ? put : { ...put, value: JSON.parse(JSON.stringify(put.value)) };
}

function refuseRepeatedAddresses(puts: readonly { namespace: string[]; key: string }[]): void {
  const addresses = new Set(puts.map(({ namespace, key }) => JSON.stringify([namespace, key])));
  if (addresses.size < puts.length) throw new TypeError("puts: expected one for each address");
}
