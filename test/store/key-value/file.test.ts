import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { chmod, copyFile, mkdir, rm, symlink, writeFile } from "node:fs/promises";
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
import { indexOf } from "../conformance/describe-store.ts";
import { randomFrom } from "../store-writer.ts";
import { describePlace } from "./place-clauses.ts";

const WRITER = fileURLToPath(new URL("file-writer.ts", import.meta.url));
const TSX = import.meta.resolve("tsx");

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
    await symlink(folder.path("memory/r/m/bob"), below("link"));
    expect((await store.search(["m", "ana"])).map(({ value }) => value)).toEqual([{ user: "ana" }]);
    expect(await store.health()).toMatchObject({ items: 2, problems: [] });
    expect(await failure(store.put(["m", "ana"], "other", { n: 1 }, false))).toMatch(/is a folder where a file should/);
    expect(await store.drop([["m", "ana"]])).toBe(1);
    expect(filesOf(folder.path("memory/r"))).toEqual([
      "m/ana/=K.json",
      "m/ana/README.md",
      "m/ana/link/=k.json",
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
    expect((await store.health()).problems).toMatchObject([{ problem: "2 items cannot be read" }]);
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

describe("a kill", () => {
  /** The folders that a kill at each step leaves. */
  async function killEverywhere(path: string, changes: KeyChange[]): Promise<string[]> {
    const copies = folder.path("copies");
    await rm(copies, { recursive: true, force: true });
    const request = JSON.stringify({ do: "step", folder: path, changes, copies });
    await promisify(execFile)(process.execPath, ["--import", TSX, WRITER, request]);
    return readdirSync(copies).map((name) => join(copies, name));
  }

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
    const begun = left.filter((path) => existsSync(join(path, ".mnemail/journal")));
    if (changes.length > 1) expect(begun.length).toBeGreaterThan(8);
    for (const path of begun) await expectWhole(path, [made]);
    for (const path of left) if (!begun.includes(path)) await expectWhole(path, [before, made]);
  });

  test("at any step of finishing what another left leaves all of it", async () => {
    const place = await openFolder(folder.path("memory"));
    await place.write(Object.entries(before).map(([key, text]) => ({ key, text })));
    const left = await killEverywhere(folder.path("memory"), batch);
    const begun = left.find((path) => existsSync(join(path, ".mnemail/journal"))) ?? "";
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
    await writeFile(folder.path("memory/.mnemail/journal"), "{");
    const line =
      /memory: cannot be (read|written|opened): .*journal cannot be read; without it its batch may stay half/;
    expect(await failure(place.read(["r/a/=1"]))).toMatch(line);
    expect(await failure(place.write([{ key: "r/a/=1", text: "2" }]))).toMatch(line);
    expect(await failure(openFolder(folder.path("memory")))).toMatch(line);
  });

  test("a journal cannot lead out of the folder", async () => {
    await openFolder(folder.path("memory"));
    const key = "../../outside";
    const id = "0b5a5c5e-7a3c-4c3f-9d0e-3f2a4b5c6d7e";
    await writeFile(folder.path("outside.json"), "mine");
    await writeFile(folder.path(`memory/.mnemail/staged-${id}-0`), "theirs");
    await writeFile(
      folder.path("memory/.mnemail/journal"),
      JSON.stringify({ id, changes: [{ key, isRemoval: false }] }),
    );
    expect(await (await openFolder(folder.path("memory"))).read([key])).toEqual(["theirs"]);
    expect(readFileSync(folder.path("outside.json"), "utf8")).toBe("mine");
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
});

/** Mounts a small disk of so many KiB; undefined, which is said, where that is not allowed. */
function folderOfSize(): ((kib: number) => Disposable & { path: string }) | undefined {
  const mount = (kib: number) => {
    const parent = temporaryFolder();
    const path = parent.path("disk");
    execFileSync("mkdir", [path]);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${kib}k`, "tmpfs", path], { stdio: "pipe" });
    } catch (error) {
      parent[Symbol.dispose]();
      throw error;
    }
    return {
      path,
      [Symbol.dispose]() {
        execFileSync("umount", [path]);
        parent[Symbol.dispose]();
      },
    };
  };
  try {
    mount(64)[Symbol.dispose]();
    return mount;
  } catch {
    console.warn("no full disk here: tmpfs cannot be mounted");
    return undefined;
  }
}
