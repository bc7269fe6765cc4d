import { execFile, execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { chmod, chown, copyFile, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { renderError } from "../../../src/errors.ts";
import { openFileDriver, openFolder } from "../../../src/store/key-value/file.ts";
import type { KeyChange, KeyValue } from "../../../src/store/key-value/key-value.ts";
import { MnemailStore } from "../../../src/store/mnemail-store.ts";
import { temporaryFolder } from "../../support/assistant.ts";
import { folderOfSize } from "../../support/small-disk.ts";
import { indexOf } from "../conformance/describe-store.ts";
import { randomFrom } from "../store-writer.ts";
import { describePlace } from "./place-clauses.ts";

const WRITER = fileURLToPath(new URL("file-writer.ts", import.meta.url));
const TSX = import.meta.resolve("tsx");
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn("no files of other users, and no devices: only root can make them");

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder[Symbol.dispose]());

/** All files below a folder, by their paths. */
const filesOf = (path: string) =>
  readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(join(path, name)).isFile())
    .sort();
const textsOf = async (place: KeyValue) => Object.fromEntries((await place.snapshot?.([], [""])) ?? []);
const failure = async (run: Promise<unknown>) =>
  renderError(
    await run.then(
      () => "no failure",
      (error) => error,
    ),
  );

describe("files in a folder", () => {
  describePlace(() => openFolder(folder.path("memory")));

  test("are JSON for people, one for each item, for their owner alone", async () => {
    const store = await MnemailStore.open(await openFileDriver(folder.path("new/memory")), { index: indexOf() });
    await store.put(["email_assistant", "Ana@home=2Eexample", "examples"], "id.1", { text: "hello" }, ["text"]);
    const file = folder.path("new/memory/r/email_assistant/!ana%40home%3!d2!eexample/examples/=id%2!e1.json");
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ key: "id.1", value: { text: "hello" } });
    for (const name of ["new", "new/memory", ...readdirSync(folder.path("new/memory"), { recursive: true })]) {
      const path = String(name).startsWith("new") ? folder.path(String(name)) : folder.path(`new/memory/${name}`);
      const { mode } = statSync(path);
      expect([String(name), mode & 0o777]).toEqual([String(name), statSync(path).isFile() ? 0o600 : 0o700]);
    }
    await store.stop();
  });

  test("are for a group where the mode says so, whatever the umask", async () => {
    const before = process.umask(0o077);
    try {
      const place = await openFolder(folder.path("memory"), 0o660);
      await place.write([{ key: "r/a/=k", text: "1" }]);
    } finally {
      process.umask(before);
    }
    const modeOf = (name: string) => statSync(folder.path(name)).mode & 0o777;
    expect([modeOf("memory"), modeOf("memory/r/a"), modeOf("memory/r/a/=k.json")]).toEqual([0o770, 0o770, 0o660]);
  });

  test("leave nothing behind but what is kept, not even the names of folders", async () => {
    const place = await openFolder(folder.path("memory"));
    const before = filesOf(folder.path("memory"));
    await place.write([
      { key: "r/ana/x/=1", text: "1" },
      { key: "r/ana/x/=2", text: "2" },
    ]);
    await place.write([{ key: "r/ana/x/=1", text: null }]);
    expect(filesOf(folder.path("memory"))).toEqual([...before, "r/ana/x/=2.json"]);
    await place.write([
      { key: "r/ana/x/=2", text: null },
      { key: "r/ana/x/=1", text: null },
    ]);
    expect(readdirSync(folder.path("memory"))).toEqual([".mnemail"]);
    expect(filesOf(folder.path("memory"))).toEqual(before);
  });

  test("of others are left alone, and are no items", async () => {
    const store = await MnemailStore.open(await openFileDriver(folder.path("memory")));
    const put = (user: string) => store.put(["m", user], "k", { user }, false);
    await Promise.all(["ana", "bob"].map(put));
    const below = (name: string) => folder.path(`memory/r/m/ana/${name}`);
    await writeFile(folder.path("memory/notes.txt"), "mine");
    await writeFile(below("README.md"), "mine");
    await writeFile(below("=K.json"), "mine");
    await mkdir(below("=other.json"));
    await symlink(folder.path("memory/r/m/bob"), below("Others.link"));
    expect((await store.search(["m", "ana"])).map(({ value }) => value)).toEqual([{ user: "ana" }]);
    expect(await store.health()).toMatchObject({ items: 2, problems: [] });
    expect(await failure(store.put(["m", "ana"], "other", { n: 1 }, false))).toMatch(/is a folder where a file should/);
    expect(await store.drop([["m", "ana"]])).toBe(1);
    expect(filesOf(folder.path("memory/r"))).toEqual([
      "m/ana/=K.json",
      "m/ana/Others.link/=k.json",
      "m/ana/README.md",
      "m/bob/=k.json",
    ]);
    await store.stop();
  });

  test("that are damaged, or stand where they do not belong, cost only themselves", async () => {
    const store = await MnemailStore.open(await openFileDriver(folder.path("memory")));
    for (const key of ["a", "b", "c"]) await store.put(["m", "ana"], key, { key }, false);
    await store.put(["m", "bob"], "b", { key: "bob's" }, false);
    await writeFile(folder.path("memory/r/m/ana/=a.json"), '{"key":"a","val');
    await copyFile(folder.path("memory/r/m/bob/=b.json"), folder.path("memory/r/m/ana/=b.json"));
    expect((await store.search(["m", "ana"])).map(({ key }) => key)).toEqual(["c"]);
    expect(await failure(store.get(["m", "ana"], "a"))).toBe(
      `files in ${folder.path("memory")}: the record ["m","ana","a"] cannot be read (it is left as it is)`,
    );
    expect(await failure(store.get(["m", "ana"], "b"))).toContain("cannot be read");
    expect((await store.health()).problems).toMatchObject([
      { problem: "2 items cannot be read: r/m/ana/=a.json, r/m/ana/=b.json" },
    ]);
    await store.put(["m", "ana"], "a", { key: "new" }, false);
    expect((await store.get(["m", "ana"], "a"))?.value).toEqual({ key: "new" });
    expect(await store.drop([["m", "ana"]])).toBe(3);
    await store.stop();
  });
});

describe("who reads while others write", () => {
  test("never sees half a batch", async () => {
    const [one, other] = [await openFolder(folder.path("memory")), await openFolder(folder.path("memory"))];
    const keys = ["r/a/=1", "r/a/=2", ...Array.from({ length: 60 }, (_, i) => `r/b/=${i}`)];
    let isOver = false;
    const write = async () => {
      for (let n = 0; n < 20; n += 1) await one.write(keys.map((key) => ({ key, text: String(n) })));
      isOver = true;
    };
    const seen = new Set<string>();
    const read = async () => {
      while (!isOver) {
        const found = await other.snapshot?.(keys.slice(0, 2), ["r/b/"]);
        const texts = new Set(found?.values());
        expect(texts.size).toBeLessThanOrEqual(1);
        for (const text of texts) seen.add(text);
      }
    };
    await Promise.all([write(), read(), read()]);
    expect(seen.size).toBeGreaterThan(2);
  });
});

test("who loses the lock before a batch is made, as a process does that sleeps for long, changes nothing", async () => {
  const place = await openFolder(folder.path("memory"));
  const own = folder.path("memory/.mnemail");
  let isOver = false;
  const steal = async () => {
    while (!isOver) {
      const locks = readdirSync(own).filter((name) => name.includes(".lock-"));
      await Promise.all(locks.map((name) => rm(join(own, name), { force: true })));
      await setImmediate();
    }
  };
  const changes = Array.from({ length: 100 }, (_, i) => ({ key: `r/a/=${i}`, text: "1" }));
  const [line] = await Promise.all([failure(place.write(changes)).finally(() => (isOver = true)), steal()]);
  expect(line).toMatch(/memory: cannot be written: this process slept for so long that others went on; try again$/);
  expect(await textsOf(place)).toEqual({});
  expect(readdirSync(own)).toEqual(["applied"]);
});

describe("a process that stops for so long that others take its lock", () => {
  const state = { "r/a/=1": "0", "r/a/=2": "0", "r/a/=3": "0" };
  const batch = [
    { key: "r/a/=1", text: "old" },
    { key: "r/a/=2", text: "old" },
    { key: "r/a/=3", text: null },
  ];

  /** Starts a write that stops before a call, lets `meanwhile` go on without it, and returns how it ended then. */
  async function sleepAt(
    { call, path, changes = batch }: { call: "rename" | "rm"; path: string; changes?: KeyChange[] },
    meanwhile: () => Promise<void>,
  ): Promise<string> {
    const request = JSON.stringify({ do: "stop", folder: folder.path("memory"), changes, call, path });
    const child = spawn(process.execPath, ["--import", TSX, WRITER, request], { stdio: ["ignore", "pipe", "inherit"] });
    let waking: NodeJS.Timeout | undefined;
    try {
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      expect((await lines.next()).value).toBe("stops");
      // As if half a minute had gone.
      const own = folder.path("memory/.mnemail");
      const locks = readdirSync(own).filter((name) => name.includes(`-${child.pid}-`));
      expect(locks).toHaveLength(1);
      for (const name of locks) utimesSync(join(own, name), 0, 0);
      await meanwhile();
      // Again and again: it says that it stops before it does, and what comes too early wakes nobody.
      waking = setInterval(() => child.kill("SIGCONT"), 20);
      return String((await lines.next()).value);
    } finally {
      clearInterval(waking);
      child.kill("SIGKILL");
    }
  }
  const open = async () => {
    const place = await openFolder(folder.path("memory"));
    await place.write(Object.entries(state).map(([key, text]) => ({ key, text })));
    return place;
  };
  const writeAll = (place: KeyValue, text: string) =>
    place.write(Object.keys(state).map((key) => ({ key, text }))).then((isMade) => expect(isMade).toBe(true));
  const expectTexts = async (place: KeyValue, text: string) => {
    const expected = Object.fromEntries(Object.keys(state).map((key) => [key, text]));
    expect(await textsOf(place)).toEqual(expected);
    expect(await textsOf(await openFolder(folder.path("memory")))).toEqual(expected);
    expect(readdirSync(folder.path("memory/.mnemail"))).toEqual(["applied"]);
  };

  test.each([
    ["before its batch begins", { call: "rename" as const, path: "/journal-" }],
    ["before its one put is announced", { call: "rename" as const, path: "/applied$", changes: batch.slice(0, 1) }],
    ["before its one put is made", { call: "rename" as const, path: "/r/a/", changes: batch.slice(0, 1) }],
    ["before its one removal is announced", { call: "rename" as const, path: "/applied$", changes: batch.slice(2) }],
  ])("%s changes nothing, and says so", async (_, stop) => {
    const place = await open();
    const line = await sleepAt(stop, () => writeAll(place, "others"));
    expect(line).toMatch(/memory: cannot be written: this process slept for so long that others went on; try again$/);
    await expectTexts(place, "others");
  });

  test.each([
    ["in the middle of its batch", { call: "rename" as const, path: "/r/a/" }],
    ["before its batch ends", { call: "rename" as const, path: "/applied$" }],
    ["before its journal goes", { call: "rm" as const, path: "/journal-" }],
  ])("%s undoes nothing of what others wrote after they had finished it", async (_, stop) => {
    const place = await open();
    const line = await sleepAt(stop, async () => {
      expect(await textsOf(place)).toEqual({ "r/a/=1": "old", "r/a/=2": "old" });
      await writeAll(place, "others");
    });
    expect(line).toMatch(/acknowledged|a batch was begun, and whoever comes next finishes it/);
    await expectTexts(place, "others");
  });

  test("leaves alone the journal of another who is killed in the middle of a batch", async () => {
    const place = await open();
    let killLater = async () => {};
    const other = Object.keys(state).map((key) => ({ key, text: "others" }));
    await sleepAt({ call: "rm", path: "/journal-" }, async () => {
      const request = JSON.stringify({
        ...{ do: "stop", folder: folder.path("memory"), changes: other },
        ...{ call: "rename", path: "/r/a/=2" },
      });
      const child = spawn(process.execPath, ["--import", TSX, WRITER, request], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const ended = once(child, "close");
      await once(createInterface({ input: child.stdout }), "line");
      // Stopped with its journal in place; the sleeper goes on before it is killed.
      killLater = async () => {
        child.kill("SIGKILL");
        await ended;
      };
    });
    await killLater();
    await expectTexts(place, "others");
  });
});

describe("a kill", () => {
  /** The folders that a kill at each step leaves. */
  async function killEverywhere(path: string, changes: KeyChange[]): Promise<string[]> {
    const copies = folder.path("copies");
    await rm(copies, { recursive: true, force: true });
    const request = JSON.stringify({ do: "step", folder: path, changes, copies });
    await promisify(execFile)(process.execPath, ["--import", TSX, WRITER, request]);
    return readdirSync(copies).map((name) => join(copies, name));
  }

  const hasJournal = (path: string) =>
    existsSync(join(path, ".mnemail")) &&
    readdirSync(join(path, ".mnemail")).some((name) => name.startsWith("journal"));
  const before = { "r/a/=1": "old", "r/a/=2": "old", "r/b/c/=3": "old" };
  const batch = [
    { key: "r/a/=1", text: "new" },
    { key: "r/b/c/=3", text: null },
    { key: "r/new/d/=4", text: "new" },
    { key: "r/new/d/=5", text: "new" },
  ];
  const after = { "r/a/=1": "new", "r/a/=2": "old", "r/new/d/=4": "new", "r/new/d/=5": "new" };

  async function expectWhole(path: string, states: readonly Record<string, string>[]): Promise<void> {
    const place = await openFolder(path);
    const texts = await textsOf(place);
    expect(states).toContainEqual(texts);
    expect(await place.write([{ key: "r/a/=1", text: "later", expected: texts["r/a/=1"] ?? null }])).toBe(true);
    expect(await textsOf(place)).toEqual({ ...texts, "r/a/=1": "later" });
    expect(readdirSync(join(path, ".mnemail"))).toEqual(["applied"]);
  }

  test.each([
    ["a batch", batch, after],
    ["a put", batch.slice(0, 1), { ...before, "r/a/=1": "new" }],
    ["a removal", batch.slice(1, 2), { "r/a/=1": "old", "r/a/=2": "old" }],
  ])("at any step of %s leaves all of it or nothing, and what follows works", async (_, changes, made) => {
    const place = await openFolder(folder.path("memory"));
    await place.write(Object.entries(before).map(([key, text]) => ({ key, text })));
    const left = await killEverywhere(folder.path("memory"), changes);
    expect(left.length).toBeGreaterThan(10);
    expect(await textsOf(place)).toEqual(made);
    // Whoever has the folder open already finishes what was left as well as who opens it.
    const begun = left.filter((path) => hasJournal(path));
    if (changes.length > 1) expect(begun.length).toBeGreaterThan(8);
    for (const path of begun) await expectWhole(path, [made]);
    for (const path of left) if (!begun.includes(path)) await expectWhole(path, [before, made]);
  });

  test("at any step of finishing what another left leaves all of it", async () => {
    const place = await openFolder(folder.path("memory"));
    await place.write(Object.entries(before).map(([key, text]) => ({ key, text })));
    const left = await killEverywhere(folder.path("memory"), batch);
    const begun = left.find((path) => hasJournal(path)) ?? "";
    await promisify(execFile)("cp", ["-a", begun, folder.path("begun")]);
    const again = await killEverywhere(folder.path("begun"), []);
    expect(again.length).toBeGreaterThan(8);
    for (const path of again) await expectWhole(path, [after]);
  });

  test("of two processes that write at random, 20 times in all, loses no acknowledged write", async () => {
    const path = folder.path("memory");
    const random = randomFrom(20_260_302);
    const items = new Set<string>();
    const generations = new Map<string, number>();
    const reportSchema = z.object({ generation: z.number().optional(), item: z.string().optional() });
    const slotsOf = (name: string) => Array.from({ length: 5 }, (_, i) => `r/slots/${name}/=${i}`);
    const start = (name: string, round: number) => {
      const request = { do: "write", folder: path, name: `${name}${round}`, slots: slotsOf(name) };
      const child = spawn(process.execPath, ["--import", TSX, WRITER, JSON.stringify(request)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const lines = createInterface({ input: child.stdout });
      lines.on("line", (line) => {
        const { generation, item } = reportSchema.parse(JSON.parse(line));
        if (generation !== undefined) generations.set(name, generation);
        if (item !== undefined) items.add(item);
      });
      return { child, begun: once(lines, "line"), ended: once(child, "close") };
    };
    const kill = async (name: string, round: number) => {
      const { child, begun, ended } = start(name, round);
      await begun;
      setTimeout(() => child.kill("SIGKILL"), random() * 100);
      await ended;
      expect(child.signalCode).toBe("SIGKILL");
    };
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(["a", "b"].map((name) => kill(name, round)));
      const texts = await textsOf(await openFolder(path));
      expect([...items].filter((item) => texts[item] !== item)).toEqual([]);
      for (const name of ["a", "b"]) {
        const [first = "", ...slots] = slotsOf(name);
        const generation = Number(texts[first]);
        expect(slots.map((key) => texts[key])).toEqual(slots.map(() => String(generation)));
        expect(texts[`${first}-spare`]).toBe(generation % 2 === 1 ? String(generation) : undefined);
        expect(generation).toBeGreaterThanOrEqual(generations.get(name) ?? 0);
      }
    }
    expect(items.size).toBeGreaterThan(20);
  });
});

describe("a folder that cannot be used", () => {
  const mounted = folderOfSize();

  test.each([
    ["a file", "file", /^.*file: cannot be opened: there is a file where a folder should be \(set STORE_URL=file:DIR /],
    ["below a file", "file/memory", /memory: cannot be opened: there is a file where/],
  ])("is refused in one line: %s", async (_, name, line) => {
    await writeFile(folder.path("file"), "mine");
    expect(await failure(openFileDriver(folder.path(name)))).toMatch(line);
    expect(readFileSync(folder.path("file"), "utf8")).toBe("mine");
  });

  test("is refused in one line: one that may not be written", async () => {
    await mkdir(folder.path("memory"));
    await chmod(folder.path("memory"), 0o500);
    // Nothing keeps root from writing but a folder of the kernel.
    const path = process.getuid?.() === 0 ? "/sys/kernel" : folder.path("memory");
    expect(await failure(openFileDriver(path))).toMatch(
      /^\S+: cannot be opened: it may not be written \(set STORE_URL=file:DIR with a folder that may be written\)$/,
    );
  });

  test("says so when it was removed while it was in use", async () => {
    const place = await openFolder(folder.path("memory"));
    await place.write([{ key: "r/a/=1", text: "1" }]);
    await rm(folder.path("memory"), { recursive: true });
    expect(await failure(place.read(["r/a/=1"]))).toMatch(/memory: cannot be read: it was removed or replaced/);
    expect(await failure(place.write([{ key: "r/a/=1", text: "2" }]))).toMatch(/memory: cannot be written: /);
    expect(existsSync(folder.path("memory"))).toBe(false);
  });

  test("says so when its journal is damaged, and serves nothing", async () => {
    const place = await openFolder(folder.path("memory"));
    await place.write([{ key: "r/a/=1", text: "1" }]);
    await writeFile(folder.path("memory/.mnemail/journal-1"), "{");
    const line =
      /memory: cannot be (read|written|opened): .*journal-1 cannot be read; without it its batch may stay half/;
    expect(await failure(place.read(["r/a/=1"]))).toMatch(line);
    expect(await failure(place.write([{ key: "r/a/=1", text: "2" }]))).toMatch(line);
    expect(await failure(openFolder(folder.path("memory")))).toMatch(line);
  });

  /** Leaves a journal of one put as a process does that was killed. */
  async function leaveJournal(key: string, base: string): Promise<void> {
    const id = "0b5a5c5e-7a3c-4c3f-9d0e-3f2a4b5c6d7e";
    await writeFile(folder.path(`memory/.mnemail/staged-${id}-0`), "theirs");
    const journal = JSON.stringify({ id, base, changes: [{ key, isRemoval: false }] });
    await writeFile(folder.path(`memory/.mnemail/journal-${id}`), journal);
  }
  const applied = () => readFileSync(folder.path("memory/.mnemail/applied"), "utf8");

  test("a journal cannot lead out of the folder", async () => {
    await openFolder(folder.path("memory"));
    const key = "../../outside";
    await writeFile(folder.path("outside.json"), "mine");
    await leaveJournal(key, applied());
    expect(await (await openFolder(folder.path("memory"))).read([key])).toEqual(["theirs"]);
    expect(readFileSync(folder.path("outside.json"), "utf8")).toBe("mine");
  });

  test("a journal that was made upon what is no more changes nothing, and goes", async () => {
    const place = await openFolder(folder.path("memory"));
    await place.write([{ key: "r/a/=1", text: "1" }]);
    const base = applied();
    await place.write([{ key: "r/a/=1", text: "2" }]);
    await leaveJournal("r/a/=1", base);
    expect(await place.read(["r/a/=1"])).toEqual(["2"]);
    expect(readdirSync(folder.path("memory/.mnemail"))).toEqual(["applied"]);
  });

  test.skipIf(!mounted)(
    "says that the disk is full, changes nothing then, and goes on when there is room",
    async () => {
      using disk = mounted?.(256) ?? { path: "", [Symbol.dispose]() {} };
      const place = await openFolder(join(disk.path, "memory"));
      await writeFile(join(disk.path, "filler"), "x".repeat(60_000));
      const acknowledged: Record<string, string> = {};
      const fill = async () => {
        for (let i = 0; ; i += 1) {
          const changes = Array.from({ length: 5 }, (_, j) => ({ key: `r/a/=${i}-${j}`, text: "t".repeat(3_000) }));
          await place.write(changes);
          for (const { key, text } of changes) acknowledged[key] = text;
        }
      };
      expect(await failure(fill())).toMatch(
        /memory: cannot be written: the disk is full \(nothing was changed; make room\)$/,
      );
      expect(Object.keys(acknowledged).length).toBeGreaterThan(10);
      expect(await textsOf(place)).toEqual(acknowledged);
      expect(readdirSync(join(disk.path, "memory/.mnemail"))).toEqual(["applied"]);
      await rm(join(disk.path, "filler"));
      expect(await place.write([{ key: "r/a/=last", text: "1" }])).toBe(true);
      expect(await textsOf(place)).toEqual({ ...acknowledged, "r/a/=last": "1" });
    },
  );

  test.skipIf(!mounted)("takes removals, of one or of many, though the disk has no room for anything", async () => {
    using disk = mounted?.(256) ?? { path: "", [Symbol.dispose]() {} };
    const place = await openFolder(join(disk.path, "memory"));
    const keys = Array.from({ length: 20 }, (_, i) => `r/a/=${i}`);
    await place.write(keys.map((key) => ({ key, text: "1" })));
    const fill = () => {
      for (;;) writeFileSync(join(disk.path, `filler-${randomUUID()}`), "x".repeat(4_096));
    };
    expect(fill).toThrow("ENOSPC");
    expect(await failure(place.write([{ key: "r/a/=0", text: "2" }]))).toContain("the disk is full");
    const seen = readFileSync(join(disk.path, "memory/.mnemail/applied"), "utf8");
    expect(await place.write([{ key: "r/a/=0", text: null, expected: "1" }])).toBe(true);
    expect(fill).toThrow("ENOSPC");
    expect(readFileSync(join(disk.path, "memory/.mnemail/applied"), "utf8")).not.toBe(seen);
    expect(await place.write(keys.map((key) => ({ key, text: null })))).toBe(true);
    expect(await textsOf(place)).toEqual({});
    expect(readdirSync(join(disk.path, "memory"), { recursive: true })).toEqual([".mnemail", ".mnemail/applied"]);
  });
});

describe("links and what is no file", () => {
  const LINK =
    /^\S+\/r\/m\/ana(\/=k.json)?: it is a link, and no link below the folder is followed \(put what it leads/;

  test.each(["ana", "ana/=k.json"])(
    "a link in the place of %s is refused in one line, and nothing is behind it",
    async (name) => {
      const store = await MnemailStore.open(await openFileDriver(folder.path("memory")));
      await store.put(["m", "ana"], "k", { n: 1 }, false);
      await store.put(["m", "bob"], "k", { n: 2 }, false);
      await rename(folder.path(`memory/r/m/${name}`), folder.path("outside"));
      await symlink(folder.path("outside"), folder.path(`memory/r/m/${name}`));
      const before = filesOf(folder.path("")).filter((path) => !path.includes(".mnemail"));
      for (const run of [
        () => store.get(["m", "ana"], "k"),
        () => store.search(["m"]),
        () => store.listNamespaces(),
        () => store.health(),
        () => store.put(["m", "ana"], "k", { n: 3 }, false),
        () => store.delete(["m", "ana"], "k"),
        () => store.drop([["m", "ana"]]),
      ])
        expect(await failure(run())).toMatch(LINK);
      expect(filesOf(folder.path("")).filter((path) => !path.includes(".mnemail"))).toEqual(before);
      expect((await store.get(["m", "bob"], "k"))?.value).toEqual({ n: 2 });
      await store.stop();
    },
  );

  test("a pipe, a device or a folder in a file's place is a record that cannot be read, and keeps nobody waiting", async () => {
    const store = await MnemailStore.open(await openFileDriver(folder.path("memory")));
    await store.put(["m", "ana"], "k", { n: 1 }, false);
    const at = (key: string) => folder.path(`memory/r/m/ana/=${key}.json`);
    execFileSync("mkfifo", [at("pipe")]);
    if (isRoot) execFileSync("mknod", [at("zero"), "c", "1", "5"]);
    await mkdir(at("folder"));
    for (const key of ["pipe", "folder", ...(isRoot ? ["zero"] : [])])
      expect(await failure(store.get(["m", "ana"], key))).toContain("cannot be read (");
    const problem = expect.stringContaining(`${isRoot ? "2 items" : "1 item"}`);
    expect(await store.health()).toMatchObject({ items: 1, problems: [{ problem }] });
    await store.put(["m", "ana"], "pipe", { n: 2 }, false);
    expect((await store.get(["m", "ana"], "pipe"))?.value).toEqual({ n: 2 });
    await store.stop();
  });

  test("a folder of 130,000 files is listed", async () => {
    // In memory, where there is such a place: so many files take a disk half a minute.
    const path = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "mnemail-"));
    try {
      const place = await openFolder(path);
      await mkdir(join(path, "r/a"), { recursive: true });
      for (let i = 0; i < 130_000; i += 1) closeSync(openSync(join(path, `r/a/=${i}.json`), "w"));
      expect(await place.keys("r/")).toHaveLength(130_000);
    } finally {
      await rm(path, { recursive: true });
    }
  }, 60_000);
});

describe("whose files they are", () => {
  const SERVICE = 65_534;
  /** Runs code with the folder as another user. */
  const runAs = async (user: readonly string[], changes: KeyChange[], mode?: number) => {
    const child = execFileSync(
      "setpriv",
      [
        ...user,
        process.execPath,
        "--import",
        TSX,
        WRITER,
        JSON.stringify({ do: "once", folder: folder.path("memory"), changes, mode }),
      ],
      { encoding: "utf8" },
    );
    return child.trim();
  };
  const infoOf = (name: string) => {
    const { uid, gid, mode } = statSync(folder.path(name));
    return { uid, gid, mode: (mode & 0o7777).toString(8) };
  };

  test.skipIf(!isRoot)("what root writes belongs to the owner of the folder, who goes on with it", async () => {
    await chmod(folder.path(""), 0o755);
    await mkdir(folder.path("memory"), { mode: 0o700 });
    await chown(folder.path("memory"), SERVICE, SERVICE);
    const place = await openFolder(folder.path("memory"));
    await place.write([
      { key: "r/a/=1", text: "root's" },
      { key: "r/a/=2", text: "root's" },
    ]);
    for (const name of ["memory/.mnemail", "memory/.mnemail/applied", "memory/r", "memory/r/a", "memory/r/a/=1.json"])
      expect([name, infoOf(name)]).toMatchObject([name, { uid: SERVICE, gid: SERVICE }]);
    const service = [`--reuid=${SERVICE}`, `--regid=${SERVICE}`, "--clear-groups"];
    expect(
      await runAs(service, [
        { key: "r/a/=1", text: "theirs" },
        { key: "r/a/=3", text: "theirs" },
      ]),
    ).toBe("acknowledged");
    expect(await textsOf(place)).toEqual({ "r/a/=1": "theirs", "r/a/=2": "root's", "r/a/=3": "theirs" });
  });

  test.skipIf(!isRoot)("a folder of a group is for all of the group, whichever group each writes with", async () => {
    await chmod(folder.path(""), 0o755);
    await mkdir(folder.path("memory"));
    await chown(folder.path("memory"), 0, 4_000);
    await chmod(folder.path("memory"), 0o2770);
    const member = (id: number) => [`--reuid=${id}`, `--regid=${id}`, "--groups=4000"];
    expect(
      await runAs(
        member(3_001),
        [
          { key: "r/a/=1", text: "1" },
          { key: "r/a/=2", text: "1" },
        ],
        0o660,
      ),
    ).toBe("acknowledged");
    expect(infoOf("memory/r/a")).toEqual({ uid: 3_001, gid: 4_000, mode: "2770" });
    expect(infoOf("memory/r/a/=1.json")).toEqual({ uid: 3_001, gid: 4_000, mode: "660" });
    // Who says no mode keeps the one of the folder.
    expect(
      await runAs(member(3_002), [
        { key: "r/a/=1", text: "2" },
        { key: "r/b/=3", text: "2" },
      ]),
    ).toBe("acknowledged");
    expect(infoOf("memory/r/a/=1.json")).toEqual({ uid: 3_002, gid: 4_000, mode: "660" });
    expect(infoOf("memory/r/b")).toEqual({ uid: 3_002, gid: 4_000, mode: "2770" });
    expect(await runAs(member(3_001), [{ key: "r/b/=3", text: null }], 0o660)).toBe("acknowledged");
  });

  test.skipIf(!isRoot)("who may not read them is told so", async () => {
    await chmod(folder.path(""), 0o755);
    const place = await openFolder(folder.path("memory"), 0o666);
    await place.write([{ key: "r/a/=1", text: "1" }]);
    await chmod(folder.path("memory/r/a"), 0o700);
    const other = [`--reuid=${SERVICE}`, `--regid=${SERVICE}`, "--clear-groups"];
    expect(await runAs(other, [])).toMatch(/memory: cannot be read: \S+memory\/r\/a may not be read$/);
  });
});
