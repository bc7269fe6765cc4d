import { createHash } from "node:crypto";
import { Embeddings } from "@langchain/core/embeddings";

/** Components of every vector. */
export const DIMENSIONS = 1_536;
/** Names the vectors in the stores that ask for it. */
export const MODEL = "bench";
/** Results of a search. */
export const LIMIT = 10;
/** What every search asks for. */
export const QUERY = "what is wanted";
/** Memories of one user. */
export const PER_USER = 100;
/** Items of one batch of puts. */
export const BATCH = 20;

/** Prime, so that each memory has another pair of them. */
const BASE_COUNT = 1_009;
const QUERY_SEED = 0;
/** Texts that are put; their numbers are those of no loaded memory. */
const PUT_TEXTS = 500;
const FIRST_PUT_TEXT = 400_000;

/** Memories `first` to `first + count - 1` of a namespace. */
export interface Block {
  namespace: string[];
  first: number;
  count: number;
}

/** Numbers from 0 to 1 that follow from a seed (mulberry32, Tommy Ettinger). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Every direction as likely as any other (Box and Muller 1958). */
function randomUnitVector(seed: number): Float32Array {
  const random = randomFrom(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return toUnit(Float32Array.from({ length: DIMENSIONS }, normal));
}

function toUnit(vector: Float32Array): Float32Array {
  const length = Math.sqrt(vector.reduce((sum, each) => sum + each * each, 0));
  return vector.map((each) => each / length);
}

/** Random unit vectors; every memory's is the sum of two of them, at length 1, which SQL can make at the speed of C. */
export const BASE: readonly Float32Array[] = Array.from({ length: BASE_COUNT }, (_, i) => randomUnitVector(i + 1));

/** The vector of memory number `n`. */
export function vectorOf(n: number): Float32Array {
  const first = BASE[n % BASE_COUNT] ?? new Float32Array(DIMENSIONS);
  const second = BASE[((n % BASE_COUNT) + 1 + Math.floor(n / BASE_COUNT)) % BASE_COUNT] ?? first;
  return toUnit(first.map((each, i) => each + (second[i] ?? 0)));
}

/** The vector of {@link QUERY}. */
export const QUERY_VECTOR: Float32Array = randomUnitVector(QUERY_SEED);

/** The text of memory number `n`, of some 480 characters. */
export function textOf(n: number): string {
  const digest = createHash("md5").update(String(n)).digest("hex");
  return `memory ${n} ${`${digest} `.repeat(14)}`;
}

/** The key of memory number `n`. */
export function keyOf(n: number): string {
  return `memory-${String(n).padStart(6, "0")}`;
}

/** What {@link vectorOf}, {@link textOf} and {@link keyOf} make, in SQL, of a column `n` and the table `bench_base`. */
export const IN_SQL = {
  vector: "l2_normalize(a.v + b.v)",
  joinVector: `JOIN bench_base a ON a.i = n % ${BASE_COUNT}
    JOIN bench_base b ON b.i = (n % ${BASE_COUNT} + 1 + n / ${BASE_COUNT}) % ${BASE_COUNT}`,
  text: "'memory ' || n || ' ' || repeat(md5(n::text) || ' ', 14)",
  key: "'memory-' || lpad(n::text, 6, '0')",
};

/** The memories of one user. */
export function userBlock(user: number): Block {
  return { namespace: numberedNamespace("user", user), first: user * PER_USER, count: PER_USER };
}

/** A namespace whose label is of fixed width, since upstream takes `user1` for the beginning of `user10`. */
export function numberedNamespace(name: string, number: number): string[] {
  return ["bench", `${name}${String(number).padStart(6, "0")}`];
}

const PUT_TEXT_LIST: readonly string[] = Array.from({ length: PUT_TEXTS }, (_, i) => textOf(FIRST_PUT_TEXT + i));
const PREPARED = new Map<string, number[]>([[QUERY, [...QUERY_VECTOR]]]);
for (const [i, text] of PUT_TEXT_LIST.entries()) PREPARED.set(text, [...vectorOf(FIRST_PUT_TEXT + i)]);

/** A text for a put, whose vector is there already. */
export function putText(i: number): string {
  return PUT_TEXT_LIST[i % PUT_TEXTS] ?? "";
}

/** Looks vectors up, or makes those of loaded memories, so that a measurement is of the store alone. Counts calls. */
export class KnownEmbeddings extends Embeddings {
  calls = 0;

  constructor() {
    super({});
  }

  async embedQuery(text: string): Promise<number[]> {
    this.calls += 1;
    return vectorOfText(text);
  }

  async embedDocuments(texts: string[]): Promise<number[][]> {
    this.calls += 1;
    return texts.map(vectorOfText);
  }
}

/** The vector of a text of {@link textOf} or of {@link QUERY}. */
export function vectorOfText(text: string): number[] {
  return PREPARED.get(text) ?? [...vectorOf(Number(/^memory (\d+) /.exec(text)?.[1]))];
}
