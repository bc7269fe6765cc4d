import { MnemailError } from "../../errors.ts";
import { messageOf } from "./hybrid-batch.ts";

const REINDEX = "`mnemail memory reindex`";

/** Calls of a vector database, which may fail: most must not stop what is under way. */
export class Attempts {
  readonly #name: string;
  readonly #warn: (line: string) => void;
  readonly #warned = new Set<string>();

  /** `name` is the database's, for people. */
  constructor(name: string, warn: (line: string) => void) {
    this.#name = name;
    this.#warn = warn;
  }

  /** What `run` gives; undefined where it fails, and one warning of the consequence. */
  async trying<T>(consequence: string, run: () => Promise<T>): Promise<T | undefined> {
    try {
      return await run();
    } catch (error) {
      const hint = error instanceof MnemailError ? error.hint : undefined;
      const todo = hint === undefined ? `${REINDEX} mends it` : `${hint}; then ${REINDEX}`;
      if (!this.hasWarned(consequence)) this.#warn(`${consequence}: ${this.#lineOf(error)} (${todo})`);
      this.#warned.add(consequence);
      return undefined;
    }
  }

  /** Whether it was said already. */
  hasWarned(consequence: string): boolean {
    return this.#warned.has(consequence);
  }

  /** What `run` gives. @throws MnemailError("store") with the database's name. */
  async asked<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (error instanceof MnemailError) throw error;
      const hint = "the documents are as they were; try again";
      throw new MnemailError("store", this.#lineOf(error), hint, { cause: error });
    }
  }

  #lineOf(error: unknown): string {
    const what = messageOf(error);
    return what.includes(this.#name) ? what : `${this.#name}: ${what}`;
  }
}
