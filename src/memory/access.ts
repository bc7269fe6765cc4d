import type { BaseStore, Item, Operation, OperationResults } from "@langchain/langgraph-checkpoint";
import { MnemailError, renderError } from "../errors.ts";
import { count } from "../meter.ts";
import { inTurn, isConditional, putIf } from "../store/conditional-put.ts";
import type { ConditionalPut } from "../store/operations.ts";

const PAGE = 10_000;
const ATTEMPTS = 20;

/**
 * What the kinds of memory need of a store: batches, whole namespaces and conditional puts, each round trip counted.
 *
 * Methods throw MnemailError("store") when the store fails.
 */
export class StoreAccess {
  readonly #store: BaseStore;
  readonly #warn: (line: string) => void;

  constructor(store: BaseStore, warn: (line: string) => void) {
    this.#store = store;
    this.#warn = warn;
  }

  /** Whether a conditional put holds between processes too. */
  get isConditional(): boolean {
    return isConditional(this.#store);
  }

  /** Tells a store of ours what will be searched by, so that it can be embedded meanwhile. */
  expectQuery(query: string): void {
    if (isConditional(this.#store)) this.#store.expectQuery(query);
  }

  /** LangGraph's `batch`. */
  async batch<const Op extends Operation[]>(operations: Op): Promise<OperationResults<Op>> {
    count("store_round_trips");
    return this.#store.batch(operations).catch(storeFailure);
  }

  /** Reads at once; when that fails, one by one, so that a damaged record costs only itself. */
  async readEach<const Op extends Operation[]>(operations: Op) {
    try {
      return { results: await this.batch(operations), complete: true };
    } catch (error) {
      this.#warn(`memory cannot be read whole, so defaults stand in for the rest: ${renderError(error)}`);
    }
    const nothing = (op: Operation) => ("namespacePrefix" in op ? [] : null);
    const read = operations.map((op) =>
      this.batch([op]).then(
        ([found]) => found,
        () => nothing(op),
      ),
    );
    // The type follows the operations, as that of a batch does.
    return { results: (await Promise.all(read)) as OperationResults<Op>, complete: false };
  }

  /** Every item below a prefix, however many pages that takes. */
  async all(namespacePrefix: string[]): Promise<Item[]> {
    const found: Item[] = [];
    for (let offset = 0; ; offset += PAGE) {
      const [page] = await this.batch([{ namespacePrefix, limit: PAGE, offset }]);
      found.push(...page);
      if (page.length < PAGE) return found;
    }
  }

  /** {@link putIf} on this store. */
  async putIf(puts: readonly ConditionalPut[], options: { fleeting?: boolean } = {}): Promise<boolean> {
    count("store_round_trips");
    return putIf(this.#store, puts, options).catch(storeFailure);
  }

  /**
   * As {@link putIf}; where the embedding model fails, the texts are kept all the same, and words find them until a
   * reindex. What the user says is not lost because a model is down.
   */
  async putIfAnyway(puts: readonly ConditionalPut[]): Promise<boolean> {
    try {
      return await this.putIf(puts);
    } catch (error) {
      if (!(error instanceof MnemailError) || error.code !== "model" || !this.isConditional) throw error;
      this.#warn(
        `kept without a vector, so found by its words until \`mnemail memory reindex\`: ${renderError(error)}`,
      );
      return this.putIf(puts.map((put) => ({ ...put, embedLater: true })));
    }
  }

  /**
   * Tries a change of a user's memory until nobody else changed what it read; undefined is a try that failed. Changes of
   * one user take turns, so that they do not make each other's conditional puts fail.
   *
   * @throws MnemailError("store") after 20 tries.
   */
  async repeat<T>(userId: string, attempt: () => Promise<T | undefined>): Promise<T> {
    return this.inTurn(`learn ${userId}`, async () => {
      for (let tried = 0; tried < ATTEMPTS; tried += 1) {
        const done = await attempt();
        if (done !== undefined) return done;
      }
      throw new MnemailError("store", `memory changed ${ATTEMPTS} times while it was updated`, "try again");
    });
  }

  /** {@link inTurn} on this store. */
  async inTurn<T>(name: string, run: () => Promise<T>): Promise<T> {
    return inTurn(this.#store, name, run);
  }
}

/** Our own stores explain themselves; another's failure is said to be one. */
function storeFailure(error: unknown): never {
  if (error instanceof MnemailError) throw error;
  throw new MnemailError("store", `the store failed: ${renderError(error)}`, "nothing was changed", { cause: error });
}
