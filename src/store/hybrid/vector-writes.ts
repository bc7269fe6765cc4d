import { addressText, type JsonObject, type RowDriver, type RowWrite } from "../row-driver.ts";
import type { VectorSpace } from "../vector-space.ts";
import type { Attempts } from "./attempts.ts";
import { NOTHING, timesOf } from "./hybrid-batch.ts";
import { MARK, markSpace } from "./mark-space.ts";
import { type IndexedVector, indexedVector, parseAbout, type VectorIndex, versionOf } from "./vector-index.ts";

/** Versions without vectors that are remembered, so that replacing them asks the vector database nothing. */
const REMEMBERED_VERSIONS = 10_000;
/** Versions that are asked for at once. */
const CHUNK = 200;
/** What becomes of vectors that cannot be removed. */
export const STAY = "vectors of what was removed stay for now, and are served to nobody";
const WAITS = "what is put waits for its vectors";

/** What happens in the vector database after the documents were written. */
export class VectorWrites {
  readonly #documents: RowDriver;
  readonly #vectors: VectorIndex;
  readonly #attempts: Attempts;
  /** Versions that were written without a vector; the oldest first. */
  readonly #bare = new Set<string>();

  constructor(documents: RowDriver, vectors: VectorIndex, attempts: Attempts) {
    this.#documents = documents;
    this.#vectors = vectors;
    this.#attempts = attempts;
  }

  /**
   * Keeps the vectors of documents that were written with their fields waiting, and then marks the fields of those that
   * are the same still. False when the documents hold vectors of another space by now; nothing is kept then.
   */
  async keep(writes: readonly RowWrite[], space: VectorSpace): Promise<boolean> {
    const vectors = vectorsOf(writes, space);
    if (vectors.length === 0) return true;
    const add = () => this.#vectors.add(vectors).then(() => true);
    // Only a reindex writes, with its times, what it has read: it has nothing else to do, and must end.
    const isReindex = writes.every(({ kept, expected }) => kept !== undefined && expected !== undefined);
    if (isReindex) await this.#attempts.asked(add);
    else if (!(await this.#attempts.trying(WAITS, add))) return true;
    const comparable = await this.#attempts.trying(WAITS, () => this.#mark(writes, space));
    if (comparable !== true) await this.#removeUnused(vectors, comparable === false);
    return comparable !== false;
  }

  /** Removes the vectors of what writes replaced or deleted, but those that they themselves have. */
  async removeReplaced(
    writes: readonly RowWrite[],
    values: readonly (JsonObject | null | undefined)[],
    space: VectorSpace | undefined,
  ): Promise<void> {
    const replaced = writes.flatMap((write, i) => {
      const value = values[i];
      const version = value && versionOf(write, value);
      return version && !this.#bare.has(version) ? [version] : [];
    });
    for (const write of writes) if (write.value) this.#remember(write, versionOf(write, write.value));
    const keep = new Set(space && vectorsOf(writes, space).map(({ id }) => id));
    await this.#attempts.trying(STAY, async () => {
      for (let at = 0; at < replaced.length; at += CHUNK) {
        const where = { name: "version", values: replaced.slice(at, at + CHUNK) };
        const ids = await this.#vectors.find(where, space?.dimensions);
        await this.#vectors.remove(ids.filter((id) => !keep.has(id)));
      }
    });
  }

  /** Removes vectors by id, as far as that can be done now. */
  async remove(ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.#attempts.trying(STAY, () => this.#vectors.remove(ids));
  }

  /** Whether the documents took the marks; of a document that another has changed there is nothing to mark. */
  async #mark(writes: readonly RowWrite[], space: VectorSpace): Promise<boolean> {
    const embedded = writes.filter(({ vectors }) => vectors.some(({ embedding }) => embedding));
    const { gets } = await this.#documents.run({ ...NOTHING, gets: embedded });
    const marks = embedded.flatMap((write, i): RowWrite[] => {
      const { namespace, key, value } = write;
      const row = gets[i];
      const kept = write.kept ?? (row && timesOf(row, write.ttlMinutes));
      if (!value || !row || !kept) return [];
      const vectors = write.vectors.map(({ field, embedding }) => ({ field, embedding: embedding && MARK }));
      return [{ namespace, key, value, expected: value, vectors, kept }];
    });
    const batch = { ...NOTHING, space: markSpace(space, this.#vectors.name) };
    const result = await this.#documents.run({ ...batch, writes: marks });
    if (result.applied) {
      if (marks.length < embedded.length) await this.#removeUnused(vectorsOf(embedded, space), false);
      return result.comparable;
    }
    for (const mark of marks) await this.#documents.run({ ...batch, writes: [mark] });
    await this.#removeUnused(vectorsOf(embedded, space), false);
    return result.comparable;
  }

  /** Removes vectors of what the documents do not hold, or all of them. */
  async #removeUnused(added: readonly IndexedVector[], all: boolean): Promise<void> {
    const abouts = added.flatMap(({ about }) => parseAbout(about) ?? []);
    await this.#attempts.trying(STAY, async () => {
      const { gets } = all ? { gets: [] } : await this.#documents.run({ ...NOTHING, gets: abouts });
      const versions = new Set(gets.map((row) => row && versionOf(row, row.value)));
      await this.remove(abouts.flatMap(({ id, version }) => (versions.has(version) ? [] : [id])));
    });
  }

  #remember({ vectors }: RowWrite, version: string): void {
    this.#bare.delete(version);
    if (vectors.length === 0) this.#bare.add(version);
    const [oldest] = this.#bare;
    if (this.#bare.size > REMEMBERED_VERSIONS && oldest !== undefined) this.#bare.delete(oldest);
  }
}

/** The values that the writes of a batch found, in their order. */
export function valuesBefore(
  writes: readonly RowWrite[],
  before: ReadonlyMap<string, JsonObject>,
): (JsonObject | null | undefined)[] {
  return writes.map(({ namespace, key, expected }) => expected ?? before.get(addressText(namespace, key)));
}

/** The vectors of the writes, under the names of what they are of. */
function vectorsOf(writes: readonly RowWrite[], space: VectorSpace): IndexedVector[] {
  return writes.flatMap(({ value, vectors, ...write }) => {
    const version = value && versionOf(write, value);
    return vectors.flatMap(({ field, embedding }) =>
      version && embedding ? indexedVector(write, version, { field, vector: embedding, space }) : [],
    );
  });
}
