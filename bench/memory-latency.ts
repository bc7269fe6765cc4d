import { OpenAIEmbeddings } from "@langchain/openai";
import { startStandIn } from "../src/stand-in/server.ts";
import { createVectorMemory } from "../src/store/dot-products.ts";
import { type Fact, makeManyFacts, type Question } from "./memory-questions.ts";
import { type BenchMemory, keepFacts, openMemory } from "./memory-store.ts";

/** Memories among which searches are timed. */
export const MEMORIES = 10_000;
/** Components of a vector: as many as those of OpenAI's text-embedding-3-small. */
export const LATENCY_DIMENSIONS = 1_536;
/** Memories that a timed search finds. */
export const FOUND = 20;

/** Questions before those that are timed: what a process does first is not compiled yet. */
const WARM_UP = 30;
const USER = "latency";

/** What is timed, by what the report calls it. */
export const TIMED = {
  whole: "hybrid search, whole call",
  atHand: "hybrid search, the query's vector at hand",
  words: "search by words alone",
  vector: "search by vector alone, the query's vector at hand",
  embedding: "embedding the query, over loopback",
  floor: "floor: bare scan of the same vectors",
} as const;

/** Milliseconds. */
export interface Latency {
  p50: number;
  p95: number;
  runs: number;
}

/** What searching many memories takes. */
export interface LatencyReport {
  /** The first search after opening, which builds what later ones use. Milliseconds. */
  first: number;
  timed: Record<keyof typeof TIMED, Latency>;
}

/**
 * Times the search among {@link MEMORIES}: in each round every contender answers one question, in turning order, so that
 * a busy moment of the machine meets all. Questions are asked anew when there are more rounds.
 */
export async function measureLatency(
  folder: string,
  questions: readonly Question[],
  rounds: number,
  note: (line: string) => void,
): Promise<LatencyReport> {
  await using server = await startStandIn({ unref: true });
  const embeddings = new OpenAIEmbeddings({
    apiKey: "stand-in",
    model: "stand-in",
    dimensions: LATENCY_DIMENSIONS,
    configuration: { baseURL: server.url },
  });
  const facts = makeManyFacts(MEMORIES);
  note(`keeping ${facts.length} memories`);
  {
    await using kept = await openMemory(folder, "latency", embeddings);
    await keepFacts(kept.store, USER, facts);
  }
  await using opened = await openMemory(folder, "latency", embeddings);
  const first = await timeOnce(() => opened.memory.facts.search(USER, { query: "Who is new?", limit: FOUND }));
  note(`the first search took ${Math.round(first)} ms; timing ${rounds} questions`);
  const floor = await openFloor(facts, embeddings);
  const contenders = contendersOf(opened, questions, floor, embeddings);
  await checkFloor(opened, questions.slice(0, WARM_UP), floor, embeddings);
  await timeRounds(contenders, WARM_UP);
  const times = await timeRounds(contenders, rounds);
  const timed = (name: keyof typeof TIMED) => summarize(times.get(name) ?? []);
  return {
    first,
    timed: {
      whole: timed("whole"),
      atHand: timed("atHand"),
      words: timed("words"),
      vector: timed("vector"),
      embedding: timed("embedding"),
      floor: timed("floor"),
    },
  };
}

/** Prepares the question of a round, untimed, and gives what is timed. */
type Contender = (round: number) => Promise<() => Promise<unknown>>;

function contendersOf(
  { memory }: BenchMemory,
  questions: readonly Question[],
  floor: Floor,
  embeddings: OpenAIEmbeddings,
): Map<keyof typeof TIMED, Contender> {
  // The store keeps the vectors of its last 64 queries: no two contenders meet the same question that soon.
  const question = (round: number, share: number) =>
    questions[(round + Math.floor(questions.length * share)) % questions.length]?.text ?? "";
  const search = (query: string, ranking: "words" | "vector" | "hybrid") => async () =>
    memory.facts.search(USER, { query, limit: FOUND, ranking });
  const afterwards = async (query: string, ranking: "vector" | "hybrid") => {
    await search(query, "vector")();
    return search(query, ranking);
  };
  return new Map<keyof typeof TIMED, Contender>([
    ["whole", async (round) => search(question(round, 0), "hybrid")],
    ["atHand", (round) => afterwards(question(round, 1 / 3), "hybrid")],
    ["words", async (round) => search(question(round, 0), "words")],
    ["vector", (round) => afterwards(question(round, 2 / 3), "vector")],
    ["embedding", async (round) => () => embeddings.embedQuery(question(round, 0))],
    [
      "floor",
      async (round) => {
        const vector = await embeddings.embedQuery(question(round, 0));
        return async () => floor(vector);
      },
    ],
  ]);
}

async function timeRounds(
  contenders: ReadonlyMap<keyof typeof TIMED, Contender>,
  rounds: number,
): Promise<Map<keyof typeof TIMED, number[]>> {
  const times = new Map([...contenders.keys()].map((name) => [name, [] as number[]]));
  const order = [...contenders];
  for (let round = 0; round < rounds; round += 1) {
    order.push(...order.splice(0, 1));
    for (const [name, prepare] of order) times.get(name)?.push(await timeOnce(await prepare(round)));
  }
  return times;
}

async function timeOnce(run: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await run();
  return performance.now() - started;
}

function summarize(times: readonly number[]): Latency {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p95: at(0.95), runs: sorted.length };
}

/** The best of all vectors for a query's, best first. */
type Floor = (query: readonly number[]) => { key: string; score: number }[];

/** What a search by vector cannot do without: the dot products of vectors that lie in memory, and their best. */
async function openFloor(facts: readonly Fact[], embeddings: OpenAIEmbeddings): Promise<Floor> {
  const vectors = await embeddings.embedDocuments(facts.map(({ content }) => content));
  const memory = createVectorMemory();
  const scoresAt = (1 + vectors.length) * LATENCY_DIMENSIONS;
  if (!memory.grow(scoresAt + vectors.length)) throw new Error("too little memory for the vectors");
  for (const [i, vector] of vectors.entries()) memory.floats.set(vector, (1 + i) * LATENCY_DIMENSIONS);
  return (query) => {
    memory.floats.set(query);
    memory.dotProducts(0, LATENCY_DIMENSIONS, vectors.length, LATENCY_DIMENSIONS, scoresAt);
    const scores = memory.floats.subarray(scoresAt, scoresAt + vectors.length);
    return best(scores).map((i) => ({ key: facts[i]?.key ?? "", score: scores[i] ?? 0 }));
  };
}

/** The positions of the {@link FOUND} highest, best first, by insertion into a short list. */
function best(scores: Float32Array): number[] {
  const found: number[] = [];
  const score = (i: number) => scores[i] ?? 0;
  for (let i = 0; i < scores.length; i += 1) {
    const last = found.at(-1);
    if (found.length === FOUND && last !== undefined && score(i) <= score(last)) continue;
    if (found.length === FOUND) found.pop();
    const at = found.findIndex((other) => score(other) < score(i));
    found.splice(at < 0 ? found.length : at, 0, i);
  }
  return found;
}

/** @throws Error when search by vector and the floor find memories of other scores: then they do not do the same. */
async function checkFloor(
  { memory }: BenchMemory,
  questions: readonly Question[],
  floor: Floor,
  embeddings: OpenAIEmbeddings,
): Promise<void> {
  for (const { text } of questions) {
    const query = await embeddings.embedQuery(text);
    const found = await memory.facts.search(USER, { query: text, limit: FOUND, ranking: "vector" });
    const vectors = await embeddings.embedDocuments(found.map(({ record }) => record.content));
    const ours = vectors.map((vector) => vector.reduce((sum, each, i) => sum + each * (query[i] ?? 0), 0));
    // Hashed vectors of short texts are often equally near, so that scores and not keys are compared.
    const differs = floor(query).some(({ score }, i) => Math.abs(score - (ours[i] ?? 0)) > 1e-4);
    if (differs) throw new Error(`search by vector and the floor differ for ${JSON.stringify(text)}`);
  }
}
