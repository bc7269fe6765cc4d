import { spawn } from "node:child_process";
import { once } from "node:events";
import { text as readText } from "node:stream/consumers";
import { Annotation, type BaseCheckpointSaver, Command, END, interrupt, START, StateGraph } from "@langchain/langgraph";
import { type Checkpoint, ERROR, INTERRUPT, RESUME } from "@langchain/langgraph-checkpoint";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { hasThreadsAt, openKeyValueCheckpointer } from "../../../src/store/key-value/key-value-checkpointer.ts";
import { findThread } from "../../../src/store/threads.ts";
import { startPlaces, watchPlace } from "./key-value-checkpointer-places.ts";

const { kinds, s3, stop } = await startPlaces();
afterAll(stop);
let places = 0;
const newName = () => `place${places++}`;

/** A graph that asks before it goes on, and keeps bytes that are no UTF-8. */
const BYTES = Uint8Array.from({ length: 256 }, (_, i) => 255 - i);
function askingGraph(checkpointer: BaseCheckpointSaver) {
  const state = Annotation.Root({
    user_id: Annotation<string>(),
    runs: Annotation<number>({ reducer: (sum, more) => sum + more, default: () => 0 }),
    bytes: Annotation<Uint8Array>(),
    nested: Annotation<{ bytes: Uint8Array }>(),
    answer: Annotation<string>(),
  });
  return new StateGraph(state)
    .addNode("draft", () => ({ runs: 1, bytes: BYTES, nested: { bytes: BYTES } }))
    .addNode("ask", () => ({ answer: interrupt("send it?") }))
    .addEdge(START, "draft")
    .addEdge("draft", "ask")
    .addEdge("ask", END)
    .compile({ checkpointer });
}

function checkpointOf(id: string, values: Record<string, unknown> = {}): Checkpoint {
  return { v: 4, id, ts: "", channel_values: values, channel_versions: {}, versions_seen: {} };
}
const METADATA = { source: "loop" as const, step: 0, parents: {} };
const at = (thread_id: string, checkpoint_id?: string, checkpoint_ns = "") => ({
  configurable: { thread_id, checkpoint_ns, ...(checkpoint_id === undefined ? {} : { checkpoint_id }) },
});

// Resumes a thread in a process of its own, and prints where it ended.
const RESUMING = `
import { readFileSync } from "node:fs";
import { Annotation, Command, END, interrupt, START, StateGraph } from "@langchain/langgraph";
import { openKeyValueCheckpointer } from ${JSON.stringify(new URL("../../../src/store/key-value/key-value-checkpointer.ts", import.meta.url).href)};
import { openRedis } from ${JSON.stringify(new URL("../../../src/store/key-value/redis.ts", import.meta.url).href)};
import { openS3 } from ${JSON.stringify(new URL("../../../src/store/key-value/s3.ts", import.meta.url).href)};
const { where, thread, answer } = JSON.parse(readFileSync(0, "utf8"));
const source = openKeyValueCheckpointer(await (where.redis ? openRedis(where.redis) : openS3(where.s3)));
const state = Annotation.Root({ user_id: Annotation(), runs: Annotation(), bytes: Annotation(), nested: Annotation(), answer: Annotation() });
const graph = new StateGraph(state)
  .addNode("draft", () => ({ runs: 100 }))
  .addNode("ask", () => ({ answer: interrupt("send it?") }))
  .addEdge(START, "draft").addEdge("draft", "ask").addEdge("ask", END)
  .compile({ checkpointer: source.checkpointer });
const config = { configurable: { thread_id: thread } };
const { tasks } = await graph.getState(config);
const { answer: given, runs, bytes } = await graph.invoke(new Command({ resume: answer }), config);
console.log(JSON.stringify({ asked: tasks[0].interrupts[0].value, given, runs, bytes: [...bytes] }));
await source[Symbol.asyncDispose]();`;

describe.each(kinds)("threads on $name", ({ name, open, openElsewhere }) => {
  let here = "";
  beforeEach(() => {
    here = newName();
  });
  const openHere = async () => openKeyValueCheckpointer(await open(here));
  const textsHere = async () => new Map((await (await open(here)).list("")).map(({ key, text }) => [key, text]));

  test("survive a reopening, with the bytes they hold, and go on", async () => {
    const ada = at("ada");
    {
      await using first = await openHere();
      await askingGraph(first.checkpointer).invoke({ user_id: "user1", runs: 0 }, ada);
      await first.checkpointer.put(at("raw"), checkpointOf("1"), METADATA, {});
      await first.checkpointer.putWrites(at("raw", "1"), [["channel", BYTES]], "task");
    }
    await using second = await openHere();
    const graph = askingGraph(second.checkpointer);
    const { values, next } = await graph.getState(ada);
    expect(next).toEqual(["ask"]);
    expect([values.runs, values.bytes, values.nested.bytes]).toEqual([1, BYTES, BYTES]);
    expect(await graph.invoke(new Command({ resume: "yes" }), ada)).toMatchObject({ runs: 1, answer: "yes" });
    for await (const earlier of graph.getStateHistory(ada)) expect(earlier.values.runs).toBeLessThanOrEqual(1);
    await graph.invoke({ runs: 0 }, ada);
    expect((await graph.getState(ada)).values.runs).toBe(2);
    expect((await second.checkpointer.getTuple(at("raw")))?.pendingWrites).toEqual([["task", "channel", BYTES]]);
    expect(await second.threadIds("user1")).toEqual(["ada"]);
  });

  test.skipIf(!openElsewhere)("that wait are found and resumed by another process, and then here again", async () => {
    await using source = await openHere();
    const ada = at("ada/../x");
    await askingGraph(source.checkpointer).invoke({ user_id: "user1", runs: 0 }, ada);
    const child = spawn(
      process.execPath,
      ["--import", import.meta.resolve("tsx"), "--input-type=module", "-e", RESUMING],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    const [said] = await Promise.all([
      readText(child.stdout),
      once(child, "exit"),
      child.stdin.end(JSON.stringify({ where: openElsewhere?.(here), thread: "ada/../x", answer: "send" })),
    ]);
    expect(JSON.parse(said)).toEqual({ asked: "send it?", given: "send", runs: 1, bytes: [...BYTES] });
    const { values, next } = await askingGraph(source.checkpointer).getState(ada);
    expect([values.answer, next]).toEqual(["send", []]);
    // This process wrote to the thread before the other did.
    await askingGraph(source.checkpointer).invoke({ runs: 0 }, ada);
    expect(await source.threadIds("user1")).toEqual(["ada/../x"]);
  });

  test("are listed for their user alone, the newest first, and nothing of others is read", async () => {
    const users = [
      "user1",
      "user10",
      "user",
      "user1/x",
      "../user1",
      "user.1",
      "a~b",
      "ü😀",
      "u".repeat(500),
      "U".repeat(500),
    ];
    await using source = await openHere();
    for (const [i, user] of users.entries()) {
      for (const n of [1, 3, 2]) {
        const thread = `t${i}/${n}`;
        await source.checkpointer.put(at(thread), checkpointOf(`${n}`, { user_id: user }), METADATA, {});
      }
    }
    await source.checkpointer.put(at("nobody's"), checkpointOf("9", { user_id: "" }), METADATA, {});
    await source.checkpointer.put(at("odd"), checkpointOf("9", { user_id: 7 }), METADATA, {});
    // Of a subgraph: its values may have the same names.
    await source.checkpointer.put(at("t0/1", undefined, "sub"), checkpointOf("9", { user_id: "user" }), METADATA, {});
    const { place, calls } = watchPlace(await open(here));
    await using watched = openKeyValueCheckpointer(place);
    for (const [i, user] of users.entries()) {
      calls.length = 0;
      expect(await watched.threadIds(user), user).toEqual([`t${i}/3`, `t${i}/2`, `t${i}/1`]);
      expect(calls.map(({ call }) => call)).toEqual(["keys", "read"]);
      expect(calls.flatMap(({ keys }) => keys).sort()).toEqual([1, 2, 3].map((n) => `n/t${i}%2F${n}`));
    }
    for (const user of ["", "user2", "user1/", "%", "user%2E1"])
      expect(await watched.threadIds(user), user).toEqual([]);
  });

  test("are of the user of their newest checkpoint, whatever is written in which order", async () => {
    await using one = await openHere();
    await using other = await openHere();
    const put = ({ checkpointer }: typeof one, id: string, user?: string) =>
      checkpointer.put(at("t"), checkpointOf(id, user === undefined ? {} : { user_id: user }), METADATA, {});
    const owners = async () => [await one.threadIds("user1"), await other.threadIds("user2")];
    await put(one, "2", "user1");
    expect(await owners()).toEqual([["t"], []]);
    await put(other, "1", "user2");
    expect(await owners()).toEqual([["t"], []]);
    await put(other, "3", "user2");
    expect(await owners()).toEqual([[], ["t"]]);
    await put(one, "4", "user1");
    expect(await owners()).toEqual([["t"], []]);
    await put(other, "4", "user2");
    expect(await owners()).toEqual([[], ["t"]]);
    expect([...(await textsHere()).keys()].filter((key) => key.startsWith("o/"))).toEqual(["o/user2/t"]);
    await put(one, "5");
    expect(await owners()).toEqual([[], []]);
    await put(one, "6", "user1");
    expect(await owners()).toEqual([["t"], []]);
    await one.checkpointer.deleteThread("t");
    expect([...(await textsHere()).keys()]).toEqual(["m/threads"]);
  });

  test("of any id are kept apart, under keys that every place takes", async () => {
    const long = "x".repeat(2_000);
    const threads = ["../../x", "..", "a/b", "a", "a%2Fb", "=", "@", "~", "A", "é", "e\u0301", "😀", "__proto__", long];
    threads.push(`${long}y`, "漢".repeat(2_000), "a\nb", "t/a/=", " ", "*");
    const namespaces = ["", "sub", "sub|deeper:1", "=", "@", long];
    await using source = await openHere();
    for (const thread of threads) {
      for (const namespace of namespaces) {
        const values = { name: `${thread} ${namespace}` };
        await source.checkpointer.put(at(thread, undefined, namespace), checkpointOf("1", values), METADATA, {});
        await source.checkpointer.putWrites(at(thread, "1", namespace), [["c", values.name]], `${thread}/../@`);
      }
    }
    for (const key of (await textsHere()).keys()) {
      expect(key).toMatch(/^[A-Za-z0-9/=\-_.~%@+!,]{1,900}$/);
      expect(key.split("/")).not.toContain("..");
    }
    for (const thread of threads) {
      for (const namespace of namespaces) {
        const tuple = await source.checkpointer.getTuple(at(thread, undefined, namespace));
        expect(tuple?.checkpoint.channel_values).toEqual({ name: `${thread} ${namespace}` });
        expect(tuple?.config).toEqual(at(thread, "1", namespace));
        expect(tuple?.pendingWrites).toEqual([[`${thread}/../@`, "c", `${thread} ${namespace}`]]);
      }
      const found = [];
      for await (const { config } of source.checkpointer.list({ configurable: { thread_id: thread } }))
        found.push(config);
      expect(found.length).toBe(namespaces.length);
    }
    await source.checkpointer.deleteThread("a");
    expect(await source.checkpointer.getTuple(at("a"))).toBeUndefined();
    expect(await source.checkpointer.getTuple(at("a/b"))).toBeDefined();
    await expect(source.checkpointer.put(at("\ud800"), checkpointOf("1"), METADATA, {})).rejects.toMatchObject({
      code: "input",
    });
    await expect(source.checkpointer.put(at("a"), checkpointOf(long), METADATA, {})).rejects.toThrow("is too long");
  });

  test("are deleted with every key that names them, and every other stays as it is", async () => {
    await using source = await openHere();
    const fill = async (thread: string) => {
      await askingGraph(source.checkpointer).invoke({ user_id: "user1", runs: 0 }, at(thread));
      await source.checkpointer.put(at(thread, undefined, "sub"), checkpointOf("1"), METADATA, {});
      await source.checkpointer.putWrites(at(thread, "1", "sub"), [["c", "v"]], "task");
      await source.checkpointer.putWrites(at(thread, "not there"), [["c", "v"]], "task");
    };
    for (const thread of ["t1", "t", "t/1"]) await fill(thread);
    const before = await textsHere();
    await fill("t10");
    await using other = await openHere();
    expect(await other.threadIds("user1")).toEqual(["t10", "t/1", "t", "t1"]);
    await other.checkpointer.deleteThread("t10");
    expect(await textsHere()).toEqual(before);
    expect(await other.erase()).toEqual(name === "a Map" ? [] : expect.any(Array));
    // The process that wrote it does not take it for what it was.
    await source.checkpointer.put(at("t10"), checkpointOf("1", { user_id: "user2" }), METADATA, {});
    expect([await source.threadIds("user1"), await source.threadIds("user2")]).toEqual([["t/1", "t", "t1"], ["t10"]]);
    expect((await other.checkpointer.getTuple(at("t10")))?.pendingWrites).toEqual([]);
  });

  test.each(["before", "after"])(
    "deleted while another process writes, %s their record goes, are whole or gone",
    async (when) => {
      await using other = await openHere();
      const put = (id: string) => other.checkpointer.put(at("t"), checkpointOf(id, { user_id: "user1" }), METADATA, {});
      await put("1");
      const place = await open(here);
      let isDone = false;
      await using deleter = openKeyValueCheckpointer({
        ...{ name, isAtomic: place.isAtomic, close: () => place.close() },
        ...{
          read: (keys) => place.read(keys),
          list: (prefix) => place.list(prefix),
          keys: (prefix) => place.keys(prefix),
        },
        async write(changes) {
          const isMoment = !isDone && changes.some(({ key }) => key === "n/t");
          isDone ||= isMoment;
          if (isMoment && when === "before") await put("2");
          const written = await place.write(changes);
          if (isMoment && when === "after") await put("2");
          return written;
        },
      });
      await deleter.checkpointer.deleteThread("t");
      const keys = [...(await textsHere()).keys()].filter((key) => key !== "m/threads");
      expect(keys.sort()).toEqual(when === "before" ? [] : ["n/t", "o/user1/t", "t/t/=/2/@"]);
      await put("3");
      expect(await deleter.threadIds("user1")).toEqual(["t"]);
    },
  );

  test("with a record that cannot be read are an error that names them, and are not taken for absent", async () => {
    await using source = await openHere();
    const place = await open(here);
    const threads = ["t1", "t2", "../t3"];
    for (const thread of threads) {
      await source.checkpointer.put(at(thread), checkpointOf("1", { user_id: `of ${thread}` }), METADATA, {});
      await source.checkpointer.putWrites(at(thread, "1"), [["c", "v"]], "task");
    }
    const texts = await textsHere();
    const swap = (text: string) => text.replace(/\["json","/, '["json","?');
    const garble = (text: string) => text.replace(/\["json","\w{4}/, '["json","noJS');
    const broken: [string, (text: string) => string][] = [
      ["t/%2E%2E%2Ft3/=/1/@", (text) => text.slice(0, -1)],
      ["t/%2E%2E%2Ft3/=/1/@", swap],
      ["t/%2E%2E%2Ft3/=/1/@", () => texts.get("t/t1/=/1/@") ?? ""],
      ["t/%2E%2E%2Ft3/=/1/=task", swap],
      ["t/%2E%2E%2Ft3/=/1/=task", () => "{}"],
      ["t/%2E%2E%2Ft3/=/1/=task", garble],
      ["t/%2E%2E%2Ft3/=/1/@", garble],
      ["n/%2E%2E%2Ft3", () => "{}"],
    ];
    for (const [key, change] of broken) {
      const text = texts.get(key) ?? "";
      await place.write([{ key, text: change(text) }]);
      await using fresh = await openHere();
      const expected = {
        code: "store",
        message: `thread "../t3": what is kept under ${key} cannot be read`,
        hint: "it is left as it is; put it back from a copy, or remove it there",
      };
      const listing = async () => {
        for await (const _ of fresh.checkpointer.list({}));
      };
      if (key.startsWith("n/")) {
        await expect(fresh.threadIds("of ../t3")).rejects.toMatchObject(expected);
        const put = fresh.checkpointer.put(at("../t3"), checkpointOf("2"), METADATA, {});
        await expect(put).rejects.toMatchObject(expected);
        if (!place.isAtomic) await place.write([{ key: "t/%2E%2E%2Ft3/=/2/@", text: null }]);
      } else {
        await expect(fresh.checkpointer.getTuple(at("../t3"))).rejects.toMatchObject(expected);
        await expect(fresh.checkpointer.getTuple(at("../t3", "1"))).rejects.toMatchObject(expected);
        await expect(listing()).rejects.toMatchObject(expected);
      }
      expect(await fresh.checkpointer.getTuple(at("t1"))).toBeDefined();
      expect(await fresh.threadIds("of t2")).toEqual(["t2"]);
      if (key.startsWith("n/")) await fresh.checkpointer.deleteThread("../t3");
      else await place.write([{ key, text }]);
    }
    expect([...(await textsHere()).keys()].filter((key) => key.includes("t3"))).toEqual([]);
  });

  test("keep the first write of an index, and the last error, interrupt and answer, of two processes too", async () => {
    await using one = await openHere();
    await using other = await openHere();
    await one.checkpointer.put(at("t"), checkpointOf("1"), METADATA, {});
    const write = ({ checkpointer }: typeof one, ...writes: [string, unknown][]) =>
      checkpointer.putWrites(at("t", "1"), writes, "task");
    await write(one, ["a", 1], [INTERRUPT, "one"], ["b", 2]);
    await write(other, ["a", 9], [ERROR, "other"], ["x", 9], ["constructor", 3]);
    await Promise.all(Array.from({ length: 10 }, (_, i) => write(i % 2 ? one : other, [i % 2 ? RESUME : ERROR, i])));
    await write(one, [INTERRUPT, "two"], [RESUME, "two"], [ERROR, "two"]);
    expect((await other.checkpointer.getTuple(at("t")))?.pendingWrites).toEqual([
      ["task", RESUME, "two"],
      ["task", INTERRUPT, "two"],
      ["task", ERROR, "two"],
      ["task", "a", 1],
      ["task", "b", 2],
      ["task", "constructor", 3],
    ]);
  });

  test("of two processes do not disturb each other; of one thread the greatest id is the newest", async () => {
    const handles = await Promise.all([openHere(), openHere(), openHere()]);
    const put = (who: number, thread: string, id: number) =>
      handles[who]?.checkpointer.put(at(thread), checkpointOf(String(id), { user_id: `user${who}` }), METADATA, {});
    const ids = Array.from({ length: 9 }, (_, i) => 10 + i);
    await Promise.all(ids.flatMap((id, i) => [put(i % 3, `own${i % 3}`, id), put(i % 3, "shared", id)]));
    for (const [who, { checkpointer, threadIds }] of handles.entries()) {
      expect((await checkpointer.getTuple(at("shared")))?.checkpoint.id).toBe("18");
      expect((await checkpointer.getTuple(at(`own${who}`)))?.checkpoint.id).toBe(String(16 + who));
      expect((await threadIds(`user${who}`)).sort()).toEqual(who === 2 ? ["own2", "shared"] : [`own${who}`]);
    }
    for (const each of handles) await each[Symbol.asyncDispose]();
  });

  test("cost as many calls when there are many, and only what is asked for is read", async () => {
    const { place, calls } = watchPlace(await open(here));
    await using source = openKeyValueCheckpointer(place);
    expect(await hasThreadsAt(place)).toBe(false);
    for (let i = 100; i < 160; i += 1) {
      await source.checkpointer.put(at("t", String(i - 1)), checkpointOf(String(i), { user_id: "u" }), METADATA, {});
      await source.checkpointer.putWrites(at("t", String(i)), [["c", i]], "task");
    }
    expect(await hasThreadsAt(place)).toBe(true);
    const asked = async (run: () => Promise<unknown>) => {
      calls.length = 0;
      await run();
      return calls.map(({ call, keys }) => [call, ...keys]);
    };
    const step = (id: number) => [`t/t/=/${id}/@`, `t/t/=/${id}/=task`];
    expect(await asked(() => source.checkpointer.getTuple(at("t")))).toEqual([["keys"], ["read", ...step(159)]]);
    const [[call, ...keys] = []] = await asked(() => source.checkpointer.getTuple(at("t", "120")));
    expect([call, keys.sort()]).toEqual(["list", step(120).sort()]);
    const put = () => source.checkpointer.put(at("t", "159"), checkpointOf("160", { user_id: "u" }), METADATA, {});
    expect((await asked(put)).flat()).toEqual(
      place.isAtomic ? ["write", "t/t/=/160/@", "n/t"] : ["write", "t/t/=/160/@", "write", "n/t"],
    );
    const listing = (limit?: number) => async () => {
      let found = 0;
      for await (const _ of source.checkpointer.list(at("t"), limit === undefined ? {} : { limit })) found += 1;
      expect(found).toBe(limit ?? 61);
    };
    expect((await asked(listing(2))).map((each) => [each[0], each.length - 1])).toEqual([
      ["keys", 0],
      ["read", 3],
    ]);
    expect((await asked(listing())).map(([name]) => name)).toEqual(["keys", "read", "read"]);
  });
});

describe("on S3, where each change is made on its own", () => {
  const kind = kinds[1];
  const openHere = async (name: string) => openKeyValueCheckpointer(await (kind?.open(name) ?? Promise.reject()));
  const namesBelow = (prefix: string) => [...s3.objects.keys()].filter((name) => name.startsWith(prefix));
  const cut = (method: "PUT" | "DELETE", about: string) => s3.faults.push({ method, about, answer: "cut before" });

  // What a put by another user than before leaves: the newest checkpoint, and whether each is listed as the owner.
  test.each([
    { method: "PUT" as const, about: "/t/t/", newest: "1", listed: { u: [], earlier: ["t"] } },
    { method: "PUT" as const, about: "/n/t", newest: "2", listed: { u: [], earlier: ["t"] } },
    { method: "PUT" as const, about: "/o/u/", newest: "2", listed: { u: [], earlier: [] } },
    { method: "DELETE" as const, about: "/o/earlier/", newest: "2", listed: { u: ["t"], earlier: [] } },
  ])(
    "a put that breaks off at $about points to nothing that is not there",
    async ({ method, about, newest, listed }) => {
      const here = newName();
      await using source = await openHere(here);
      await source.checkpointer.put(at("t"), checkpointOf("1", { user_id: "earlier" }), METADATA, {});
      cut(method, about);
      await expect(
        source.checkpointer.put(at("t"), checkpointOf("2", { user_id: "u" }), METADATA, {}),
      ).rejects.toThrow();
      await using other = await openHere(here);
      expect((await other.checkpointer.getTuple(at("t")))?.checkpoint.id).toBe(newest);
      expect({ u: await other.threadIds("u"), earlier: await other.threadIds("earlier") }).toEqual(listed);
      // Whoever is listed wrongly is not shown it.
      if (newest === "2") expect(await findThread(other, "earlier", "t")).toBeUndefined();
      await other.checkpointer.put(at("t"), checkpointOf("3", { user_id: "u" }), METADATA, {});
      expect([await other.threadIds("u"), await other.threadIds("earlier")]).toEqual([["t"], []]);
      await other.checkpointer.deleteThread("t");
      expect(namesBelow(`${here}/`)).toEqual([`${here}/probe`, `${here}/m/threads`]);
    },
  );

  test.each(["/sub/", "/1/", "/o/u/", "/n/t", "/2/"])(
    "a deletion that breaks off at %s can be made again",
    async (about) => {
      const here = newName();
      await using source = await openHere(here);
      for (const id of ["1", "2"])
        await source.checkpointer.put(at("t"), checkpointOf(id, { user_id: "u" }), METADATA, {});
      await source.checkpointer.put(at("t", undefined, "sub"), checkpointOf("3"), METADATA, {});
      cut("DELETE", about === "/sub/" ? "sub" : about);
      await expect(source.checkpointer.deleteThread("t")).rejects.toThrow();
      // It is still its user's, who alone may delete it.
      const left = await source.checkpointer.getTuple(at("t"));
      expect(left?.checkpoint).toMatchObject({ id: "2", channel_values: { user_id: "u" } });
      await source.checkpointer.deleteThread("t");
      expect(namesBelow(`${here}/`)).toEqual([`${here}/probe`, `${here}/m/threads`]);
    },
  );
});
