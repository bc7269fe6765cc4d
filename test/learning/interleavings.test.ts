import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { InMemoryStore } from "@langchain/langgraph";
import type { Operation } from "@langchain/langgraph-checkpoint";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Receipt } from "../../src/memory/feedback-record.ts";
import { Memory } from "../../src/memory/memory.ts";
import { renderProfile } from "../../src/memory/profile.ts";
import { loadPrompts, renderPrompt } from "../../src/prompts.ts";
import { openHybridDriver } from "../../src/store/hybrid/hybrid-driver.ts";
import type { VectorIndex } from "../../src/store/hybrid/vector-index.ts";
import type { KeyValue } from "../../src/store/key-value/key-value.ts";
import { createKeyValueDriver } from "../../src/store/key-value/key-value-driver.ts";
import { mapKeyValue } from "../../src/store/key-value/map.ts";
import { openRedisDriver } from "../../src/store/key-value/redis.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { userNamespaces } from "../../src/store/namespaces.ts";
import type { RowDriver } from "../../src/store/row-driver.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { email, temporaryFolder } from "../support/assistant.ts";
import { PlainStore } from "../support/copying-store.ts";
import { externalPostgres, startPostgres } from "../support/postgres.ts";
import { startRedis } from "../support/redis.ts";
import { startLoopbackS3 } from "../support/s3.ts";
import type { Settings } from "../support/store-of-settings.ts";
import { startChroma } from "../support/vector-servers/chroma.ts";
import { hasVectorPackages } from "../support/vector-servers/packages.ts";
import type { Loopback } from "../support/vector-servers/table.ts";
import { processVectors } from "../support/vector-store.ts";
import {
  answerSchema,
  type Done,
  factText,
  openWrittenStore,
  perform,
  promptsOf,
  ruleText,
  type Step,
  WRITER_INDEX,
} from "./writer.ts";

const redis = await startRedis();
afterAll(() => redis?.stop());

const PROMPTS = loadPrompts();
const USER = "ana";
const TRIAGE = ["triage_ignore", "triage_notify", "triage_respond"] as const;
const EMAIL = email({ id: "next", body: "The next email." });

const minute = fc.nat(59);
const n = fc.nat(6);
const pick = fc.nat(9);
const add = fc.record({ do: fc.constant("add" as const), n, again: fc.boolean(), minute });
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: add },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("replace" as const), n, pick, minute }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("retire" as const), n, pick, minute }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("propose" as const), n, minute }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("decide" as const), accept: fc.boolean(), pick, minute }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("rollback" as const),
      prompt: fc.constantFrom(...TRIAGE),
      pick: fc.option(pick),
      minute,
    }),
  },
);
const writersOf = <T>(step: fc.Arbitrary<T>, maxLength = 5) => {
  const steps = fc.array(step, { minLength: 1, maxLength });
  return fc.tuple(steps, steps);
};

/** Each writer does its steps; `acknowledged` is told of each before the next one begins. */
async function performAll(
  memories: readonly Memory[],
  writers: readonly Step[][],
  acknowledged: (memory: Memory, step: Step) => Promise<void> = async () => {},
  userId = USER,
): Promise<Done[]> {
  const all = memories.map(async (memory, i) => {
    const done: Done[] = [];
    for (const step of writers[i] ?? []) {
      done.push(await perform(memory, userId, step, `writer ${i}`));
      await acknowledged(memory, step);
    }
    return done;
  });
  return (await Promise.all(all)).flat();
}

/** What the next triage reads: the system message as triage renders it, and the prompts in it. */
async function nextTriage(memory: Memory, userId: string) {
  const { prompts, profile } = await memory.readForTriage(userId, EMAIL);
  const { ignore, notify, respond } = prompts;
  const system = renderPrompt(PROMPTS.triage, {
    triage_ignore: ignore.text,
    triage_notify: notify.text,
    triage_respond: respond.text,
    profile: renderProfile(profile),
  });
  return { system, prompts: { triage_ignore: ignore, triage_notify: notify, triage_respond: respond } };
}

const countOf = (text: string, part: string) => text.split(part).length - 1;

/** Every feedback of `done` has one receipt, which everybody who gave it got. Returns them. */
async function expectOneReceiptEach(memory: Memory, userId: string, done: readonly Done[]): Promise<Receipt[]> {
  const receipts = new Map<string, Receipt>();
  for (const each of done) {
    if (each.done !== "learnt") continue;
    const { receipt } = each;
    expect(receipt).toEqual(receipts.get(receipt.feedback) ?? receipt);
    receipts.set(receipt.feedback, receipt);
    expect((await memory.ledger.find(userId, receipt.feedback)).receipt).toEqual(receipt);
  }
  expect(await memory.ledger.unlearnt(userId)).toEqual([]);
  return [...receipts.values()];
}

/** The rules of a prompt are what the acknowledged changes make, in the order of the versions they name. */
async function expectAsAcknowledged(memory: Memory, userId: string, done: readonly Done[]): Promise<void> {
  const receipts = await expectOneReceiptEach(memory, userId, done);
  for (const each of done) {
    if (each.done !== "learnt") continue;
    const said = each.receipt.changes.flatMap((change) => (change.kind === "rule" ? (change.text ?? []) : []));
    expect(said.sort()).toEqual(each.wanted.sort());
  }
  const learnt = receipts.flatMap(({ changes }) => changes);
  const decided = done.filter((each) => each.done === "decided");
  const proposals = await memory.ledger.proposals(userId, { all: true });
  const status = new Map(proposals.map((each) => [each.number, each.status]));
  expect(decided.map(({ number }) => status.get(number))).toEqual(decided.map(({ verdict }) => verdict));
  const changes = [...learnt, ...decided.flatMap((each) => each.changes)].filter((change) => change.kind === "rule");
  const { system, prompts } = await nextTriage(memory, userId);
  const histories = await memory.ledger.histories(userId);
  for (const name of TRIAGE) {
    const steps = new Map<number, (rules: string[][]) => string[]>();
    for (const { prompt, version, status, text, was } of changes) {
      if (prompt !== name || version === null || status !== "live") continue;
      expect(steps.has(version), `version ${version} of ${name} was acknowledged twice`).toBe(false);
      steps.set(version, (states) => {
        const rules = states.at(-1) ?? [];
        if (was === null) return text === null ? rules : [...rules, text];
        return rules.flatMap((each) => (each === was ? (text ?? []) : each));
      });
    }
    for (const each of done) {
      if (each.done !== "rolled back" || each.prompt !== name) continue;
      expect(steps.has(each.version), `version ${each.version} of ${name} was acknowledged twice`).toBe(false);
      steps.set(each.version, (states) => states[each.to] ?? []);
    }
    const numbers = Array.from({ length: steps.size + 1 }, (_, i) => i);
    const states: string[][] = [[]];
    for (const each of numbers.slice(1)) states.push(steps.get(each)?.(states) ?? ["nobody acknowledged this version"]);
    const { versions } = histories[name];
    expect(versions.map(({ number }) => number)).toEqual(numbers);
    expect(versions.map(({ state }) => state.rules.map(({ text }) => text))).toEqual(states);
    expect(prompts[name].version).toBe(steps.size);
    expect(prompts[name].rules.map(({ text }) => text)).toEqual(states.at(-1));
    for (const { prompt, version, status, text } of changes) {
      if (prompt === name && status === "known") expect(states[version ?? 0]).toContain(text);
    }
    for (const text of states.at(-1) ?? []) expect(countOf(system, text), text).toBe(1);
  }
}

/** Each topic that was added is, exactly once, in each prompt it is about, in the next triage. */
async function expectOnce(memory: Memory, ...steps: Step[]): Promise<void> {
  expectEachOnce((await nextTriage(memory, USER)).system, steps);
}

function expectEachOnce(system: string, steps: readonly Step[]): void {
  for (const step of steps) {
    if (step.do !== "add") continue;
    for (const prompt of promptsOf(step.n)) expect(countOf(system, ruleText(String(step.n), prompt)), prompt).toBe(1);
  }
}

/** As many rules as were said, each of them once. */
async function expectAllOnce(memory: Memory, writers: readonly Step[][], userId = USER): Promise<void> {
  const { system, prompts } = await nextTriage(memory, userId);
  expectEachOnce(system, writers.flat());
  const said = new Set(writers.flat().flatMap((step) => (step.do === "add" ? [step.n] : [])));
  const about = [...said].flatMap(promptsOf);
  for (const name of TRIAGE) expect(prompts[name].rules).toHaveLength(about.filter((each) => each === name).length);
  expect(await memory.ledger.unlearnt(userId)).toEqual([]);
}

describe("two writers on a copying store in one process", () => {
  /** Two handles whose calls come in the order that the scheduler chooses, and one to read with afterwards. */
  async function openThree(scheduler: fc.Scheduler) {
    const data = createMemoryDriver();
    const open = async (before: () => Promise<void>) => {
      const run: typeof data.run = async (batch) => before().then(() => data.run(batch));
      return new Memory(await MnemailStore.open({ ...data, run }), PROMPTS);
    };
    const scheduled = () => open(() => scheduler.schedule(Promise.resolve()));
    return { pair: [await scheduled(), await scheduled()], reader: await open(async () => {}) };
  }

  test("lose no feedback and apply none twice", async () => {
    const property = fc.asyncProperty(fc.scheduler(), writersOf(add), async (scheduler, writers) => {
      const { pair, reader } = await openThree(scheduler);
      const done = await scheduler.waitFor(performAll(pair, writers, expectOnce));
      await expectAllOnce(reader, writers);
      await expectAsAcknowledged(reader, USER, done);
    });
    await fc.assert(property, { numRuns: 1_000 });
  });

  test("who also replace, retire, roll back, propose and decide leave what was acknowledged", async () => {
    const property = fc.asyncProperty(fc.scheduler(), writersOf(anyStep), async (scheduler, writers) => {
      const { pair, reader } = await openThree(scheduler);
      const done = await scheduler.waitFor(performAll(pair, writers));
      await expectAsAcknowledged(reader, USER, done);
    });
    await fc.assert(property, { numRuns: 1_000 });
  });
});

describe.each([
  ["a copying BaseStore without conditional put", 1_000, () => MnemailStore.open(createMemoryDriver())],
  ["LangGraph's InMemoryStore", 100, async () => new InMemoryStore()],
])("two writers on %s", (_, numRuns, openData) => {
  test("lose no feedback and apply none twice", async () => {
    const property = fc.asyncProperty(fc.scheduler(), writersOf(add), async (scheduler, writers) => {
      const data = await openData();
      const open = () => new Memory(new PlainStore(data, () => scheduler.schedule(Promise.resolve())), PROMPTS);
      await scheduler.waitFor(performAll([open(), open()], writers, expectOnce));
      await expectAllOnce(new Memory(new PlainStore(data), PROMPTS), writers);
    });
    await fc.assert(property, { numRuns });
  });

  test("one of whom dies between two writes of a batch lose no feedback once it is said again", async () => {
    const property = fc.asyncProperty(fc.scheduler(), writersOf(add), fc.nat(12), async (scheduler, writers, lives) => {
      const data = await openData();
      const open = (limit: number) => {
        let writes = 0;
        const step = async (operation: Operation) => {
          await scheduler.schedule(Promise.resolve());
          if ("value" in operation && ++writes > limit) throw new Error("the process died");
        };
        return new Memory(new PlainStore(data, step), PROMPTS);
      };
      const [mortal = [], other = []] = writers;
      const dies = performAll([open(lives)], [mortal], expectOnce).catch(() => []);
      await scheduler.waitFor(Promise.all([dies, performAll([open(Infinity)], [other], expectOnce)]));
      const again = new Memory(new PlainStore(data), PROMPTS);
      await performAll([again], [mortal], expectOnce);
      await expectAllOnce(again, writers);
    });
    await fc.assert(property, { numRuns: numRuns / 2 });
  });
});

describe("two writers on texts by key", () => {
  /** A handle on a map whose calls come when the scheduler says; where it is not atomic, each change on its own. */
  function scheduledPlace(map: Map<string, string>, scheduler: fc.Scheduler, isAtomic: boolean): KeyValue {
    const { snapshot, write, ...place } = mapKeyValue(map);
    const step = () => scheduler.schedule(Promise.resolve());
    const inSteps: KeyValue["write"] = async (changes) => {
      let holds = true;
      for (const change of changes) {
        await step();
        holds = (await write([change])) && holds;
      }
      return holds;
    };
    return {
      ...{ ...place, isAtomic },
      read: (keys) => step().then(() => place.read(keys)),
      list: (prefix) => step().then(() => place.list(prefix)),
      write: isAtomic ? (changes) => step().then(() => write(changes)) : inSteps,
      ...(isAtomic && snapshot ? { snapshot: (keys, below) => step().then(() => snapshot(keys, below)) } : {}),
    };
  }

  test.each([true, false])("lose no feedback and apply none twice, whether a batch is atomic: %s", async (isAtomic) => {
    const property = fc.asyncProperty(fc.scheduler(), writersOf(add), async (scheduler, writers) => {
      const map = new Map<string, string>();
      const open = async (place: KeyValue) => new Memory(await MnemailStore.open(createKeyValueDriver(place)), PROMPTS);
      const pair = [
        await open(scheduledPlace(map, scheduler, isAtomic)),
        await open(scheduledPlace(map, scheduler, isAtomic)),
      ];
      const done = await scheduler.waitFor(performAll(pair, writers, expectOnce));
      const reader = await open({ ...mapKeyValue(map), isAtomic });
      await expectAllOnce(reader, writers);
      if (isAtomic) await expectAsAcknowledged(reader, USER, done);
    });
    await fc.assert(property, { numRuns: 300 });
  });
});

describe("two writers on documents and vectors in two places", () => {
  /** Two handles on documents, as two processes have them, and how often they are written at once. */
  const places: [name: string, numRuns: number, open: () => Promise<{ handles: RowDriver[] } & AsyncDisposable>][] = [
    [
      "memory",
      100,
      async () => {
        const documents = createMemoryDriver();
        return { handles: [documents, documents], [Symbol.asyncDispose]: () => documents.close() };
      },
    ],
    [
      "SQLite",
      30,
      async () => {
        const folder = temporaryFolder();
        const handles = [1, 2].map(() => openSqliteDriver(folder.path("memory.db")));
        const close = async () => {
          for (const each of handles) await each.close();
          folder[Symbol.dispose]();
        };
        return { handles, [Symbol.asyncDispose]: close };
      },
    ],
    [
      "Redis",
      20,
      async () => {
        const handles = await Promise.all([1, 2].map(() => openRedisDriver(`${redis?.url}?prefix=beside-vectors`)));
        const close = async () => {
          for (const each of handles) await each.close();
        };
        return { handles, [Symbol.asyncDispose]: close };
      },
    ],
  ];

  /** The same rows, of which each batch waits for its turn. */
  function inSteps(documents: RowDriver, step: () => Promise<void>): RowDriver {
    return {
      withoutVectors: documents.withoutVectors,
      isAtomic: documents.isAtomic,
      run: (batch) => step().then(() => documents.run(batch)),
      vectorSpace: () => documents.vectorSpace(),
      resetVectors: (space) => documents.resetVectors(space),
      unembedded: (limit) => documents.unembedded(limit),
      pages: (prefixes) => documents.pages(prefixes),
      drop: (prefixes) => documents.drop(prefixes),
      sweep: () => documents.sweep(),
      health: () => documents.health(),
      close: () => documents.close(),
    };
  }

  test.each(places.filter(([name]) => redis || name !== "Redis"))(
    "with the documents in %s lose no feedback and apply none twice, and no vector",
    async (_, numRuns, openPlace) => {
      await using place = await openPlace();
      const kept = processVectors();
      let rounds = 0;
      const property = fc.asyncProperty(fc.scheduler(), writersOf(anyStep), async (scheduler, writers) => {
        const open = async (documents: RowDriver, step: () => Promise<void>) => {
          const scheduledVectors: VectorIndex = {
            ...kept,
            add: (added) => step().then(() => kept.add(added)),
            remove: (ids) => step().then(() => kept.remove(ids)),
            search: (near, limit, where) => step().then(() => kept.search(near, limit, where)),
            find: (where, dimensions) => step().then(() => kept.find(where, dimensions)),
          };
          const driver = await openHybridDriver(inSteps(documents, step), scheduledVectors);
          return MnemailStore.open(driver, { index: WRITER_INDEX });
        };
        const [first, second] = place.handles;
        if (!first || !second) throw new Error("two handles were opened");
        const step = () => scheduler.schedule(Promise.resolve());
        const pair = [await open(first, step), await open(second, step)];
        rounds += 1;
        const user = `user-${rounds}`;
        const memories = pair.map((store) => new Memory(store, PROMPTS));
        const done = await scheduler.waitFor(performAll(memories, writers, undefined, user));
        const reader = await open(first, async () => {});
        await expectAsAcknowledged(new Memory(reader, PROMPTS), user, done);
        await expectFacts(reader, user, writers);
      });
      await fc.assert(property, { numRuns });
    },
  );
});

/** Each fact that was stated is there, and is found by its vector. */
async function expectFacts(store: MnemailStore, userId: string, writers: readonly Step[][]): Promise<void> {
  const namespacePrefix = userNamespaces(userId).collection;
  const stated = new Set(writers.flat().flatMap((step) => (step.do === "add" ? [factText(step.n)] : [])));
  const searches = [...stated].map((query) => ({ namespacePrefix, query, ranking: "vector" as const, limit: 1 }));
  const found = await store.batch(searches);
  expect(found.map((items) => items.map(({ value, score }) => [value["content"], score?.toFixed(3)]))).toEqual(
    [...stated].map((text) => [[text, "1.000"]]),
  );
  // What the database holds of it is neither less nor more than what there is.
  expect(await store.health()).toMatchObject({ unembedded: 0 });
}

/** How long both processes have to read what they are told, in milliseconds, so that they begin together. */
const AHEAD_MS = 4;

/** A process that writes when it is told. */
function startWriter(settings: Settings, name: string) {
  const program = fileURLToPath(new URL("writer.ts", import.meta.url));
  const command = ["--import", import.meta.resolve("tsx"), program, JSON.stringify(settings), name];
  const child = spawn(process.execPath, command, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => answerSchema.parse(JSON.parse((await lines.next()).value ?? '{"error": "it ended"}'));
  return {
    ready: next(),
    ask: async (request: { user: string; steps: Step[]; from: number }) => {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      return next();
    },
    [Symbol.dispose]: () => void child.kill(),
  };
}

/** What two processes did for a user of their own. */
interface Round {
  store: MnemailStore;
  memory: Memory;
  user: string;
  writers: Step[][];
  done: Done[];
}

/**
 * Rounds of two processes on one store, `numRuns` or as many more, up to five times, as it takes until one met what the other
 * changed of what it had read. Returns how often that was, as far as the processes or `check` tell.
 */
async function runTogether(
  settings: Settings,
  numRuns: number,
  steps: fc.Arbitrary<Step>,
  check: (round: Round) => Promise<number>,
): Promise<number> {
  await using store = await openWrittenStore(settings);
  const memory = new Memory(store, PROMPTS);
  using first = startWriter(settings, "first");
  using second = startWriter(settings, "second");
  await Promise.all([first.ready, second.ready]);
  let [rounds, conflicts] = [0, 0];
  const property = fc.asyncProperty(writersOf(steps, 3), async (writers) => {
    if (rounds >= numRuns && conflicts > 0) return;
    rounds += 1;
    const user = `user-${rounds}`;
    const from = Date.now() + AHEAD_MS;
    const ask = (i: 0 | 1) => [first, second][i]?.ask({ user, steps: writers[i], from });
    const answers = await Promise.all([ask(0), ask(1)]);
    expect(answers.map((each) => each?.error)).toEqual([undefined, undefined]);
    for (const each of answers) conflicts += each?.conflicts ?? 0;
    const done = answers.flatMap((each) => each?.done ?? []);
    conflicts += await check({ store, memory, user, writers, done });
  });
  // What fails need not fail again in another run, so there is nothing to shrink.
  await fc.assert(property, { numRuns: 5 * numRuns, endOnFailure: true });
  return conflicts;
}

const runAll = (settings: Settings, numRuns: number) =>
  runTogether(settings, numRuns, anyStep, async ({ memory, user, done }) => {
    await expectAsAcknowledged(memory, user, done);
    return 0;
  });

/** The same, where each fact has its vector in a database beside the store. */
const runWithVectors = (settings: Settings, numRuns: number) =>
  runTogether(settings, numRuns, anyStep, async ({ store, memory, user, writers, done }) => {
    await expectAsAcknowledged(memory, user, done);
    await expectFacts(store, user, writers);
    return 0;
  });

test("two processes on one SQLite file lose no feedback and apply none twice, 200 times", async () => {
  using folder = temporaryFolder();
  expect(await runAll({ STORE_URL: `sqlite:${folder.path("memory.db")}` }, 200)).toBeGreaterThan(0);
});

test("two processes on one folder of files lose no feedback and apply none twice, 50 times", async () => {
  using folder = temporaryFolder();
  expect(await runAll({ STORE_URL: `file:${folder.path("memory")}` }, 50)).toBeGreaterThan(0);
});

describe.skipIf(!redis)("two processes on one Redis server", () => {
  test("lose no feedback and apply none twice, 50 times", async () => {
    expect(await runAll({ STORE_URL: redis?.url ?? "" }, 50)).toBeGreaterThan(0);
  });
});

describe.skipIf(!hasVectorPackages)("two processes with their vectors on one Chroma server", () => {
  let chroma: Loopback;
  beforeAll(async () => {
    chroma = await startChroma();
  });
  afterAll(() => chroma.stop());
  const vectorsIn = (collection: string) => `chroma://127.0.0.1:${chroma.port}/${collection}`;

  test("and their documents in SQLite lose no feedback and apply none twice, and no vector, 12 times", async () => {
    using folder = temporaryFolder();
    const settings = { STORE_URL: `sqlite:${folder.path("memory.db")}`, VECTOR_URL: vectorsIn("sqlite") };
    expect(await runWithVectors(settings, 12)).toBeGreaterThan(0);
  });

  test.skipIf(!redis)("and their documents in Redis do so too, 12 times", async () => {
    const settings = { STORE_URL: `${redis?.url}?prefix=hybrid`, VECTOR_URL: vectorsIn("redis") };
    expect(await runWithVectors(settings, 12)).toBeGreaterThan(0);
  });
});

test("two processes on one S3 bucket, where no batch is all or nothing, lose no feedback and apply none twice, 8 times", async () => {
  const s3 = await startLoopbackS3();
  const settings = {
    ...{ STORE_URL: `s3://${s3.bucket}/memory`, AWS_ENDPOINT_URL_S3: s3.endpoint, AWS_REGION: s3.region },
    ...{ AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey },
  };
  const conflicts = await runTogether(settings, 8, add, async ({ store, memory, user, writers }) => {
    await expectAllOnce(memory, writers, user);
    const log = await store.search(userNamespaces(user).versions, { limit: 100 });
    // Who did not see the other made a version of the same number.
    return log.length - new Set(log.map(({ value }) => `${value["prompt"]} ${value["version"]}`)).size;
  });
  expect(conflicts).toBeGreaterThan(0);
  await s3.close();
});

const server = (await externalPostgres()) ?? (await startPostgres());

describe.skipIf(!server)("two processes on one PostgreSQL server", () => {
  afterAll(() => server?.stop());

  test("lose no feedback and apply none twice, 50 times", async () => {
    expect(await runAll({ STORE_URL: server?.url ?? "" }, 50)).toBeGreaterThan(0);
  });
});
