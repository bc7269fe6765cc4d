import { matchesFilter } from "../filter.ts";
import { bestFirst, FUSED_PLACES, type RankedKey } from "../fusion.ts";
import { combine } from "../ranking.ts";
import { type Address, addressText, type Row, type RowDriver, type RowScan, type ScoredRow } from "../row-driver.ts";
import type { VectorSpace } from "../vector-space.ts";
import {
  isFoundBelow,
  OURS,
  type ParsedAbout,
  parseAbout,
  spaceName,
  type VectorIndex,
  versionOf,
  whereBelow,
} from "./vector-index.ts";

/** Rows of the documents that are read at once. */
const CHUNK = 500;
/** Vectors that are fetched at least, so that stale ones and filters rarely make a second round. */
const FETCHED = 64;

/** A page of a search, and how many of its rows were left out because they cannot be read. */
export interface Found {
  rows: ScoredRow[];
  unreadable: number;
}

/** The parts of a hybrid store that a search needs; `space` is that of the query, `marks` the documents' name of it. */
export interface SearchPlaces {
  documents: RowDriver;
  vectors: VectorIndex;
  space: VectorSpace;
  marks: VectorSpace;
}

/**
 * The page that a ranked scan asks for: nearest by the vector database, words and rows by the documents. Each vector
 * that is found counts only if its row is at or below the prefix, is there, is the version that the vector is of, and
 * passes the filter. Undefined when the documents hold vectors of another space.
 *
 * @throws what the vector database throws; documents' errors as they are.
 */
export async function searchHybrid(
  places: SearchPlaces,
  scan: RowScan,
  near: Float32Array,
): Promise<Found | undefined> {
  const { ranking, offset, limit } = scan;
  if (!ranking) throw new TypeError("expected a ranked scan");
  const wanted = offset + limit;
  const isFused = ranking.by === "hybrid";
  const [nearest, words] = await Promise.all([
    findNearest(places, scan, { near, wanted: isFused ? FUSED_PLACES : wanted }),
    isFused ? findWords(places, scan) : undefined,
  ]);
  if (!nearest || words === null) return undefined;
  const rows = new Map([...nearest.rows, ...(words?.rows ?? [])]);
  const ranked = combine(ranking, nearest.ranked, () => words?.ranked ?? [], FUSED_PLACES);
  const first = ranked.slice(offset, wanted).flatMap(({ key, score }): ScoredRow[] => {
    const row = rows.get(key);
    return row ? [{ ...row, score }] : [];
  });
  const unreadable = nearest.unreadable + (words?.unreadable ?? 0);
  if (ranked.length >= wanted) return { rows: first, unreadable };
  const seen = new Set(ranked.map(({ key }) => key));
  const rest = await scanDocuments(places, { ...scan, ranking: undefined, offset: 0, limit: wanted });
  const others = rest.rows.filter((row) => !seen.has(addressText(row.namespace, row.key)));
  const from = Math.max(0, offset - ranked.length);
  return {
    rows: [...first, ...others.slice(from, from + limit - first.length)],
    unreadable: Math.max(unreadable, rest.unreadable),
  };
}

interface Nearest {
  /** Best first: the nearest rows, as many as are wanted and maybe more, or all that have a comparable vector. */
  ranked: RankedKey[];
  rows: Map<string, Row>;
  unreadable: number;
}

async function findNearest(
  places: SearchPlaces,
  scan: RowScan,
  { near, wanted }: { near: Float32Array; wanted: number },
): Promise<Nearest | undefined> {
  const { vectors, space } = places;
  const where = scan.prefix.length === 0 ? OURS : whereBelow(scan.prefix);
  const inSpace = spaceName(space);
  const sift = Object.keys(scan.filter).length > 0 ? 4 : 1;
  const versions = new Map<string, { row: Row; version: string } | null>();
  let unreadable = 0;
  for (let limit = Math.min(Math.max(FETCHED, 2 * wanted * sift), vectors.reach); ; ) {
    const hits = await vectors.search(near, limit, where);
    const found = hits.flatMap(({ about, score }) => {
      const parsed = parseAbout(about);
      if (!isFoundBelow(parsed, scan.prefix) || parsed.space !== inSpace || !Number.isFinite(score)) return [];
      return [{ about: parsed, address: addressText(parsed.namespace, parsed.key), score }];
    });
    const unknown = new Map(
      found.filter(({ address }) => !versions.has(address)).map((hit) => [hit.address, hit.about]),
    );
    const read = await readRows(places, [...unknown.values()]);
    if (!read) return undefined;
    unreadable += read.unreadable;
    for (const address of unknown.keys()) {
      const row = read.rows.get(address);
      const passes = row && matchesFilter(row.value, scan.filter);
      versions.set(address, passes ? { row, version: versionOf(row, row.value) } : null);
    }
    const scores = new Map<string, number>();
    for (const { about, address, score } of found) {
      if (versions.get(address)?.version !== about.version) continue;
      scores.set(address, Math.max(score, scores.get(address) ?? score));
    }
    const ranked = [...scores].map(([key, score]) => ({ key, score })).sort(bestFirst);
    const isAll = hits.length < limit || limit >= vectors.reach;
    // Of those as near as the last one some may be missing, and another round could bring them in another order.
    const last = hits.at(-1)?.score ?? 0;
    const sure = isAll ? ranked : ranked.filter(({ score }) => score > last);
    if (isAll || sure.length >= wanted) {
      const rows = [...versions].flatMap(([address, known]) => (known ? [[address, known.row] as const] : []));
      return { ranked: sure, rows: new Map(rows), unreadable };
    }
    limit = Math.min(limit * 4, vectors.reach);
  }
}

/** The rows that the words rank, best first; null when the documents hold vectors of another space. */
async function findWords(places: SearchPlaces, scan: RowScan): Promise<Nearest | null> {
  const words = wordsScan(scan);
  const { rows, unreadable, comparable } = await scanDocuments(places, { ...words, offset: 0, limit: FUSED_PLACES });
  if (!comparable) return null;
  const matching = rows.filter(({ score }) => score !== undefined);
  const ranked = matching.map(({ namespace, key, score }) => ({ key: addressText(namespace, key), score: score ?? 0 }));
  const byAddress = matching.map(({ score: _, ...row }) => [addressText(row.namespace, row.key), row] as const);
  return { ranked, rows: new Map(byAddress), unreadable };
}

/** The same scan, ranked by words alone. */
export function wordsScan(scan: RowScan): RowScan {
  return scan.ranking ? { ...scan, ranking: { query: scan.ranking.query, near: undefined, by: "words" } } : scan;
}

async function scanDocuments(
  { documents, marks }: SearchPlaces,
  scan: RowScan,
): Promise<Found & { comparable: boolean }> {
  const batch = { gets: [], scans: [scan], listNamespaces: false, writes: [], space: marks };
  const { scans, unreadable, comparable } = await documents.run(batch);
  return { rows: scans[0] ?? [], unreadable, comparable };
}

/** The rows that are there, by address; undefined when the documents hold vectors of another space. */
async function readRows(
  { documents, marks }: SearchPlaces,
  abouts: readonly ParsedAbout[],
): Promise<{ rows: Map<string, Row>; unreadable: number } | undefined> {
  const rows = new Map<string, Row>();
  let unreadable = 0;
  const read = async (addresses: Address[]) => {
    const batch = { gets: addresses, scans: [], listNamespaces: false, writes: [], space: marks };
    const { gets, comparable } = await documents.run(batch);
    for (const row of gets) if (row) rows.set(addressText(row.namespace, row.key), row);
    return comparable;
  };
  for (let at = 0; at < abouts.length; at += CHUNK) {
    const chunk = abouts.slice(at, at + CHUNK).map(({ namespace, key }) => ({ namespace, key }));
    try {
      if (!(await read(chunk))) return undefined;
    } catch (error) {
      // One record that cannot be read must not hide the others; where none can, it is the documents that fail.
      const results = await Promise.allSettled(chunk.map((address) => read([address])));
      const failed = results.filter(({ status }) => status === "rejected").length;
      if (failed === chunk.length) throw error;
      unreadable += failed;
    }
  }
  return { rows, unreadable };
}
