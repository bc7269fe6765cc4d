/**
 * Exact search in process, beside its floors and LangGraph's InMemoryStore: `npx tsx bench/vector-matrix.ts`.
 * Every round runs each of them once, so that a busy moment of the machine meets all; p50 in milliseconds.
 */
import { performance } from "node:perf_hooks";
import { Embeddings } from "@langchain/core/embeddings";
import { InMemoryStore } from "@langchain/langgraph-checkpoint";
import { createVectorMemory } from "../src/store/dot-products.ts";
import { VectorMatrix } from "../src/store/vector-matrix.ts";

const DIMENSIONS = 1_536;
const LIMIT = 10;
const NAMESPACE = ["bench"];

/** Looks texts up among vectors that are there already. */
class KnownEmbeddings extends Embeddings {
  readonly #vectors: ReadonlyMap<string, number[]>;

  constructor(vectors: ReadonlyMap<string, number[]>) {
    super({});
    this.#vectors = vectors;
  }

  async embedQuery(text: string): Promise<number[]> {
    return this.#vectors.get(text) ?? [];
  }

  async embedDocuments(texts: string[]): Promise<number[][]> {
    return texts.map((text) => this.#vectors.get(text) ?? []);
  }
}

console.log(`p50 in ms, ${DIMENSIONS} dimensions, limit ${LIMIT}, Node ${process.version}`);
for (const [count, rounds] of [
  [1_000, 200],
  [10_000, 40],
] as const) {
  await compare(count, rounds);
}

async function compare(count: number, rounds: number): Promise<void> {
  const vectors = new Map(Array.from({ length: count }, (_, index) => [`text ${index}`, randomVector()]));
  const query = randomVector();

  const matrix = new VectorMatrix({ dimensions: DIMENSIONS, limitBytes: 256 * 1_024 * 1_024 });
  const loadedAt = performance.now();
  for (const [text, vector] of vectors) matrix.set("bench", text, [vector]);
  const loadTime = performance.now() - loadedAt;

  const kernel = createVectorMemory();
  const out = DIMENSIONS * (count + 1);
  kernel.grow(out + count);
  const flat = new Float32Array(DIMENSIONS * count);
  kernel.floats.set(query);
  for (const [index, vector] of [...vectors.values()].entries()) {
    kernel.floats.set(vector, DIMENSIONS * (index + 1));
    flat.set(vector, DIMENSIONS * index);
  }
  const scores = new Float32Array(count);

  const known = new Map([...vectors, ["query", query] as const].map(([text, vector]) => [text, [...vector]]));
  const store = new InMemoryStore({ index: { dims: DIMENSIONS, embeddings: new KnownEmbeddings(known) } });
  const texts = [...vectors.keys()];
  for (let from = 0; from < count; from += 500) {
    await store.batch(
      texts
        .slice(from, from + 500)
        .map((text) => ({ namespace: NAMESPACE, key: text, value: { text }, index: ["text"] })),
    );
  }

  const contenders: [string, () => unknown][] = [
    ["VectorMatrix.nearest", () => matrix.nearest("bench", query, LIMIT)],
    ["bare kernel", () => kernel.dotProducts(0, DIMENSIONS, count, DIMENSIONS, out)],
    ["plain Float32Array loop", () => plainDotProducts(flat, query, scores)],
    ["InMemoryStore.search", () => store.search(NAMESPACE, { query: "query", limit: LIMIT })],
  ];
  const found = await store.search(NAMESPACE, { query: "query", limit: LIMIT });
  const same = matrix.nearest("bench", query, LIMIT).every(({ key }, index) => found[index]?.key === key);

  const times = new Map(contenders.map(([name]) => [name, [] as number[]]));
  for (let round = -10; round < rounds; round += 1) {
    for (const [name, run] of contenders) {
      const started = performance.now();
      await run();
      if (round >= 0) times.get(name)?.push(performance.now() - started);
    }
  }
  console.log(`\n${count} vectors, loaded in ${loadTime.toFixed(0)} ms; the same ${LIMIT} as InMemoryStore: ${same}`);
  const base = median(times.get("VectorMatrix.nearest") ?? []);
  for (const [name, taken] of times) {
    console.log(`  ${name.padEnd(24)} ${median(taken).toFixed(3).padStart(8)}  x${(median(taken) / base).toFixed(2)}`);
  }
}

function plainDotProducts(flat: Float32Array, query: Float32Array, scores: Float32Array): void {
  for (let vector = 0; vector < scores.length; vector += 1) {
    const at = vector * query.length;
    let sum = 0;
    for (let i = 0; i < query.length; i += 1) sum += (flat[at + i] ?? 0) * (query[i] ?? 0);
    scores[vector] = sum;
  }
}

/** Of length 1. */
function randomVector(): Float32Array {
  const vector = Float32Array.from({ length: DIMENSIONS }, () => Math.random() - 0.5);
  const length = Math.hypot(...vector);
  return vector.map((each) => each / length);
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
