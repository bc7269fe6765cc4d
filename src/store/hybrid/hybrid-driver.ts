import { MnemailError } from "../../errors.ts";
import type { FieldVector, RowBatch, RowBatchResult, RowDriver, RowScan } from "../row-driver.ts";
import { isComparable, spaceText, type VectorSpace } from "../vector-space.ts";
import { Attempts } from "./attempts.ts";
import { messageOf, runWithBefore } from "./hybrid-batch.ts";
import { type Found, searchHybrid, wordsScan } from "./hybrid-search.ts";
import { markSpace, spaceOfMarks } from "./mark-space.ts";
import { removeOrphans, repairMarks } from "./mend-index.ts";
import { type VectorIndex, whereBelow } from "./vector-index.ts";
import { STAY, VectorWrites, valuesBefore } from "./vector-writes.ts";
import { withinTime } from "./within-time.ts";

/** A call of a vector database that takes longer has failed: mail must not wait for it. */
const TIMEOUT_MS = 10_000;
/**
 * Rows whose documents are in one place and whose vectors are in a vector database. The documents are the truth: they
 * are written in one transaction, and keep a mark for each field whose vector is in the database (`mark-space.ts`).
 *
 * The order of writes: documents with their fields waiting, vectors, marks, and then the vectors of what was replaced or
 * deleted are removed. A crash between two of them leaves fields that wait, or vectors of no document, and a reindex
 * mends both; no document is lost or half written. A vector is named by the value it was made of (`versionOf`), so a
 * stale one ranks nothing, and writers of different values do not touch each other's. A vector database that fails stops no
 * put: its fields wait; a search goes on by words; each with one warning. A reindex itself fails.
 *
 * The documents may not be able to keep vectors at all (PostgreSQL without pgvector): then there are no marks either,
 * and words rank. Reads of one batch that rank by vectors come before its other reads.
 *
 * @throws MnemailError("store") when the documents cannot be read.
 */
export async function openHybridDriver(
  documents: RowDriver,
  vectors: VectorIndex,
  options: { warn?: (line: string) => void } = {},
): Promise<RowDriver> {
  const driver = new HybridDriver(documents, withinTime(vectors, TIMEOUT_MS), options.warn ?? (() => {}));
  await driver.vectorSpace();
  return driver;
}

class HybridDriver implements RowDriver {
  readonly withoutVectors: string | undefined;
  readonly isAtomic: boolean;
  readonly #documents: RowDriver;
  readonly #vectors: VectorIndex;
  readonly #attempts: Attempts;
  readonly #writes: VectorWrites;
  /** The space last seen in force; a batch that the documents find to be of another makes it unknown. */
  #space: VectorSpace | undefined;
  /** The space that was in force last, also when no vector is left. */
  #last: VectorSpace | undefined;

  constructor(documents: RowDriver, vectors: VectorIndex, warn: (line: string) => void) {
    this.#documents = documents;
    this.#vectors = vectors;
    this.#attempts = new Attempts(vectors.name, warn);
    this.#writes = new VectorWrites(documents, vectors, this.#attempts);
    this.withoutVectors = documents.withoutVectors;
    this.isAtomic = documents.isAtomic;
    // Absent where the documents have none.
    if (documents.backup) this.backup = documents.backup.bind(documents);
  }

  readonly backup?: (path: string) => Promise<void>;

  async run(batch: RowBatch): Promise<RowBatchResult> {
    const { space } = batch;
    const inForce = space && (await this.#isComparable(batch, space)) ? space : undefined;
    const searches = await Promise.all(batch.scans.map((scan) => inForce && this.#search(scan, inForce)));
    const rest: RowBatch = {
      ...{ gets: batch.gets, listNamespaces: batch.listNamespaces },
      scans: batch.scans.filter((_, i) => !searches[i]).map(wordsScan),
      writes: batch.writes.map((write) => ({ ...write, vectors: write.vectors.map(waiting) })),
      space: inForce && markSpace(inForce, this.#vectors.name),
    };
    const { before, ...result } = await runWithBefore(this.#documents, rest);
    let comparable = result.comparable && (space === undefined || inForce !== undefined);
    if (result.applied && batch.writes.length > 0) {
      if (inForce && comparable) comparable = await this.#writes.keep(batch.writes, inForce);
      if (inForce && comparable && embeds(batch)) this.#setSpace(inForce);
      await this.#writes.removeReplaced(batch.writes, valuesBefore(batch.writes, before), inForce ?? this.#last);
    }
    if (!comparable) this.#space = undefined;
    const scans = result.scans.values();
    return {
      ...result,
      scans: searches.map((found) => found?.rows ?? scans.next().value ?? []),
      unreadable: searches.reduce((sum, found) => sum + (found?.unreadable ?? 0), result.unreadable),
      comparable,
    };
  }

  async vectorSpace(): Promise<VectorSpace | undefined> {
    const kept = await this.#documents.vectorSpace();
    const space = kept && spaceOfMarks(kept, this.#vectors.name);
    this.#setSpace(space);
    return space;
  }

  #setSpace(space: VectorSpace | undefined): void {
    this.#space = space;
    this.#last = space ?? this.#last;
  }

  async resetVectors(space: VectorSpace): Promise<void> {
    const held = await this.#attempts.asked(() => this.#vectors.dimensions());
    if (held !== undefined && held !== space.dimensions) {
      throw new MnemailError(
        "store",
        `${this.#vectors.name} holds vectors of ${held} dimensions, and the embedding model "${space.model}" gives ${space.dimensions}`,
        "nothing was changed; name another collection in VECTOR_URL, or set the model that made them",
      );
    }
    const marks = markSpace(space, this.#vectors.name);
    await this.#documents.resetVectors(marks);
    this.#setSpace(space);
    await this.#attempts.asked(() => repairMarks({ documents: this.#documents, vectors: this.#vectors, space, marks }));
  }

  unembedded(limit: number) {
    return this.#documents.unembedded(limit);
  }

  pages(prefixes: string[][]) {
    return this.#documents.pages(prefixes);
  }

  async drop(prefixes: string[][]): Promise<number> {
    // Found before the documents go: what comes after them under the same names is not among these.
    const found = await this.#attempts.trying(STAY, async () => {
      const dimensions = this.#last?.dimensions;
      const findBelow = async (prefix: string[]) =>
        prefix.length > 0
          ? this.#vectors.find(whereBelow(prefix), dimensions)
          : ((await this.#vectors.list?.(dimensions)) ?? []);
      return [...new Set((await Promise.all(prefixes.map(findBelow))).flat())];
    });
    const dropped = await this.#documents.drop(prefixes);
    if (found) await this.#writes.remove(found);
    // One search may not have found them all.
    if (found && found.length >= this.#vectors.reach) await this.#attempts.trying(STAY, () => this.#removeOrphans());
    return dropped;
  }

  async sweep(): Promise<number> {
    const swept = await this.#documents.sweep();
    // The documents do not say which rows were expired.
    if (swept > 0) await this.#attempts.trying(STAY, () => this.#removeOrphans());
    return swept;
  }

  async vacuum(): Promise<string[]> {
    const notes = (await this.#documents.vacuum?.()) ?? [];
    try {
      await this.#removeOrphans();
      return notes;
    } catch (error) {
      return [...notes, `${this.#vectors.name}: vectors of removed items may be left: ${messageOf(error)}`];
    }
  }

  async health() {
    const health = await this.#documents.health();
    const problems = [...health.problems];
    try {
      await this.#vectors.find({ name: "version", values: ["0"] }, this.#last?.dimensions ?? 1);
    } catch (error) {
      const { name } = this.#vectors;
      const text = messageOf(error);
      const problem = text.startsWith(name) ? text : `${name} does not answer: ${text}`;
      problems.push({ problem, hint: "memory is searched by words until it does; then run `mnemail memory reindex`" });
    }
    const space = health.space && spaceOfMarks(health.space, this.#vectors.name);
    return { ...health, engine: `${health.engine}, vectors in ${this.#vectors.name}`, space, problems };
  }

  async close(): Promise<void> {
    await this.#vectors.close();
    await this.#documents.close();
  }

  /** Whether vectors of `space` are compared with those kept. @throws MnemailError as {@link isComparable}. */
  async #isComparable({ writes }: RowBatch, space: VectorSpace): Promise<boolean> {
    if (this.withoutVectors !== undefined) return false;
    if (this.#space && spaceText(this.#space) === spaceText(space)) return true;
    const kept = await this.vectorSpace();
    if (!kept || spaceText(kept) === spaceText(space)) return true;
    return embeds({ writes }) && isComparable(this.#vectors.name, kept, space);
  }

  /** The page of a scan that ranks by vectors; undefined where the documents have to answer it, by words. */
  async #search(scan: RowScan, space: VectorSpace): Promise<Found | undefined> {
    const near = scan.ranking?.by === "words" ? undefined : scan.ranking?.near;
    if (!near || scan.limit === 0) return undefined;
    const marks = markSpace(space, this.#vectors.name);
    return this.#attempts.trying("memory is searched by words alone", () =>
      searchHybrid({ documents: this.#documents, vectors: this.#vectors, space, marks }, scan, near),
    );
  }

  async #removeOrphans(): Promise<void> {
    const space = (await this.vectorSpace()) ?? this.#last;
    await removeOrphans({ documents: this.#documents, vectors: this.#vectors, space });
  }
}

function waiting({ field }: FieldVector): FieldVector {
  return { field, embedding: null };
}

function embeds({ writes }: Pick<RowBatch, "writes">): boolean {
  return writes.some(({ vectors }) => vectors.some(({ embedding }) => embedding));
}
