import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRedis } from "../test/support/redis.ts";
import { type Block, keyOf, numberedNamespace, PER_USER, putText, textOf, userBlock } from "./data.ts";
import { type Effort, interleave, type Run, type Timing } from "./measure.ts";
import type { BenchItem } from "./peers.ts";
import { openContenders, PLACES, type PlaceContender } from "./places-contenders.ts";

/** Items of a batch, of puts and of gets. */
export const PLACES_BATCH = 50;

/** One operation by all that have it. */
export interface PlacesCase {
  operation: "put" | "batch" | "gets" | "search";
  /** How many memories are searched; those of one user. */
  size: number;
  results: { name: string; timing: Timing }[];
}

/** Everything one run found. */
export interface PlacesReport {
  quick: boolean;
  /** The Redis that was measured; undefined where there is none. */
  redis: string | undefined;
  cases: PlacesCase[];
}

interface Sizes {
  searched: readonly number[];
  others: number;
  effort: Effort;
}

const WHOLE: Sizes = {
  searched: [100, 1_000],
  others: 10,
  effort: { rounds: 200, least: 15, warmUp: 20, budgetMs: 3_000 },
};
const QUICK: Sizes = {
  searched: [20, 100],
  others: 2,
  effort: { rounds: 10, least: 2, warmUp: 4, budgetMs: 150 },
};

/** The memories of who is searched: other numbers than those of the others. */
const SEARCHED_FIRST = 200_000;
/** The store keeps the vectors of more queries than these. */
const QUERIES = 20;
const WRITTEN = ["bench", "written"];

/** Measures the places that are ranked in process, in a folder and a Redis of its own. `note` is told of the progress. */
export async function runPlacesBench(
  { quick }: { quick: boolean },
  note: (line: string) => void,
): Promise<PlacesReport> {
  const closers: (() => Promise<unknown>)[] = [];
  const onEnd = (close: () => Promise<unknown>) => void closers.unshift(close);
  try {
    const folder = await mkdtemp(join(tmpdir(), "mnemail-bench-"));
    onEnd(() => rm(folder, { recursive: true, force: true }));
    const redis = await startRedis();
    if (redis) onEnd(() => redis.stop());
    const contenders = await openContenders(folder, redis?.url);
    onEnd(() => Promise.all(contenders.map((each) => each.close())));
    const cases = await measure(contenders, quick ? QUICK : WHOLE, note);
    return { quick, redis: redis?.name, cases };
  } finally {
    for (const close of closers) await close();
  }
}

async function measure(
  contenders: readonly PlaceContender[],
  { searched, others, effort }: Sizes,
  note: (line: string) => void,
): Promise<PlacesCase[]> {
  const blocks = searched.map((count, i): Block => {
    return { namespace: numberedNamespace("searched", count), first: SEARCHED_FIRST + 50_000 * i, count };
  });
  const otherBlocks = Array.from({ length: others }, (_, user) => userBlock(user));
  for (const { name, putAll } of contenders) {
    if (!putAll) continue;
    note(`loading ${PER_USER * others + searched.reduce((sum, each) => sum + each)} memories into ${name}`);
    for (const block of [...otherBlocks, ...blocks]) await load(putAll, block);
  }
  const cases: PlacesCase[] = [];
  for (const block of blocks) {
    for (let i = 0; i < 3; i += 1) await expectEqualSearches(contenders, block.namespace, queryOf(block, i));
    note(`measuring search among ${block.count}`);
    const search =
      ({ search }: PlaceContender): Run =>
      (round) =>
        search(block.namespace, queryOf(block, round));
    cases.push({ operation: "search", size: block.count, results: await time(contenders, search, effort) });
  }
  note("measuring gets and puts");
  const [block] = blocks.toReversed();
  if (block) {
    const gets = await time(contenders, (each) => (round) => getSome(each, block, round), effort);
    cases.push({ operation: "gets", size: PLACES_BATCH, results: gets });
  }
  for (const [operation, size] of [
    ["put", 1],
    ["batch", PLACES_BATCH],
  ] as const) {
    const results = await time(contenders, ({ putAll }) => putAll && (() => putAll(nextItems(size))), effort);
    cases.push({ operation, size, results });
  }
  return cases;
}

async function load(putAll: (items: BenchItem[]) => Promise<unknown>, { namespace, first, count }: Block) {
  for (let at = 0; at < count; at += PER_USER) {
    const numbers = Array.from({ length: Math.min(PER_USER, count - at) }, (_, i) => first + at + i);
    await putAll(numbers.map((n) => ({ namespace, key: keyOf(n), text: textOf(n) })));
  }
}

/** Its words are in all memories of the block, but for one that is in one of them. */
function queryOf({ first, count }: Block, round: number): string {
  return `memory ${first + ((7 * (round % QUERIES)) % count)} is wanted`;
}

async function getSome({ name, getAll }: PlaceContender, { namespace, first, count }: Block, round: number) {
  const wanted = Math.min(PLACES_BATCH, count);
  const addresses = Array.from({ length: wanted }, (_, i) => {
    return { namespace, key: keyOf(first + ((round * wanted + i) % count)) };
  });
  const found = await getAll(addresses);
  if (found !== wanted) throw new Error(`${name} found ${found} of ${wanted} items`);
}

let written = 0;
function nextItems(count: number): BenchItem[] {
  return Array.from({ length: count }, () => {
    written += 1;
    return { namespace: WRITTEN, key: `written-${written}`, text: putText(written) };
  });
}

async function time(
  contenders: readonly PlaceContender[],
  toRun: (contender: PlaceContender) => Run | undefined,
  effort: Effort,
): Promise<PlacesCase["results"]> {
  const runs = contenders.flatMap((each): [string, Run][] => {
    const run = toRun(each);
    return run ? [[each.name, run]] : [];
  });
  return Array.from(await interleave(new Map(runs), effort), ([name, timing]) => ({ name, timing }));
}

/** @throws Error when our stores do not find the same in the same order: then there is nothing to compare. */
async function expectEqualSearches(
  contenders: readonly PlaceContender[],
  namespace: string[],
  query: string,
): Promise<void> {
  const found: [string, string][] = [];
  for (const { name, putAll, search } of contenders) {
    // Upstream has no hybrid search, and floors find nothing.
    if (putAll && name !== PLACES.upstream) found.push([name, String(await search(namespace, query))]);
  }
  const [[first, expected] = ["", ""]] = found;
  for (const [name, keys] of found) {
    if (keys !== expected || keys === "")
      throw new Error(`${namespace.join(".")}: ${name} found ${keys}, and ${first} ${expected}`);
  }
}

/** A goal with what was measured. */
export interface PlacesGoal {
  name: string;
  wanted: string;
  found: string;
  met: boolean;
}

/** The goals of a search among the most memories, by the medians of one run; those of what was not measured are left out. */
export function judgePlaces({ cases }: PlacesReport): PlacesGoal[] {
  const search = cases.filter(({ operation }) => operation === "search").at(-1);
  const p50 = (wanted: string) => search?.results.find(({ name }) => name === wanted)?.timing.p50;
  const goals: [string, string, number][] = [
    [PLACES.memory, PLACES.sqlite, 6],
    [PLACES.map, PLACES.sqlite, 15],
    [PLACES.redis, PLACES.sqlite, 15],
    [PLACES.file, PLACES.readFiles, 3],
  ];
  return goals.flatMap(([ours, peer, times]) => {
    const [own, other] = [p50(ours), p50(peer)];
    if (own === undefined || other === undefined) return [];
    const ratio = own / other;
    const by = ratio <= times ? "" : `, ${Math.round(100 * (ratio / times - 1))} % too much`;
    return {
      name: `${ours} search among ${search?.size}, against ${peer}`,
      ...{ wanted: `at most ${times}x`, found: `${ratio.toFixed(2)}x${by}`, met: ratio <= times },
    };
  });
}
