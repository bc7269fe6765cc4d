import { type Address, addressText, type JsonObject, type Row, type RowDriver, type RowWrite } from "../row-driver.ts";
import type { VectorSpace } from "../vector-space.ts";
import type { Attempts } from "./attempts.ts";
import { NOTHING, timesOf } from "./hybrid-batch.ts";
import { MARK, markSpace } from "./mark-space.ts";
import { removeVectors } from "./remove-vectors.ts";
import { type IndexedVector, indexedVector, parseAbout, type VectorIndex, versionOf } from "./vector-index.ts";

/** Versions without vectors that are remembered, so that replacing them asks the vector database nothing. */
const REMEMBERED_VERSIONS = 10_000;
/** Versions that are asked for at once. */
const CHUNK = 200;
/** What becomes of vectors that cannot be removed. */
export const STAY = "vectors of what was removed stay for now, and are served to nobody";
const WAITS = "what is put waits for its vectors";

/** A write, and its row as it was read back. */
interface Written {
  write: RowWrite;
  value: JsonObject;
  row: Row;
}

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
    const embedded = writes.filter(({ vectors }) => vectors.some(({ embedding }) => embedding));
    if (embedded.length === 0) return true;
    // Only a reindex writes, with its times, what it has read: it has nothing else to do, and must end.
    const isReindex = writes.every(({ kept, expected }) => kept !== undefined && expected !== undefined);
    const read = () => this.#readWritten(embedded);
    const written = isReindex ? await read() : await this.#attempts.trying(WAITS, read);
    const vectors = vectorsOf(written?.map(({ write }) => write) ?? [], space);
    if (!written || vectors.length === 0) return true;
    const add = () => this.#vectors.add(vectors).then(() => true);
    if (isReindex) await this.#attempts.asked(add);
    else if (!(await this.#attempts.trying(WAITS, add))) return true;
    const comparable = await this.#attempts.trying(WAITS, () => this.#mark(written, space));
    if (comparable !== true) await this.#removeUnused(vectors, space, comparable === false);
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
    if (replaced.length === 0) return;
    const keep = new Set(space && vectorsOf(writes, space).map(({ id }) => id));
    await this.#attempts.trying(STAY, async () => {
      for (let at = 0; at < replaced.length; at += CHUNK) {
        const where = { name: "version", values: replaced.slice(at, at + CHUNK) };
        const ids = await this.#vectors.find(where, space?.dimensions);
        const unused = ids.filter((id) => !keep.has(id));
        await this.#remove(unused, space, { versions: new Set(replaced), addresses: writes });
      }
    });
  }

  /**
   * Those writes whose documents are still theirs, as they were read back. Returns when another write of the same value
   * cannot have the same time any more, by which the two are told apart.
   */
  async #readWritten(writes: readonly RowWrite[]): Promise<Written[]> {
    const { gets } = await this.#documents.run({ ...NOTHING, gets: [...writes] });
    const written = writes.flatMap((write, i): Written[] => {
      const { value } = write;
      const row = gets[i];
      return value && row && versionOf(write, value) === versionOf(row, row.value) ? [{ write, value, row }] : [];
    });
    const last = written.reduce((latest, { row }) => Math.max(latest, row.updatedAt.getTime()), 0);
    while (Date.now() === last) await new Promise((resolve) => setTimeout(resolve, 1));
    return written;
  }

  /** Whether the documents took the marks; of a document that another has written since there is nothing to mark. */
  async #mark(written: readonly Written[], space: VectorSpace): Promise<boolean> {
    const { gets } = await this.#documents.run({ ...NOTHING, gets: written.map(({ write }) => write) });
    const same = written.filter(({ row }, i) => isOfSameTime(row, gets[i]));
    const batch = { ...NOTHING, space: markSpace(space, this.#vectors.name) };
    const markAll = async (some: readonly Written[]) => {
      const marks = some.map((each) => rewriteOf(each, each.row.updatedAt, true));
      const result = await this.#documents.run({ ...batch, gets: marks, writes: marks });
      // Another came between: with its time, and without the mark, it is what its writer takes for its own.
      const overwritten = some.flatMap((each, i) => {
        const row = result.applied ? result.gets[i] : undefined;
        return row && !isOfSameTime(row, each.row) ? [rewriteOf(each, row.updatedAt, false)] : [];
      });
      for (const write of overwritten) await this.#documents.run({ ...batch, writes: [write] });
      return result;
    };
    const { applied, comparable } = await markAll(same);
    if (!applied) for (const each of same) await markAll([each]);
    if (applied && same.length === written.length) return comparable;
    const embedded = written.map(({ write }) => write);
    await this.#removeUnused(vectorsOf(embedded, space), space, false);
    return comparable;
  }

  /** Removes vectors of what the documents do not hold, or all of them. */
  async #removeUnused(added: readonly IndexedVector[], space: VectorSpace, all: boolean): Promise<void> {
    const abouts = added.flatMap(({ about }) => parseAbout(about) ?? []);
    await this.#attempts.trying(STAY, async () => {
      const { gets } = all ? { gets: [] } : await this.#documents.run({ ...NOTHING, gets: abouts });
      const held = new Set(gets.map((row) => row && versionOf(row, row.value)));
      const unused = abouts.filter(({ version }) => !held.has(version));
      const versions = new Set(unused.map(({ version }) => version));
      await this.#remove(
        unused.map(({ id }) => id),
        space,
        { versions, addresses: unused },
      );
    });
  }

  /** Removes vectors of versions that the documents at the addresses had. */
  async #remove(
    ids: readonly string[],
    space: VectorSpace | undefined,
    of: { versions: ReadonlySet<string>; addresses: readonly Address[] },
  ): Promise<void> {
    const places = { documents: this.#documents, vectors: this.#vectors, space };
    await removeVectors(places, ids, async () => {
      const { gets } = await this.#documents.run({ ...NOTHING, gets: [...of.addresses] });
      return gets.flatMap((row) => (row && of.versions.has(versionOf(row, row.value)) ? [row.namespace] : []));
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

/** The same row once more, with marks for its vectors or waiting for them. */
function rewriteOf({ write, value, row }: Written, updatedAt: Date, isMarked: boolean): RowWrite {
  const { namespace, key, ttlMinutes, kept } = write;
  const vectors = write.vectors.map(({ field, embedding }) => ({
    field,
    embedding: isMarked && embedding ? MARK : null,
  }));
  const times = kept ? { ...kept, updatedAt } : timesOf({ ...row, updatedAt }, ttlMinutes);
  return { namespace, key, value, expected: value, vectors, kept: times };
}

function isOfSameTime(row: Row, other: Row | null | undefined): boolean {
  return row.updatedAt.getTime() === other?.updatedAt.getTime();
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
