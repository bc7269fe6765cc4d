import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { chmod, chown, copyFile, mkdir, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { renderError } from "../../src/errors.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import type { KeptRow } from "../../src/store/row-driver.ts";
import { openSnapshotDriver } from "../../src/store/snapshot-driver.ts";
import { loadStore, saveStore } from "../../src/store/snapshots.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { folderOfSize } from "../support/small-disk.ts";
import { indexOf } from "./conformance/describe-store.ts";

const TSX = import.meta.resolve("tsx");
const PROCESS = fileURLToPath(new URL("snapshot-process.ts", import.meta.url));
/** Longer than any test: nothing is saved before it has to be. */
const NEVER = 3_600_000;
const SOON = 20;
const RESTORE = "(it is left as it is; move it away to begin anew, or restore a copy)";

let folder: ReturnType<typeof temporaryFolder>;
let path: string;
let opened: MnemailStore[] = [];
beforeEach(() => {
  folder = temporaryFolder();
  path = folder.path("memory.snapshot");
});
afterEach(async () => {
  for (const store of opened) await store.stop();
  opened = [];
  folder[Symbol.dispose]();
});

const open = async ({ at = path, everyMs = NEVER, warnings = [] as string[], index = indexOf() } = {}) => {
  const driver = await openSnapshotDriver({ path: at, everyMs }, { warn: (line) => warnings.push(line) });
  const store = await MnemailStore.open(driver, { index });
  opened.push(store);
  return store;
};
const put = (store: MnemailStore, key: string) => store.put(["m", "ana"], key, { text: `text of ${key}` }, ["text"]);
const keysIn = async (store: MnemailStore) => {
  const rows: KeptRow[] = [];
  for await (const page of store.pages([[]])) rows.push(...page);
  return rows.map(({ key }) => key);
};
/** The keys in the file, whoever has it open. */
const saved = async (at = path) => {
  await using store = await loadStore(at);
  return keysIn(store);
};
const failure = async (run: Promise<unknown>) =>
  renderError(
    await run.then(
      () => "no failure",
      (error) => error,
    ),
  );
const names = () => readdirSync(folder.path(".")).sort();
const visible = () => names().filter((name) => !name.startsWith("."));
const until = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 20_000, interval: 5 });
/** A snapshot with a few items, closed. */
const makeSnapshot = async (keys = ["a", "b", "c"]) => {
  const store = await open();
  for (const key of keys) await put(store, key);
  await store.stop();
};

/** Runs `snapshot-process.ts`; `said` has its lines as they come. */
function start(request: { does: string; key?: string; path?: string; listens?: string }) {
  const argument = JSON.stringify({ path, key: "k", ...request });
  const child = spawn(process.execPath, ["--import", TSX, PROCESS, argument], { stdio: ["ignore", "pipe", "ignore"] });
  const said: string[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => said.push(line));
  const ended = once(child, "close").then(() => ({ code: child.exitCode, signal: child.signalCode, said }));
  const ready = Promise.race([once(lines, "line"), ended]);
  return { child, said, ready, ended };
}

describe("a snapshot", () => {
  test("is one JSON a line for people, for its owner alone, in new folders for its owner alone", async () => {
    const at = folder.path("new/deep/memory.snapshot");
    const store = await open({ at });
    await put(store, "a");
    await store.put(["m"], "plain", { n: [1, { x: null }], name: "Zoë\n\u2028" }, false);
    await store.stop();
    const text = readFileSync(at, "utf8");
    const lines = text.split("\n");
    expect(lines).toHaveLength(5);
    expect(JSON.parse(lines[0] ?? "")).toEqual({
      ...{ format: "mnemail snapshot", version: 1, rows: 2 },
      space: { model: "stand-in", dimensions: 64 },
    });
    expect(JSON.parse(lines[1] ?? "")).toMatchObject({
      namespace: ["m", "ana"],
      key: "a",
      value: { text: "text of a" },
    });
    const body = text.slice(0, text.lastIndexOf("\n", text.length - 2) + 1);
    expect(JSON.parse(lines[3] ?? "")).toEqual({ sha256: createHash("sha256").update(body).digest("hex") });
    const modeOf = (name: string) => statSync(folder.path(name)).mode & 0o777;
    expect([modeOf("new"), modeOf("new/deep"), modeOf("new/deep/memory.snapshot")]).toEqual([0o700, 0o700, 0o600]);
    const again = await open({ at });
    expect((await again.get(["m"], "plain"))?.value).toEqual({ n: [1, { x: null }], name: "Zoë\n\u2028" });
    expect((await again.search(["m"], { query: "text of a" }))[0]).toMatchObject({
      key: "a",
      score: expect.closeTo(1, 3),
    });
    expect(await again.health()).toMatchObject({ engine: `process memory, saved to ${at}`, vectors: 1, unembedded: 0 });
  });

  test("has no expired items; those with a time to live keep it", async () => {
    const store = await open();
    const past = new Date("2026-01-01T00:00:00.000Z");
    const row = { namespace: ["m"], value: { n: 1 }, createdAt: past, updatedAt: past, ttlMinutes: 1, fields: [] };
    await store.restore([{ ...row, key: "over", expiresAt: past }]);
    await store.putWithTtl(["m"], "live", { n: 1 }, 5, false);
    await store.stop();
    expect(readFileSync(path, "utf8")).not.toContain("over");
    const again = await open();
    for await (const page of again.pages([[]])) expect(page).toMatchObject([{ key: "live", ttlMinutes: 5 }]);
  });

  test("larger than one piece, with a line larger than one piece, comes back as it was", async () => {
    const store = await open();
    const value = (i: number) => ({ text: `${i} é😀 `.repeat(i === 7 ? 90_000 : 300) });
    for (let i = 0; i < 300; i += 1) await store.put(["m"], `k${i}`, value(i), false);
    await store.stop();
    expect(statSync(path).size).toBeGreaterThan(1_500_000);
    const again = await open();
    expect(await keysIn(again)).toHaveLength(300);
    for (const i of [0, 7, 299]) expect((await again.get(["m"], `k${i}`))?.value).toEqual(value(i));
  });

  test("refuses times that its text could not keep, and stays one that can be saved", async () => {
    const store = await open();
    const row = {
      namespace: ["m"],
      value: { n: 1 },
      updatedAt: new Date(),
      expiresAt: null,
      ttlMinutes: null,
      fields: [],
    };
    for (const createdAt of [new Date(Number.NaN), new Date(8.64e15), new Date(-1e14)]) {
      await expect(store.restore([{ ...row, key: "k", createdAt }])).rejects.toThrow(/^a time of an item: saw /);
    }
    await put(store, "a");
    await store.stop();
    expect(await saved()).toEqual(["a"]);
  });
});

describe("it is saved", () => {
  test("every so often where something changed, and only then", async () => {
    const store = await open({ everyMs: SOON });
    expect(existsSync(path)).toBe(false);
    await put(store, "a");
    await until(async () => expect(await saved()).toEqual(["a"]));
    const { ino } = statSync(path);
    await wait(10 * SOON);
    expect(statSync(path).ino).toBe(ino);
    await store.delete(["m", "ana"], "a");
    await until(async () => expect(await saved()).toEqual([]));
    await put(store, "b");
    await until(async () => expect(await saved()).toEqual(["b"]));
    await store.drop([["m"]]);
    await until(async () => expect(await saved()).toEqual([]));
    expect(names().filter((name) => name.includes(".tmp-"))).toEqual([]);
  });

  test("as of one moment, while others write: what comes meanwhile is in the next one", async () => {
    const store = await open({ everyMs: 1 });
    const keys = Array.from({ length: 400 }, (_, i) => `${i}`);
    const write = (n: number) =>
      store.batch(
        keys.map((key) => ({ namespace: ["m"], key, value: { n, pad: "x".repeat(2_000) }, index: false as const })),
      );
    await write(0);
    let isOver = false;
    const writing = (async () => {
      for (let n = 1; !isOver; n += 1) {
        await write(n);
        await wait(0);
      }
    })();
    const seen = new Set<unknown>();
    await until(async () => {
      if (existsSync(path)) {
        await using found = await loadStore(path);
        const values = new Set((await found.search(["m"], { limit: 1_000 })).map(({ value }) => value["n"]));
        if (values.size !== 1) throw new Error(`half a batch: ${[...values]}`);
        for (const n of values) seen.add(n);
      }
      expect(seen.size).toBeGreaterThan(3);
    });
    isOver = true;
    await writing;
    await store.stop();
    expect([...seen]).not.toContain(undefined);
    expect(await saved()).toHaveLength(400);
  });

  test("with what was there when the save began; what is put meanwhile is saved later, and not forgotten", async () => {
    const store = await open();
    await store.batch(
      Array.from({ length: 500 }, (_, i) => ({
        ...{ namespace: ["m"], key: `${i}`, value: { text: "x".repeat(10_000) }, index: false as const },
      })),
    );
    let isOver = false;
    const saving = saveStore(store, path).finally(() => {
      isOver = true;
    });
    await until(async () => expect(names().some((name) => name.includes(".tmp-"))).toBe(true));
    await put(store, "late");
    expect(isOver).toBe(false);
    await saving;
    expect(await saved()).toHaveLength(500);
    await store.stop();
    expect(await saved()).toHaveLength(501);
  });

  test("when it is closed, and not touched when nothing changed", async () => {
    await makeSnapshot(["a"]);
    const { ino, mtimeMs } = statSync(path);
    const store = await open();
    expect((await store.get(["m", "ana"], "a"))?.value).toEqual({ text: "text of a" });
    await Promise.all([store.stop(), store.stop()]);
    expect(statSync(path)).toMatchObject({ ino, mtimeMs });
    expect(await failure(put(store, "late"))).toBe(`${path}: it is closed, and nothing is saved any more`);
    expect(await saved()).toEqual(["a"]);
    expect(names()).toEqual(["memory.snapshot"]);
  });

  test("by an erase, so that what was removed is in no file any more", async () => {
    await makeSnapshot(["secret", "other"]);
    const store = await open();
    await store.delete(["m", "ana"], "secret");
    expect(readFileSync(path, "utf8")).toContain("secret");
    expect(await store.erase()).toEqual([]);
    expect(readFileSync(path, "utf8")).not.toContain("secret");
  });

  test.each([
    ["has nothing left to do", "end", { code: 0, signal: null }],
    ["calls process.exit", "exit", { code: 3, signal: null }],
    ["fails with an error that nobody catches", "throw", { code: 1, signal: null }],
  ])("when the process %s without closing it", async (_, does, end) => {
    expect(await start({ does }).ended).toMatchObject({ ...end, said: ["put"] });
    expect(await saved()).toEqual(["k"]);
    expect(names()).toEqual(["memory.snapshot"]);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("when %s ends the process, which ends by it", async (signal) => {
    const { child, ready, ended } = start({ does: "wait" });
    await ready;
    expect(existsSync(path)).toBe(false);
    child.kill(signal);
    expect(await ended).toMatchObject({ code: null, signal });
    expect(await saved()).toEqual(["k"]);
    expect(names()).toEqual(["memory.snapshot"]);
  });

  test.each(["before", "after"])("by who listens to a signal from %s on, if only once", async (listens) => {
    const { child, ready, ended } = start({ does: "serve", listens });
    await ready;
    child.kill("SIGTERM");
    expect(await ended).toEqual({ code: 0, signal: null, said: ["put", "closed"] });
    expect(await saved()).toEqual(["k", "last words"]);
  });

  test("to where a symbolic link leads, and to whose file it was", async () => {
    await mkdir(folder.path("real"));
    await makeSnapshot(["a"]);
    await copyFile(path, folder.path("real/data"));
    await rm(path);
    await symlink("real/data", path);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) await chown(folder.path("real/data"), 65_534, 65_534);
    const store = await open();
    await put(store, "b");
    await store.stop();
    expect(readlinkSync(path)).toBe("real/data");
    expect(await saved(folder.path("real/data"))).toEqual(["a", "b"]);
    if (isRoot) expect(await stat(folder.path("real/data"))).toMatchObject({ uid: 65_534, gid: 65_534 });
    expect(readdirSync(folder.path("real"))).toEqual(["data"]);
  });

  test("to a new file by a backup, never over another", async () => {
    const store = await open();
    await put(store, "a");
    await store.backup?.(folder.path("copy"));
    await put(store, "b");
    expect(await saved(folder.path("copy"))).toEqual(["a"]);
    expect(await failure(store.backup?.(folder.path("copy")) ?? Promise.resolve())).toMatch(/copy: exists already/);
    expect(await saved(folder.path("copy"))).toEqual(["a"]);
    expect(statSync(folder.path("copy")).mode & 0o777).toBe(0o600);
  });

  test("beside what a killed process left behind, which goes", async () => {
    await writeFile(folder.path(".memory.snapshot.tmp-left"), "secret");
    await writeFile(folder.path(".other.tmp-left"), "of others");
    await open();
    expect(names().filter((name) => name.includes(".tmp-"))).toEqual([".other.tmp-left"]);
  });
});

describe("a file that is no whole snapshot is refused by name and left alone", () => {
  const cut = (share: number) => (text: string) => text.slice(0, Math.floor(text.length * share));
  const line = (n: number, edit: (line: string) => string) => (text: string) =>
    text
      .split("\n")
      .map((each, i) => (i === n ? edit(each) : each))
      .join("\n");
  const signed = (edit: (body: string) => string) => (text: string) => {
    const body = edit(text.slice(0, text.lastIndexOf('{"sha256"')));
    return `${body}${JSON.stringify({ sha256: createHash("sha256").update(body).digest("hex") })}\n`;
  };

  test.each<[string, (text: string) => string | Buffer, string]>([
    ["empty", () => "", "is empty"],
    ["cut in the middle", cut(0.5), "is cut short: it has 1 of 3 items, and not its last line"],
    ["cut after a line", (text) => `${text.split("\n").slice(0, 3).join("\n")}\n`, "is cut short: it has 1 of 3 items"],
    ["cut by one byte", (text) => text.slice(0, -1), "is cut short: it has 3 of 3 items, and not its last line"],
    ["cut in the first line", cut(0.02), "is not a snapshot of Mnemail's memory"],
    ["edited in a value", line(2, (each) => each.replace("text of b", "text of B")), "is damaged, or was changed by"],
    ["without a line", (text) => text.replace(/\n.*\n/, "\n"), "is damaged, or was changed by another program"],
    [
      "damaged in a byte",
      (text) => Buffer.from(text).fill(255, 300, 301),
      "is damaged, or was changed by another program",
    ],
    ["with more behind it", (text) => `${text}more\n`, "is cut short"],
    ["written twice", (text) => text + text, "is damaged, or was changed by another program"],
    ["a text of others", () => "Dear diary,\n", "is not a snapshot of Mnemail's memory"],
    ["a JSON of others", () => '{"format":"other","version":1}\n', "is not a snapshot of Mnemail's memory"],
    [
      "a database",
      () => Buffer.concat([Buffer.from("SQLite format 3\0"), Buffer.alloc(1_000_000)]),
      "is not a snapshot",
    ],
    [
      "with a header that lacks something",
      signed((text) => text.replace('"rows"', '"lines"')),
      "is damaged: its first line",
    ],
    ["with fewer items than it says", signed(line(2, () => "").bind(null)), "holds 1 items that cannot be read"],
    [
      "of a strange row",
      signed(line(1, () => '{"key":"a"}')),
      "holds 1 items that cannot be read, and 2 of 3 that can",
    ],
    [
      "of other numbers",
      signed((text) => text.replace('"rows":3', '"rows":4')),
      "holds 0 items that cannot be read, and 3 of 4",
    ],
  ])("%s", async (_, edit, problem) => {
    await makeSnapshot();
    const content = Buffer.from(edit(readFileSync(path, "utf8")));
    await writeFile(path, content);
    for (const refused of [open, () => loadStore(path)]) {
      const said = await failure(refused());
      expect(said).toContain(`${path}: ${problem}`);
      expect(said.endsWith(RESTORE), said).toBe(true);
      expect(said).not.toContain("\n");
    }
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(names()).toEqual(["memory.snapshot"]);
  });

  test("at the end of the process too", async () => {
    await writeFile(path, "Dear diary,\n");
    expect(await start({ does: "exit" }).ended).toMatchObject({
      said: [`${path}: is not a snapshot of Mnemail's memory ${RESTORE}`],
    });
    expect(readFileSync(path, "utf8")).toBe("Dear diary,\n");
    expect(names()).toEqual(["memory.snapshot"]);
  });

  test("of a newer version", async () => {
    await makeSnapshot();
    const content = readFileSync(path, "utf8").replace('"version":1', '"version":2').replace("namespace", "names");
    await writeFile(path, content);
    expect(await failure(open())).toBe(
      `${path}: is a snapshot of version 2, and this Mnemail knows up to 1 (update Mnemail; nothing was changed)`,
    );
    expect(readFileSync(path, "utf8")).toBe(content);
  });

  test("a folder, a pipe, a file that is read-only, below a file, a link that leads nowhere", async () => {
    await mkdir(folder.path("folder"));
    execFileSync("mkfifo", [folder.path("pipe")]);
    await makeSnapshot();
    await chmod(path, 0o400);
    await symlink("nowhere/file", folder.path("link"));
    const refused = (name: string) => failure(open({ at: folder.path(name) }));
    expect(await refused("folder")).toMatch(/\/folder: is a folder \(name a file\)$/);
    expect(await refused("pipe")).toMatch(/\/pipe: is not a file \(name a file\)$/);
    expect(await refused("memory.snapshot")).toMatch(
      /snapshot: is read-only \(make it writable .* or name another file\)$/,
    );
    expect(await refused("memory.snapshot/file")).toMatch(
      /file: cannot be opened: there is .* folder .*\(check the file/,
    );
    expect(await refused("link")).toMatch(/link: cannot be opened: it is a link to a file that does not exist \(/);
    expect(visible()).toEqual(["folder", "link", "memory.snapshot", "pipe"]);
    expect(names().filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("where it may not be written: when it is opened, not when it would be saved", async () => {
    await mkdir(folder.path("sealed"));
    await chmod(folder.path("sealed"), 0o500);
    // Nothing keeps root from writing but a folder of the kernel.
    const at = process.getuid?.() === 0 ? "/sys/kernel/memory.snapshot" : folder.path("sealed/memory.snapshot");
    expect(await failure(open({ at }))).toMatch(
      /^\S+memory\.snapshot: cannot be opened: it may not be written \(check /,
    );
  });
});

describe("one process at a time", () => {
  test("another is refused at once, by the number of the first, and may come when that one has ended", async () => {
    await makeSnapshot(["a"]);
    const first = start({ does: "wait" });
    await first.ready;
    const began = performance.now();
    expect(await failure(open())).toBe(
      `${path}: process ${first.child.pid} has it open (one process at a time: end that one; for several at once then run \`mnemail memory copy --from 'memory:?snapshot=${path}' --to sqlite:PATH\` and set STORE_URL=sqlite:PATH)`,
    );
    await symlink(path, folder.path("link"));
    expect(await failure(open({ at: folder.path("link") }))).toContain(`process ${first.child.pid} has it open`);
    const source = await MnemailStore.open(createMemoryDriver());
    expect(await failure(saveStore(source, path))).toContain(`process ${first.child.pid} has it open`);
    expect(performance.now() - began).toBeLessThan(3_000);
    // One that sleeps has it still.
    first.child.kill("SIGSTOP");
    const [hold = ""] = names().filter((name) => name.includes(".held-"));
    const longAgo = new Date(Date.now() - 600_000);
    await utimes(folder.path(hold), longAgo, longAgo);
    expect(await failure(open())).toContain(`process ${first.child.pid} has it open`);
    await utimes(folder.path(hold), new Date(), new Date());
    first.child.kill("SIGKILL");
    await first.ended;
    const store = await open();
    expect(await keysIn(store)).toEqual(["a"]);
    expect(names().filter((name) => name.includes(".held-"))).not.toContain(hold);
  });

  test("the same process is refused too, until it closes the first", async () => {
    const store = await open();
    await put(store, "a");
    expect(await failure(open())).toContain(
      `${path}: this process (${process.pid}) has it open (one process at a time`,
    );
    await store.stop();
    expect(await keysIn(await open())).toEqual(["a"]);
  });

  test("of many that come at once one has it", async () => {
    const processes = Array.from({ length: 4 }, (_, i) => start({ does: "wait", key: `${i}` }));
    await Promise.all(processes.map(({ ready }) => ready));
    const said = processes.map((each) => each.said[0] ?? "");
    expect(said.filter((line) => line === "put")).toHaveLength(1);
    expect(said.filter((line) => /process \d+ has it open/.test(line))).toHaveLength(3);
    for (const { child } of processes) child.kill("SIGTERM");
    await Promise.all(processes.map(({ ended }) => ended));
    expect(await saved()).toEqual([String(said.indexOf("put"))]);
    expect(names()).toEqual(["memory.snapshot"]);
  });

  test("a hold that was left is in nobody's way: of a number that is another's now, of another machine long ago", async () => {
    const store = await open();
    const [own = ""] = names().filter((name) => name.includes(".held-"));
    const [place, , start] = own.slice(".memory.snapshot.held-".length).split("-");
    await store.stop();
    const hold = (owner: string) => folder.path(`.memory.snapshot.held-${owner}-x`);
    const left = [`${place}-${process.ppid}-${start}`, `${place}-${process.pid}-00000000`, "00000000-1-00000000"].map(
      hold,
    );
    for (const each of left) await writeFile(each, "");
    // Half a minute is over in a moment.
    const past = new Date(Date.now() - 29_500);
    await utimes(hold("00000000-1-00000000"), past, past);
    await (await open()).stop();
    expect(names()).toEqual([]);
  });

  test("one of another machine that is touched holds", async () => {
    const hold = folder.path(".memory.snapshot.held-00000000-7-00000000-x");
    await writeFile(hold, "");
    const touch = setInterval(() => void utimes(hold, new Date(), new Date()), 100);
    try {
      expect(await failure(open())).toContain(`${path}: process 7 of another machine or container has it open`);
    } finally {
      clearInterval(touch);
    }
    expect(existsSync(hold)).toBe(true);
  });

  test("who was taken for one that had ended saves over nobody's work", async () => {
    const warnings: string[] = [];
    const store = await open({ everyMs: SOON, warnings });
    for (const name of names().filter((each) => each.includes(".held-"))) await rm(folder.path(name));
    await put(store, "mine");
    await until(async () => expect(warnings).toHaveLength(1));
    expect(warnings[0]).toContain("cannot be saved: another process took it");
    expect(visible()).toEqual([]);
    expect(await failure(store.stop())).toContain("cannot be saved: another process took it");
    await writeFile(path, "theirs");
    opened = [];
  });
});

describe("a save that fails", () => {
  const mounted = folderOfSize();

  test.skipIf(!mounted)(
    "for want of space warns once, leaves the old snapshot whole, is tried again, and is an error of closing",
    async () => {
      using disk = mounted?.(256) ?? { path: "", [Symbol.dispose]() {} };
      const at = join(disk.path, "memory.snapshot");
      const warnings: string[] = [];
      const store = await open({ at, everyMs: SOON, warnings });
      await put(store, "a");
      await until(async () => expect(await saved(at)).toEqual(["a"]));
      await store.put(["m"], "big", { text: "x".repeat(300_000) }, false);
      await until(async () => expect(warnings).toHaveLength(1));
      const line = `${at}: cannot be saved: the disk is full (make room; what was saved before is whole)`;
      expect(warnings).toEqual([`${line}; until a save succeeds, what changed since is in memory alone`]);
      await wait(10 * SOON);
      expect(warnings).toHaveLength(1);
      expect(await saved(at)).toEqual(["a"]);
      expect(readdirSync(disk.path).filter((name) => name.includes(".tmp-"))).toEqual([]);
      expect(await failure(store.stop())).toBe(line);
      await store.delete(["m"], "big");
      await put(store, "b");
      await until(async () => expect(await saved(at)).toEqual(["a", "b"]));
      await store.put(["m"], "big", { text: "x".repeat(300_000) }, false);
      await until(async () => expect(warnings).toHaveLength(2));
      await store.delete(["m"], "big");
      await store.stop();
      expect(await saved(at)).toEqual(["a", "b"]);
      expect(readdirSync(disk.path)).toEqual(["memory.snapshot"]);
    },
  );

  test("when the process ends says what is lost, and the process does not end well", async () => {
    const at = folder.path("gone/memory.snapshot");
    const { child, ready, ended, said } = start({ does: "serve", path: at });
    await ready;
    await rm(folder.path("gone"), { recursive: true });
    child.kill("SIGTERM");
    expect(await ended).toMatchObject({ code: 1 });
    expect(said.at(-1)).toMatch(
      /^warning: \S+: cannot be saved: there is no such folder .*what changed since the last/,
    );
    expect(existsSync(folder.path("gone"))).toBe(false);
  });
});

describe("saveStore and loadStore", () => {
  test("keep an in-memory store for another program: items, vectors, times", async () => {
    const index = indexOf();
    const store = await MnemailStore.open(createMemoryDriver(), { index });
    await put(store, "a");
    const before = await store.get(["m", "ana"], "a");
    await saveStore(store, path);
    await put(store, "b");
    expect(await saved()).toEqual(["a"]);
    await saveStore(store, path);
    await store.stop();
    const loaded = await loadStore(path, { index });
    expect(await keysIn(loaded)).toEqual(["a", "b"]);
    expect(await loaded.get(["m", "ana"], "a")).toEqual(before);
    expect((await loaded.search(["m"], { query: "text of a" }))[0]).toMatchObject({
      key: "a",
      score: expect.closeTo(1, 3),
    });
    await put(loaded, "c");
    await loaded.stop();
    expect(await saved()).toEqual(["a", "b"]);
    const other = await MnemailStore.open(await openSnapshotDriver({ path, everyMs: NEVER }));
    expect(await keysIn(other)).toEqual(["a", "b"]);
    await other.stop();
    expect(names()).toEqual(["memory.snapshot"]);
  });

  test("of a store with a snapshot, its own file by any name is saved now, and another may be", async () => {
    const store = await open();
    await put(store, "a");
    await saveStore(store, path);
    expect(await saved()).toEqual(["a"]);
    await symlink(path, folder.path("link"));
    await put(store, "b");
    await saveStore(store, folder.path("link"));
    expect(await saved()).toEqual(["a", "b"]);
    await saveStore(store, folder.path("other"));
    expect(await saved(folder.path("other"))).toEqual(["a", "b"]);
  });

  test("refuse what cannot be meant, in one line", async () => {
    const sqlite = await MnemailStore.open(openSqliteDriver(folder.path("memory.db")));
    await expect(saveStore(sqlite, path)).rejects.toMatchObject({ code: "usage" });
    expect(await failure(saveStore(sqlite, path))).toMatch(
      /snapshot: SQLite \S+ keeps what is put already, and needs no/,
    );
    await sqlite.stop();
    await expect(loadStore(path)).rejects.toMatchObject({ code: "input" });
    expect(await failure(loadStore(path))).toBe(`${path}: there is no such file (name what saveStore wrote)`);
    await makeSnapshot(["a"]);
    const closed = await MnemailStore.open(createMemoryDriver());
    await closed.stop();
    expect(await failure(saveStore(closed, path))).toBe("the store in memory is closed, and what was in it is gone");
    expect(await saved()).toEqual(["a"]);
    expect(visible()).toEqual(expect.arrayContaining(["memory.snapshot"]));
  });
});
