import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { InMemoryStore } from "@langchain/langgraph";
import type { Operation } from "@langchain/langgraph-checkpoint";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { Receipt } from "../../src/memory/feedback-record.ts";
import { Memory } from "../../src/memory/memory.ts";
import { renderProfile } from "../../src/memory/profile.ts";
import { loadPrompts, renderPrompt } from "../../src/prompts.ts";
import { openHybridDriver } from "../../src/store/hybrid/hybrid-driver.ts";
import type { VectorIndex } from "../../src/store/hybrid/vector-index.ts";
import type { KeyValue } from "../../src/store/key-value/key-value.ts";
import { createKeyValueDriver } from "../../src/store/key-value/key-value-driver.ts";
import { mapKeyValue } from "../../src/store/key-value/map.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import type { RowDriver } from "../../src/store/row-driver.ts";
import { indexOf } from "../store/conformance/describe-store.ts";
import { email, temporaryFolder } from "../support/assistant.ts";
import { PlainStore } from "../support/copying-store.ts";
import { externalPostgres, startPostgres } from "../support/postgres.ts";
import { startRedis } from "../support/redis.ts";
import { openStoreOf } from "../support/store-of-url.ts";
import { processVectors } from "../support/vector-store.ts";
import { answerSchema, type Done, perform, promptsOf, ruleText, type Step } from "./writer.ts";

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
): Promise<Done[]> {
  const all = memories.map(async (memory, i) => {
    const done: Done[] = [];
    for (const step of writers[i] ?? []) {
      done.push(await perform(memory, USER, step, `writer ${i}`));
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
  const { system } = await nextTriage(memory, USER);
  for (const step of steps) {
    if (step.do !== "add") continue;
    for (const prompt of promptsOf(step.n)) expect(countOf(system, ruleText(String(step.n), prompt)), prompt).toBe(1);
  }
}

/** As many rules as were said, each of them once. */
async function expectAllOnce(memory: Memory, writers: readonly Step[][]): Promise<void> {
  await expectOnce(memory, ...writers.flat());
  const { prompts } = await nextTriage(memory, USER);
  const said = new Set(writers.flat().flatMap((step) => (step.do === "add" ? [step.n] : [])));
  const about = [...said].flatMap(promptsOf);
  for (const name of TRIAGE) expect(prompts[name].rules).toHaveLength(about.filter((each) => each === name).length);
  expect(await memory.ledger.unlearnt(USER)).toEqual([]);
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

test("two writers on documents and vectors in two places lose no feedback and apply none twice", async () => {
  const property = fc.asyncProperty(fc.scheduler(), writersOf(anyStep), async (scheduler, writers) => {
    const documents = createMemoryDriver();
    const vectors = processVectors();
    const open = async (step: () => Promise<void>) => {
      const scheduledDocuments: RowDriver = { ...documents, run: (batch) => step().then(() => documents.run(batch)) };
      const scheduledVectors: VectorIndex = {
        ...vectors,
        add: (added) => step().then(() => vectors.add(added)),
        remove: (ids) => step().then(() => vectors.remove(ids)),
        search: (near, limit, where) => step().then(() => vectors.search(near, limit, where)),
        find: (where, dimensions) => step().then(() => vectors.find(where, dimensions)),
      };
      const driver = await openHybridDriver(scheduledDocuments, scheduledVectors);
      return new Memory(await MnemailStore.open(driver, { index: indexOf() }), PROMPTS);
    };
    const scheduled = () => open(() => scheduler.schedule(Promise.resolve()));
    const pair = [await scheduled(), await scheduled()];
    const done = await scheduler.waitFor(performAll(pair, writers));
    await expectAsAcknowledged(await open(async () => {}), USER, done);
  });
  await fc.assert(property, { numRuns: 200 });
});

/** How long both processes have to read what they are told, in milliseconds, so that they begin together. */
const AHEAD_MS = 4;

/** A process that writes when it is told. */
async function startWriter(url: string, name: string) {
  const program = fileURLToPath(new URL("writer.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), program, url, name], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.on("error", () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => answerSchema.parse(JSON.parse((await lines.next()).value ?? '{"error": "it ended"}'));
  await next();
  return {
    ask: async (request: { user: string; steps: Step[]; from: number }) => {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      return next();
    },
    [Symbol.dispose]: () => void child.kill(),
  };
}

/** Rounds of two processes on one database, each round for a user of its own; returns how often one met the other. */
async function runTogether(url: string, numRuns: number): Promise<number> {
  await using store = await openStoreOf(url);
  const memory = new Memory(store, PROMPTS);
  using first = await startWriter(url, "first");
  using second = await startWriter(url, "second");
  let [rounds, conflicts] = [0, 0];
  const property = fc.asyncProperty(writersOf(anyStep, 3), async (writers) => {
    rounds += 1;
    const user = `user-${rounds}`;
    const from = Date.now() + AHEAD_MS;
    const ask = (i: 0 | 1) => [first, second][i]?.ask({ user, steps: writers[i], from });
    const answers = await Promise.all([ask(0), ask(1)]);
    expect(answers.map((each) => each?.error)).toEqual([undefined, undefined]);
    for (const each of answers) conflicts += each?.conflicts ?? 0;
    const done = answers.flatMap((each) => each?.done ?? []);
    await expectAsAcknowledged(memory, user, done);
  });
  // What fails need not fail again in another run, so there is nothing to shrink.
  await fc.assert(property, { numRuns, endOnFailure: true });
  return conflicts;
}

test("two processes on one SQLite file lose no feedback and apply none twice, 200 times", async () => {
  using folder = temporaryFolder();
  expect(await runTogether(`sqlite:${folder.path("memory.db")}`, 200)).toBeGreaterThan(0);
});

test("two processes on one folder of files lose no feedback and apply none twice, 50 times", async () => {
  using folder = temporaryFolder();
  expect(await runTogether(`file:${folder.path("memory")}`, 50)).toBeGreaterThan(0);
});

const redis = await startRedis();

describe.skipIf(!redis)("two processes on one Redis server", () => {
  afterAll(() => redis?.stop());

  test("lose no feedback and apply none twice, 50 times", async () => {
    expect(await runTogether(redis?.url ?? "", 50)).toBeGreaterThan(0);
  });
});

const server = (await externalPostgres()) ?? (await startPostgres());

describe.skipIf(!server)("two processes on one PostgreSQL server", () => {
  afterAll(() => server?.stop());

  test("lose no feedback and apply none twice, 50 times", async () => {
    expect(await runTogether(server?.url ?? "", 50)).toBeGreaterThan(0);
  });
});
