import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { copyStore } from "../../src/cli/memory-copy.ts";
import { exportMemory, importMemory } from "../../src/cli/memory-files.ts";
import { confirm } from "../../src/cli/memory-keep.ts";
import { loadConfig } from "../../src/config.ts";
import { renderError, renderProblems } from "../../src/errors.ts";
import { exportLines } from "../../src/memory/export.ts";
import { selfTest } from "../../src/memory/self-test.ts";
import { loadPrompts } from "../../src/prompts.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { userNamespaces } from "../../src/store/namespaces.ts";
import { openStore } from "../../src/store/open-store.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { type CliResult, runCli } from "../support/cli.ts";
import { startPglite, type TestDatabase } from "../support/postgres.ts";

const ANA = "ana@home.example";

/** A store with memories of `ana` and of someone whose id begins like hers. */
async function folderWithMemories() {
  const folder = temporaryFolder();
  const url = `sqlite:${folder.path("memory.db")}`;
  const store = await openStore(placeOf(url));
  const text = "Always sign my emails with Ana B.";
  for (const user of [ANA, `${ANA}0`]) {
    await store.put(userNamespaces(user).prompts, "agent_instructions", { prompt: text }, false);
  }
  await store.stop();
  const environment = { STORE_URL: url };
  const mnemail = (...args: string[]) => runCli(["memory", ...args], environment);
  return { path: folder.path, url, environment, mnemail, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

const placeOf = (url: string) => loadConfig({ environment: { STORE_URL: url } }).store;

/** What export would write. */
async function dump(url: string, user: string): Promise<string> {
  const store = await openStore(placeOf(url));
  let file = "";
  for await (const line of exportLines(store, user)) file += line;
  await store.stop();
  return file;
}

const refusal = ({ code, stdout, stderr }: CliResult) => {
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stdout).toBe("");
  return { code, last: stderr.trim().split("\n").at(-1) ?? "" };
};

test("export writes a file for one user, import brings it back, and each refuses to overwrite what is there", async () => {
  using at = await folderWithMemories();
  const file = at.path("ana.jsonl");
  expect(await at.mnemail("export", "--user", ANA, file)).toMatchObject({
    code: 0,
    stdout: `${file}: 1 item of ${ANA}\n`,
  });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, "utf8")).not.toContain(`${ANA}0`);
  expect((await at.mnemail("export", "--user", ANA, "-")).stdout).toBe(readFileSync(file, "utf8"));

  writeFileSync(file, readFileSync(file, "utf8").replace("Ana B.", "Ana C."));
  expect(refusal(await at.mnemail("export", "--user", ANA, file))).toEqual({
    code: 1,
    last: `mnemail: ${file}: exists already (name another file, or replace it with --force)`,
  });
  expect(readFileSync(file, "utf8")).toContain("Ana C.");
  expect((await at.mnemail("export", "--user", ANA, file, "--force")).code).toBe(0);

  const elsewhere = { STORE_URL: `sqlite:${at.path("new/memory.db")}` };
  const bring = (...args: string[]) => runCli(["memory", "import", file, "--json", ...args], elsewhere);
  expect(JSON.parse((await bring("--dry-run")).stdout)).toMatchObject({ dry_run: true, added: 1 });
  expect(existsSync(at.path("new"))).toBe(false);
  expect(JSON.parse((await bring()).stdout)).toMatchObject({ dry_run: false, added: 1, kept: 0 });
  expect(await dump(elsewhere.STORE_URL, ANA)).toBe(readFileSync(file, "utf8"));
  expect(readdirSync(at.path("")).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

test("backup copies a SQLite store while it is used; never over the store itself", async () => {
  using at = await folderWithMemories();
  expect((await at.mnemail("backup", at.path("copy.db"))).code).toBe(0);
  expect(statSync(at.path("copy.db")).mode & 0o777).toBe(0o600);
  expect(await dump(`sqlite:${at.path("copy.db")}`, ANA)).toBe(await dump(at.url, ANA));
  expect(refusal(await at.mnemail("backup", at.path("memory.db"), "--force")).last).toMatch(/is the store itself/);
  expect(refusal(await at.mnemail("import", at.path("copy.db"))).last).toMatch(/is a SQLite database, not an export/);
});

test("drop removes one user, and says how many items; without a terminal it needs --yes", async () => {
  using at = await folderWithMemories();
  expect(refusal(await at.mnemail("drop", "--user", ANA))).toEqual({
    code: 2,
    last: expect.stringMatching(/add --yes/),
  });
  expect(await at.mnemail("drop", "--user", ANA, "--yes")).toMatchObject({
    code: 0,
    stdout: `removed 1 item of ${ANA}\n`,
  });
  const left = async (user: string) => (await dump(at.url, user)).trim().split("\n").length - 2;
  expect([await left(ANA), await left(`${ANA}0`)]).toEqual([0, 1]);
});

test.each([
  ["y\n", true],
  [" YES \n", true],
  ["yeah\n", false],
  ["\n", false],
  ["", false],
])("the answer %j removes: %s", async (answer, expected) => {
  const input = new PassThrough();
  const output = new PassThrough();
  const asked = confirm("Remove? ", { input, output });
  input.end(answer);
  expect(await asked).toBe(expected);
  expect(String(output.read())).toContain("Remove? ");
});

test("sweep removes what has expired, and doctor says to do so", async () => {
  using at = await folderWithMemories();
  const store = await MnemailStore.open(openSqliteDriver(at.path("memory.db")));
  const past = { createdAt: new Date(0), updatedAt: new Date(0), expiresAt: new Date(1), ttlMinutes: 1 };
  await store.restore([{ namespace: ["email_assistant", "x"], key: "k", value: {}, fields: [], ...past }]);
  await store.stop();
  const sick = await at.mnemail("doctor");
  expect(sick).toMatchObject({
    code: 1,
    stdout: expect.stringContaining("PROBLEM         1 item past the time to keep"),
  });
  expect((await at.mnemail("sweep")).stdout).toBe("removed 1 expired item\n");
});

describe("doctor", () => {
  test("writes, reads and removes the three kinds of memory across a reopened connection", async () => {
    using at = await folderWithMemories();
    const { code, stdout } = await at.mnemail("doctor", "--self-test", "--json");
    expect(JSON.parse(stdout)).toEqual({
      store: `sqlite:${at.path("memory.db")}`,
      engine: expect.stringMatching(/^SQLite 3/),
      ...{ schema_version: expect.any(Number), embedding: null, configured_embedding_model: "stand-in" },
      ...{ items: 2, vectors: 0, waiting: 0, expired: 0, self_test: "passed", problems: [] },
    });
    expect(code).toBe(0);
  });

  test("says to reindex where fields wait or vectors are of another model, and reindex mends both", async () => {
    using at = await folderWithMemories();
    const guides = { episodic: { "ana/1": { content: "Tom is on leave on Fridays." } } };
    writeFileSync(at.path("guides.json"), JSON.stringify(guides));
    const bare = { ...at.environment, OPENAI_BASE_URL: "http://127.0.0.1:9/v1", EMBEDDING_MODEL: "none" };
    const { stderr } = await runCli(["memory", "import", at.path("guides.json")], bare);
    expect(stderr).toMatch(/no embedding model, so these items are found by words/);
    const waiting = await at.mnemail("doctor");
    expect(waiting.stdout).toMatch(/1 field without a vector.*\nto do +run `mnemail memory reindex`/);
    expect((await at.mnemail("reindex")).stdout).toBe("made the vectors of 1 item by stand-in\n");

    const other = { ...bare, EMBEDDING_MODEL: "other", MODEL_MAX_RETRIES: "0" };
    const sick = await runCli(["memory", "doctor", "--self-test", "--json"], other);
    expect(JSON.parse(sick.stdout)).toMatchObject({
      ...{ items: 3, vectors: 1, waiting: 0, self_test: "failed" },
      problems: [
        { problem: expect.stringMatching(/of the embedding model "stand-in", and "other" is configured/) },
        { problem: expect.stringMatching(/no connection to the model server/) },
      ],
    });
    expect(sick.code).toBe(1);
    const store = await openStore(placeOf(at.url));
    expect(await store.health()).toMatchObject({ items: 3, unembedded: 0 });
    await store.stop();
  });

  test("says that memory: is lost, and of a store that cannot be opened why", async () => {
    const lost = await runCli(["memory", "doctor", "--self-test", "--json"], { STORE_URL: "memory:" });
    expect(JSON.parse(lost.stdout).problems.map(({ problem }: { problem: string }) => problem)).toEqual([
      "memory is lost when the process ends",
      expect.stringMatching(/the self test failed: procedural memory is gone/),
    ]);
    using folder = temporaryFolder();
    writeFileSync(folder.path("bad.db"), "no database\n".repeat(500));
    const bad = await runCli(["memory", "doctor", "--json"], { STORE_URL: `sqlite:${folder.path("bad.db")}` });
    expect(JSON.parse(bad.stdout)).toMatchObject({
      self_test: "not run",
      problems: [{ problem: expect.stringMatching(/bad\.db: is not a SQLite database/) }],
    });
    expect(bad.code).toBe(1);
  });

  test("leaves nothing behind when its self test fails in the middle", async () => {
    const driver = createMemoryDriver();
    let opened = 0;
    const open = async () => {
      const store = await MnemailStore.open(driver);
      opened += 1;
      if (opened === 2) store.batch = () => Promise.reject(new Error("disk on fire"));
      return { store, [Symbol.asyncDispose]: async () => {} };
    };
    await expect(selfTest(open, loadPrompts())).rejects.toThrow("disk on fire");
    expect(opened).toBe(3);
    expect((await driver.health()).items).toBe(0);
  });
});

describe("between SQLite and PostgreSQL", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await startPglite();
  });
  afterAll(() => database.stop());

  test("copy there and back gives equal exports, again changes nothing, and backup there can be imported", async () => {
    using at = await folderWithMemories();
    const [here, back] = [at.url, `sqlite:${at.path("back.db")}`];
    const copy = async (from: string, to: string, ...more: string[]) => {
      const { code, stdout, stderr } = await at.mnemail("copy", "--from", from, "--to", to, "--json", ...more);
      expect(stderr).not.toMatch(/^\s+at /m);
      expect(code).toBe(0);
      return JSON.parse(stdout);
    };
    expect(await copy(here, database.url, "--user", ANA)).toMatchObject({ from: here, added: 1 });
    expect(await copy(here, database.url)).toMatchObject({ added: 1, unchanged: 1, left_out: 0 });
    expect(await copy(here, database.url)).toMatchObject({ added: 0, unchanged: 2 });
    expect(await copy(database.url, back)).toMatchObject({ added: 2 });
    for (const user of [ANA, `${ANA}0`]) expect(await dump(back, user)).toBe(await dump(here, user));

    const postgres = { STORE_URL: database.url };
    const backup = await runCli(["memory", "backup", at.path("all.jsonl")], postgres);
    expect(backup.stdout).toMatch(/2 items of all users/);
    await runCli(["memory", "drop", "--user", ANA, "--yes"], postgres);
    const restored = await runCli(["memory", "import", at.path("all.jsonl"), "--json"], postgres);
    expect(JSON.parse(restored.stdout)).toMatchObject({ added: 1, unchanged: 1 });
    expect(await dump(database.url, ANA)).toBe(await dump(here, ANA));
    expect(await runCli(["memory", "doctor", "--self-test"], postgres)).toMatchObject({ code: 0 });
  });
});

describe("a mistake is one clear line", () => {
  const copy = (from: string, to: string) => copyStore({ from, to });
  test.each([
    ["an empty user", () => exportMemory({ user: "", file: "x" }), "usage", /user id: saw an empty one/],
    [
      "JSON twice",
      () => exportMemory({ user: ANA, file: "-", json: true }),
      "usage",
      /--json: with - the export itself/,
    ],
    [
      "a folder that is not there",
      () => exportMemory({ user: ANA, file: "/nowhere/x" }),
      "input",
      /there is no such folder/,
    ],
    [
      "a device",
      () => exportMemory({ user: ANA, file: "/dev/null", force: true }),
      "input",
      /\/dev\/null: is not a file/,
    ],
    [
      "a file that is not there",
      () => importMemory({ file: "/nowhere", dryRun: true }),
      "input",
      /\/nowhere: cannot be read/,
    ],
    [
      "a store of another kind",
      () => copy("mysql://a:secret@c/d", "sqlite:x"),
      "usage",
      /--from: saw "mysql:…"; allowed/,
    ],
    ["a store that is lost", () => copy("sqlite:x", "memory:"), "usage", /--to: memory: is lost/],
    ["one file twice", () => copy("sqlite:/tmp/a.db", "sqlite:/tmp/../tmp/a.db"), "usage", /both are sqlite:/],
    [
      "one database twice",
      () => copy("postgres://a:secret@h/d", "postgresql://b:secret@h:5432/d?sslmode=require"),
      "usage",
      /both are postgres:\/\/\*\*\*@h\/d/,
    ],
    ["a source that is not there", () => copy("sqlite:/nowhere/x.db", "sqlite:/tmp/y.db"), "input", /no such file/],
  ])("%s", async (_, command, code, message) => {
    vi.stubEnv("STORE_URL", "memory:");
    const error = await command().catch((thrown: unknown) => thrown);
    vi.unstubAllEnvs();
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(renderProblems(error)).toHaveLength(1);
    expect(renderError(error)).not.toContain("secret");
  });

  test("and ends with the exit code of wrong usage where it is that", async () => {
    const args = ["memory", "copy", "--from", "sqlite:x", "--to", "sqlite:./x"];
    expect(refusal(await runCli(args))).toEqual({ code: 2, last: expect.stringMatching(/--from and --to: both are/) });
    expect(refusal(await runCli(["memory", "export", "x.jsonl"]))).toMatchObject({ code: 2 });
  });
});
