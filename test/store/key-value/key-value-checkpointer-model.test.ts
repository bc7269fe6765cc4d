import { type BaseCheckpointSaver, MemorySaver } from "@langchain/langgraph";
import {
  type CheckpointMetadata,
  type CheckpointTuple,
  ERROR,
  INTERRUPT,
  RESUME,
  SCHEDULED,
  TASKS,
} from "@langchain/langgraph-checkpoint";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { openKeyValueCheckpointer } from "../../../src/store/key-value/key-value-checkpointer.ts";
import { threadIdsOf } from "../../../src/store/threads.ts";
import { startPlaces } from "./key-value-checkpointer-places.ts";

const { kinds, stop } = await startPlaces();
afterAll(stop);
let places = 0;

const THREADS = ["t", "t/1", "../t", "t~"];
const NAMESPACES = ["", "sub", "sub|a:1"];
const USERS = ["user1", "user10", "", undefined, 7];
const thread = fc.constantFrom("t", "t", "t", ...THREADS);
const namespace = fc.constantFrom("", "", "", ...NAMESPACES);
// Ids of a thread are no other's, since of two newest threads neither is first.
const step = fc.integer({ min: 1, max: 5 });
const source = fc.constantFrom("input" as const, "loop" as const, "update" as const);
const value = fc.oneof(
  fc.string({ maxLength: 4 }),
  fc.integer(),
  fc.constant(undefined),
  fc.jsonValue({ maxDepth: 1 }),
);
const channel = fc.constantFrom("a", "b", TASKS, ERROR, INTERRUPT, RESUME, SCHEDULED);
const maybe = <T>(each: fc.Arbitrary<T>) => fc.option(each, { nil: undefined });
const target = { thread, namespace, id: maybe(step) };

const operation = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      ...{ do: fc.constant("put" as const), thread, namespace, id: step, parent: maybe(step), source, value },
      ...{ user: fc.constantFrom(...USERS), format: fc.constantFrom(4, 4, 4, 3) },
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      ...{ do: fc.constant("writes" as const), thread, namespace, id: step },
      ...{ task: fc.constantFrom("one", "two", "a,1/"), writes: fc.array(fc.tuple(channel, value), { maxLength: 4 }) },
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), thread }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("get" as const), ...target }) },
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ do: fc.constant("list" as const), ...target, namespace: maybe(namespace), before: maybe(step) },
      ...{ limit: maybe(fc.integer({ min: 0, max: 4 })), source: maybe(source) },
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("owners" as const) }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

const idOf = (name: string, id: number) => `${String(id).padStart(2, "0")}-${THREADS.indexOf(name)}`;
function configOf(at: { thread: string; namespace: string | undefined; id?: number | undefined }) {
  const id = at.id === undefined ? {} : { checkpoint_id: idOf(at.thread, at.id) };
  const inside = at.namespace === undefined ? {} : { checkpoint_ns: at.namespace };
  return { configurable: { thread_id: at.thread, ...inside, ...id } };
}

/** What an operation shows of a saver. The writes of several tasks have no order, nor have several namespaces. */
async function show(saver: BaseCheckpointSaver, each: Operation): Promise<unknown> {
  const plain = (tuple: CheckpointTuple | undefined) => {
    const { [TASKS]: sends, ...values } = tuple?.checkpoint.channel_values ?? {};
    return {
      ...{ ...tuple, checkpoint: { ...tuple?.checkpoint, channel_values: values } },
      sends: Array.isArray(sends) ? sends.map((each) => JSON.stringify(each)).sort() : sends,
      pendingWrites: tuple?.pendingWrites?.map((write) => JSON.stringify(write)).sort(),
    };
  };
  switch (each.do) {
    case "put": {
      const id = idOf(each.thread, each.id);
      const checkpoint = {
        ...{ v: each.format, id, ts: `at ${each.id}` },
        channel_values: { value: each.value, ...(each.user === undefined ? {} : { user_id: each.user }) },
        ...{ channel_versions: { value: each.id }, versions_seen: { node: { value: 1 } } },
      };
      const metadata: CheckpointMetadata = { source: each.source, step: each.id, parents: {} };
      return saver.put(configOf({ ...each, id: each.parent }), checkpoint, metadata, {});
    }
    case "writes":
      return saver.putWrites(configOf(each), each.writes, each.task);
    case "delete":
      return saver.deleteThread(each.thread);
    case "get":
      return plain(await saver.getTuple(configOf(each)));
    case "list": {
      const options = {
        ...(each.before === undefined ? {} : { before: configOf({ ...each, id: each.before }) }),
        ...(each.source === undefined ? {} : { filter: { source: each.source } }),
      };
      // Of several namespaces, each saver takes others first.
      const limit = each.limit === undefined || each.namespace === undefined ? {} : { limit: each.limit };
      const found = [];
      for await (const tuple of saver.list(configOf(each), { ...options, ...limit })) found.push(plain(tuple));
      const ids = found.map((tuple) => tuple.checkpoint.id ?? "");
      if (each.namespace !== undefined) expect(ids).toEqual(ids.toSorted().reverse());
      return new Set(found);
    }
    default:
      return undefined;
  }
}

describe.each(kinds)("the checkpointer on $name", ({ name, open }) => {
  const numRuns = name === "a Map" ? 150 : 10;
  test(`shows what LangGraph's MemorySaver shows, in ${numRuns} runs of 50 operations`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 50, maxLength: 50 }), async (operations) => {
        const here = `model${places++}`;
        const model = new MemorySaver();
        let ours = openKeyValueCheckpointer(await open(here));
        for (const each of operations) {
          if (each.do === "reopen") {
            await ours[Symbol.asyncDispose]();
            ours = openKeyValueCheckpointer(await open(here));
          } else if (each.do === "owners") {
            for (const user of ["user1", "user10"])
              expect(await ours.threadIds(user)).toEqual(await threadIdsOf(model, user));
          } else {
            expect(await show(ours.checkpointer, each)).toEqual(await show(model, each));
          }
        }
        for (const user of ["user1", "user10"])
          expect(await ours.threadIds(user)).toEqual(await threadIdsOf(model, user));
        for (const each of THREADS) await ours.checkpointer.deleteThread(each);
        await ours[Symbol.asyncDispose]();
        const place = await open(here);
        expect((await place.keys("")).filter((key) => key !== "m/threads" && key !== "probe")).toEqual([]);
        await place.close();
      }),
      { numRuns },
    );
  }, 60_000);
});
