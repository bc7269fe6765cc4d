import { MnemailError } from "../../errors.ts";
import type { FieldVector, RowBatch, RowBatchResult, RowDriver, RowScan } from "../row-driver.ts";
import { elsewhereOf, isComparable, spaceText, type VectorSpace } from "../vector-space.ts";
import { Attempts } from "./attempts.ts";
import { messageOf, runWithBefore } from "./hybrid-batch.ts";
import { type Found, searchHybrid, wordsScan } from "./hybrid-search.ts";
import { markSpace, spaceOfMarks } from "./mark-space.ts";
import { countLost, removeOrphans, repairMarks } from "./mend-index.ts";
import type { VectorIndex } from "./vector-index.ts";
import { STAY, VectorWrites, valuesBefore } from "./vector-writes.ts";
import { withinTime } from "./within-time.ts";

/** A call of a vector database that takes longer has failed: mail must not wait for it. */
const PATIENCE = { timeoutMs: 10_000, shortMs: 1_000, windowMs: 30_000 };

/**
 * Rows whose documents are in one place and whose vectors are in a vector database. The documents are the truth: they
 * are written in one transaction, and keep a mark for each field whose vector is in the database (`mark-space.ts`).
 *
 * The order of writes: documents with their fields waiting, vectors, marks, and then the vectors of what was replaced or
 * deleted are removed. A crash between two of them leaves fields that wait, or vectors of no document, and a reindex
 * mends both; no document is lost or half written. A vector is named by the value it was made of (`versionOf`), so a
 * stale one ranks nothing, and writers of different values do not touch each other's. Writers of the same value tell whose
 * it is by its time of change: only the last one marks it, and who removed vectors of a value that is back makes it wait.
 * A vector database that fails stops no put: its fields wait; a search goes on by words; each with one warning. A reindex
 * itself fails.
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
  const driver = new HybridDriver(documents, withinTime(vectors, PATIENCE), options.warn ?? (() => {}));
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
  /** Whether a drop has just said that vectors stay, so that the erasing after it need not. */
  #isToldToStay = false;

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
    const hasWrites = batch.writes.length > 0 && this.withoutVectors === undefined;
    // Asked before the last vector may go.
    const known = inForce ?? this.#last ?? (hasWrites ? await this.vectorSpace() : undefined);
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
      await this.#writes.removeReplaced(batch.writes, valuesBefore(batch.writes, before), known);
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
    const before = await this.#spaceOfAll();
    // Afterwards nobody would know how long these are.
    if (before && !elsewhereOf(before) && before.dimensions !== space.dimensions)
      await this.#attempts.asked(async () =>
        this.#vectors.remove((await this.#vectors.list?.(before.dimensions)) ?? []),
      );
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
    const wasTold = this.#attempts.hasWarned(STAY);
    // While there is a vector that tells it.
    const known = await this.#spaceOfAll();
    const dropped = await this.#documents.drop(prefixes);
    // Found now, since a put under way may have added some meanwhile; what is put from now on has documents.
    await this.#attempts.trying(STAY, async () => {
      const space = known ?? (await this.#spaceOfAll());
      await removeOrphans({ documents: this.#documents, vectors: this.#vectors, space }, prefixes);
    });
    this.#isToldToStay = !wasTold && this.#attempts.hasWarned(STAY);
    return dropped;
  }

  async sweep(): Promise<number> {
    const swept = await this.#documents.sweep();
    const wasTold = this.#attempts.hasWarned(STAY);
    // The documents do not say which rows were expired, and some expire without a sweep.
    await this.#attempts.trying(STAY, () => this.#removeOrphans());
    this.#isToldToStay ||= !wasTold && this.#attempts.hasWarned(STAY);
    return swept;
  }

  async vacuum(): Promise<string[]> {
    const notes = (await this.#documents.vacuum?.()) ?? [];
    const isTold = this.#isToldToStay;
    this.#isToldToStay = false;
    const left = `${this.#vectors.name}: vectors of removed items may be left`;
    try {
      if ((await this.#removeOrphans()) || this.withoutVectors !== undefined) return notes;
      return [
        ...notes,
        `${left}: they cannot be listed${this.#vectors.list ? " before `mnemail memory reindex`" : ""}`,
      ];
    } catch (error) {
      return isTold ? notes : [...notes, `${left}: ${messageOf(error)}`];
    }
  }

  async health() {
    const health = await this.#documents.health();
    const { name } = this.#vectors;
    const space = health.space && spaceOfMarks(health.space, name);
    const problems = [...health.problems];
    try {
      await this.#vectors.find({ name: "version", values: ["0"] }, this.#last?.dimensions ?? 1);
      const isHere = space && health.vectors > 0 && !elsewhereOf(space);
      const places = { documents: this.#documents, vectors: this.#vectors };
      const lost = isHere ? await countLost({ ...places, space }) : 0;
      const what = lost === 1 ? "1 vector is" : `${lost} vectors are`;
      if (lost > 0) problems.push({ problem: `${what} not in ${name}`, hint: "run `mnemail memory reindex`" });
    } catch (error) {
      const text = messageOf(error);
      const problem = `${text.startsWith(name) ? text : `${name} does not answer: ${text}`}; until it answers, memory is searched by words`;
      const todo = (error instanceof MnemailError && error.hint) || "start it, or correct VECTOR_URL";
      problems.push({ problem, hint: `${todo}; then run \`mnemail memory reindex\`` });
    }
    return { ...health, engine: `${health.engine}, vectors in ${name}`, space, problems };
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

  async #removeOrphans(): Promise<boolean> {
    const space = await this.#spaceOfAll();
    return removeOrphans({ documents: this.#documents, vectors: this.#vectors, space });
  }

  /** The space of the vectors that may be there, also of those that no document has any more. */
  async #spaceOfAll(): Promise<VectorSpace | undefined> {
    const inForce = (await this.vectorSpace()) ?? this.#last;
    if (inForce) return inForce;
    const { space } = await this.#documents.health();
    this.#last = space && spaceOfMarks(space, this.#vectors.name);
    return this.#last;
  }
}

function waiting({ field }: FieldVector): FieldVector {
  return { field, embedding: null };
}

function embeds({ writes }: Pick<RowBatch, "writes">): boolean {
  return writes.some(({ vectors }) => vectors.some(({ embedding }) => embedding));
}
