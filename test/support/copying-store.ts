import { BaseStore, type Operation, type OperationResults } from "@langchain/langgraph-checkpoint";

/**
 * A handle on a store as somebody else could have written one: no conditional put, and a batch that is nothing but its
 * operations one after another. `step` comes before each of them, and may wait, or fail as a crash would.
 */
export class PlainStore extends BaseStore {
  readonly #data: BaseStore;
  readonly #step: (operation: Operation) => Promise<void>;

  /** Handles on one `data` are to each other as those of two processes: nothing but the data is shared. */
  constructor(data: BaseStore, step: (operation: Operation) => Promise<void> = async () => {}) {
    super();
    this.#data = data;
    this.#step = step;
  }

  override async batch<Op extends Operation[]>(operations: Op): Promise<OperationResults<Op>> {
    const results: unknown[] = [];
    for (const each of operations) {
      await this.#step(each);
      results.push(...(await this.#data.batch([each])));
    }
    // The type follows the operations, as that of a batch does.
    return results as OperationResults<Op>;
  }
}
