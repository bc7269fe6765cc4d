import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { z } from "zod";
import { renderError } from "../../src/errors.ts";
import { embedText } from "../../src/stand-in/embedding.ts";
import type { StoreIndex } from "../../src/store/embedder.ts";
import type { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openStoreOfSettings } from "../support/store-of-settings.ts";

// A process that uses a store as its parent says, so that it can be killed, or start at one moment with another.

/** The two loops that write at once in a process. */
export const WRITERS = ["a", "b"] as const;
/** Where the loops write, below one root. */
export const PLACES = {
  root: ["kill"],
  items: ["kill", "items"],
  slots: (writer: string) => ["kill", "slots", writer],
  counter: ["kill", "counter"],
  log: ["kill", "log"],
};
/** The keys of the slots that a batch sets to one generation; `spare` is there in odd generations only. */
export const SLOTS = ["slot-0", "slot-1", "slot-2", "slot-3", "slot-4"];
const DIMENSIONS = 64;

const requestSchema = z.discriminatedUnion("do", [
  /** Open a store at a moment (milliseconds since 1970), put an item if told to, and close it. */
  z.object({ do: z.literal("open"), url: z.string(), at: z.number(), put: z.string().optional() }),
  /** Write until finished or killed, with pauses between the writes of a loop; `name` makes keys unique. */
  z.object({
    ...{ do: z.literal("write"), url: z.string(), seed: z.number(), name: z.string() },
    pauseMs: z.number().optional(),
  }),
  z.object({ do: z.literal("finish") }),
]);
type Request = z.infer<typeof requestSchema>;

const reportSchema = z.discriminatedUnion("done", [
  z.object({ done: z.literal("ready") }),
  z.object({ done: z.literal("opened") }),
  z.object({ done: z.literal("item"), key: z.string() }),
  z.object({ done: z.literal("slots"), writer: z.string(), generation: z.number() }),
  z.object({ done: z.literal("increment"), id: z.string(), to: z.number() }),
  z.object({ done: z.literal("finished") }),
  z.object({ done: z.literal("failed"), error: z.string() }),
]);
/** What the process reports: one line for each write that the store acknowledged, before the next begins. */
export type Report = z.infer<typeof reportSchema>;

/** Opens the store of a URL with embeddings made in process; a server that is away is waited for. */
export function openWrittenStore(url: string, warn: (line: string) => void = () => {}): Promise<MnemailStore> {
  const embedDocuments = async (texts: string[]) => texts.map((text) => [...embedText(text, DIMENSIONS)]);
  const index: StoreIndex = {
    model: "stand-in",
    embeddings: { embedDocuments, embedQuery: async (text) => [...embedText(text, DIMENSIONS)] },
  };
  return openStoreOfSettings({ STORE_URL: url }, { index, warn });
}

/** The value of an item, which follows from its key. */
export function itemOf(key: string) {
  return { key, text: `letter ${key} about the turbine` };
}

/** Numbers from 0 to 1 that follow from a seed (mulberry32, Tommy Ettinger). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A process that waits for requests. */
export interface StoreWriter {
  send(request: Request): void;
  /** The next report that is not an acknowledged write. */
  next(): Promise<Report>;
  kill(): void;
  ended: Promise<unknown>;
}

/** Starts a process, ready when this returns; `acknowledged` is told of each write. */
export async function startWriter(acknowledged: (report: Report) => void = () => {}): Promise<StoreWriter> {
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), fileURLToPath(import.meta.url)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  // A killed process reads no more.
  child.stdin.on("error", () => {});
  const others: Report[] = [];
  let wake = () => {};
  let over = false;
  createInterface({ input: child.stdout }).on("line", (line) => {
    const report = reportSchema.parse(JSON.parse(line));
    if (["item", "slots", "increment"].includes(report.done)) return acknowledged(report);
    others.push(report);
    wake();
  });
  void ended.then(() => {
    over = true;
    wake();
  });
  const next = async (): Promise<Report> => {
    while (others.length === 0 && !over) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return others.shift() ?? { done: "failed", error: `the process ended (${child.signalCode ?? child.exitCode})` };
  };
  const first = await next();
  if (first.done !== "ready") throw new Error(JSON.stringify(first));
  return {
    send: (request) => void child.stdin.write(`${JSON.stringify(request)}\n`),
    next,
    kill: () => void child.kill("SIGKILL"),
    ended,
  };
}

function report(what: Report): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

async function serve(): Promise<void> {
  let finished = false;
  let writing: Promise<void> | undefined;
  // Loaded before a kill is aimed at what they do.
  await Promise.all([
    import("../../src/store/sqlite-driver.ts"),
    import("../../src/store/postgres-driver.ts"),
    import("../../src/store/snapshot-driver.ts"),
  ]);
  report({ done: "ready" });
  for await (const line of createInterface({ input: process.stdin })) {
    const request = requestSchema.parse(JSON.parse(line));
    if (request.do === "open") await open(request).then(() => report({ done: "opened" }), reportFailure);
    if (request.do === "write") writing = write(request, () => finished).catch(fail);
    if (request.do === "finish") {
      finished = true;
      await writing;
      report({ done: "finished" });
    }
  }
}

function reportFailure(error: unknown): void {
  report({ done: "failed", error: renderError(error) });
}

/** Ends the process, so that who waits for a write of it does not wait for ever. */
function fail(error: unknown): never {
  reportFailure(error);
  process.exit(1);
}

async function open({ url, at, put }: Request & { do: "open" }): Promise<void> {
  while (Date.now() < at);
  const store = await openWrittenStore(url);
  try {
    if (put !== undefined) await store.put(PLACES.items, put, itemOf(put), ["text"]);
  } finally {
    await store.stop();
  }
}

async function write({ url, seed, name, pauseMs }: Request & { do: "write" }, isOver: () => boolean): Promise<void> {
  const store = await openWrittenStore(url);
  const random = randomFrom(seed);
  try {
    await Promise.all(WRITERS.map((writer) => writeOn(store, { writer, name, random, isOver, pauseMs })));
  } finally {
    await store.stop();
  }
}

async function writeOn(
  store: MnemailStore,
  loop: { writer: string; name: string; random: () => number; isOver: () => boolean; pauseMs: number | undefined },
): Promise<void> {
  const { writer, name, random, isOver, pauseMs } = loop;
  const last = await store.get(PLACES.slots(writer), "slot-0");
  let generation = z.object({ generation: z.number() }).parse(last?.value ?? { generation: 0 }).generation;
  for (let i = 0; !isOver(); i += 1) {
    if (pauseMs !== undefined) await wait(pauseMs);
    const id = `${name}${writer}${i}`;
    const choice = random();
    if (choice < 0.4) {
      await store.put(PLACES.items, id, itemOf(id), ["text"]);
      report({ done: "item", key: id });
    } else if (choice < 0.7) {
      generation += 1;
      await store.batch(slotPuts(writer, generation));
      report({ done: "slots", writer, generation });
    } else {
      report({ done: "increment", id, to: await increment(store, id) });
    }
  }
}

function slotPuts(writer: string, generation: number) {
  const namespace = PLACES.slots(writer);
  const value = { generation, text: `generation ${generation}` };
  return [
    ...SLOTS.map((key) => ({ namespace, key, value, index: ["text"] })),
    { namespace, key: "spare", value: generation % 2 === 1 ? value : null, index: ["text"] },
  ];
}

/** Counts once, and logs who did, whoever else counts: the way of a caller that reads, adds and puts if unchanged. */
async function increment(store: MnemailStore, id: string): Promise<number> {
  for (;;) {
    const current = await store.get(PLACES.counter, "counter");
    const to = z.object({ n: z.number() }).parse(current?.value ?? { n: 0 }).n + 1;
    const value = { n: to, id };
    const puts = [
      { namespace: PLACES.counter, key: "counter", value, expected: current?.value ?? null, index: false as const },
      { namespace: PLACES.log, key: String(to), value: { id }, expected: null, index: false as const },
    ];
    try {
      if (await store.putIf(puts)) return to;
    } catch (error) {
      if (!renderError(error).includes("it is not known whether it was made")) throw error;
      const [made] = await store.search(PLACES.log, { filter: { id } });
      if (made) return Number(made.key);
    }
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await serve();
