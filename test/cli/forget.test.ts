import { cpSync } from "node:fs";
import Database from "libsql";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { loadConfig } from "../../src/config.ts";
import { openStore } from "../../src/store/open-store.ts";
import { buildWorld, CANARIES, filesWith, formsOf, KEPT, ZOE } from "../memory/forget-world.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { runCli } from "../support/cli.ts";
import { startPostgres } from "../support/postgres.ts";

const ANA = "ana@home.example";
const BEA = "bea@home.example";
const user = ["--user", ANA];
const FIRST = `<${CANARIES.messageId}-1@qanarymail.example>`;

let base: ReturnType<typeof temporaryFolder>;
beforeAll(async () => {
  base = temporaryFolder();
  const environment = { STORE_URL: `sqlite:${base.path("memory.db")}`, MEMORY_EXTRACTION: "off" };
  await buildWorld(loadConfig({ environment, directory: base.path(".") }), ANA);
});
afterAll(() => base[Symbol.dispose]());

/** A copy of a user's SQLite store and checkpoints, and a way to run commands on it. */
function copied() {
  const folder = temporaryFolder();
  cpSync(base.path("."), folder.path("."), { recursive: true });
  const environment = { STORE_URL: `sqlite:${folder.path("memory.db")}`, MEMORY_EXTRACTION: "off" };
  return {
    folder,
    run: (...args: string[]) => runCli(["memory", ...args], environment),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

async function rowsIn(folder: ReturnType<typeof temporaryFolder>): Promise<unknown[]> {
  const rows: unknown[] = [];
  await using store = await openStore({ backend: "sqlite", path: folder.path("memory.db") });
  for await (const page of store.pages([[]])) rows.push(...page);
  return rows;
}

const found = (folder: ReturnType<typeof temporaryFolder>) =>
  Object.entries(CANARIES).flatMap(([name, text]) =>
    filesWith(folder.path("."), text).map((file) => `${name}: ${file}`),
  );

const planSchema = z.object({
  dry_run: z.boolean(),
  removed: z.array(z.object({ group: z.string(), key: z.string(), text: z.string(), why: z.string() })),
  rewritten: z.array(z.object({ group: z.string(), key: z.string(), text: z.string(), why: z.string() })),
  threads: z.array(z.object({ thread_id: z.string() })),
  not_touched: z.string(),
});

describe("mnemail memory forget, on SQLite", () => {
  test("leaves nothing of a contact in any file: store, log, checkpoints, and an export made afterwards", async () => {
    using at = copied();
    for (const name of Object.keys(CANARIES)) expect(found(at.folder).join()).toContain(name);
    const { code, stdout, stderr } = await at.run("forget", ...user, "--contact", ZOE, "--yes");
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining("memory reindex") });
    expect(stdout).toMatch(/^forgotten of ana@home\.example:\nemails, .* \(2\)\n/);
    expect((await at.run("export", ...user, at.folder.path("export.jsonl"))).code).toBe(0);
    await at.run("backup", at.folder.path("backup.db"));
    expect(found(at.folder)).toEqual([]);
    for (const kept of KEPT) expect(filesWith(at.folder.path("."), kept)).toContain("memory.db");
    // Rolled back, shown, listed: nothing brings it back.
    for (const prompt of ["triage_ignore", "triage_notify", "agent_instructions"]) {
      expect((await at.run("rollback", ...user, prompt)).stdout.toLowerCase()).not.toContain("qanary");
    }
    expect((await at.run("doctor")).stdout).not.toMatch(/damaged/);
    expect(found(at.folder)).toEqual([]);
  });

  test("leaves nothing of an email and of what was learnt from it", async () => {
    using at = copied();
    await at.run("forget", ...user, "--email", FIRST, "--yes");
    for (const gone of [
      FIRST,
      "Subjektqanary plan",
      CANARIES.approved,
      CANARIES.rule,
      `the plan for ${CANARIES.body}`,
    ]) {
      expect(filesWith(at.folder.path("."), gone)).toEqual([]);
    }
    expect(filesWith(at.folder.path("."), CANARIES.fact)).not.toEqual([]);
  });

  test("leaves nothing of a memory", async () => {
    using at = copied();
    const { stdout } = await at.run("show", ...user, "--json");
    const { episodic } = z
      .object({ episodic: z.array(z.looseObject({ key: z.string(), content: z.string() })) })
      .parse(JSON.parse(stdout));
    const key = episodic.find(({ content }) => content.includes(CANARIES.named))?.key ?? "";
    expect(filesWith(at.folder.path("."), CANARIES.named)).toContain("memory.checkpoints.db-wal");
    expect((await at.run("forget", ...user, "--memory", key, "--yes")).code).toBe(0);
    expect(filesWith(at.folder.path("."), CANARIES.named)).toEqual([]);
    expect(filesWith(at.folder.path("."), CANARIES.fact)).not.toEqual([]);
  });

  test("says first what would go and why, and changes nothing then", async () => {
    using at = copied();
    const before = await at.run("export", ...user, "-");
    const dry = await at.run("forget", ...user, "--contact", ZOE, "--dry-run");
    expect(dry.code).toBe(0);
    expect(dry.stdout).toMatch(/^would forget of ana@home\.example:\nemails, .* \(2\)\n/);
    expect(dry.stdout).toMatch(
      /\n {2}Always sign my emails with Ruleqanary Q\. \[r-\w+\]: learnt from your feedback of 2026-03-02 about an email from zoe/,
    );
    expect(dry.stdout).toMatch(/\nkept without the forgotten words \(\d+\)\n/);
    expect(dry.stdout).toMatch(/\nnot touched: exports and backups made earlier, what a mail server keeps/);
    const data = planSchema.parse(
      JSON.parse((await at.run("forget", ...user, "--contact", ZOE, "--dry-run", "--json")).stdout),
    );
    expect(data).toMatchObject({ dry_run: true, threads: expect.arrayContaining([{ thread_id: `${ANA} t-first` }]) });
    expect(data.removed.filter(({ why }) => why === "")).toEqual([]);
    expect((await at.run("export", ...user, "-")).stdout).toBe(before.stdout);
  });

  test("erases at the next run what another process kept it from erasing, though nothing is left to forget", async () => {
    using at = copied();
    const reader = new Database(at.folder.path("memory.db"));
    reader.exec("BEGIN");
    reader.prepare("SELECT count(*) FROM store").raw().all();
    const kept = await at.run("forget", ...user, "--contact", ZOE, "--yes");
    expect(kept).toMatchObject({ code: 1, stdout: "" });
    expect(kept.stderr).toMatch(
      /forget: the text was removed but may still be read off the files: .*memory\.db.*run it again/,
    );
    reader.exec("COMMIT");
    reader.close();
    expect(found(at.folder)).not.toEqual([]);
    const again = await at.run("forget", ...user, "--contact", ZOE, "--yes");
    expect(again).toMatchObject({ code: 0, stdout: expect.stringMatching(/^nothing was left to forget/) });
    expect(found(at.folder)).toEqual([]);
    expect((await at.run("forget", ...user, "--contact", ZOE, "--yes")).code).toBe(1);
  });

  test.each([
    ["an unknown email", ["--email", "nope", "--yes"], 1, /email "nope": nothing is kept of it for ana@home\.example/],
    ["an unknown memory", ["--memory", "fact-nope", "--yes"], 1, /memory "fact-nope": nothing is kept of it/],
    ["a contact of whom there is nothing", ["--contact", "x@y.example", "--yes"], 1, /nothing is kept of it/],
    ["the user's own address", ["--contact", ANA, "--yes"], 2, /is the user's own address; nothing was forgotten/],
    ["a contact that is no address", ["--contact", "Zoe", "--yes"], 2, /contact: saw "Zoe"; expected one address/],
    ["no target", ["--yes"], 2, /expected --contact ADDRESS, --email ID or --memory ID/],
    ["two targets", ["--email", "o1", "--memory", "x", "--yes"], 2, /cannot be used with/],
    ["no terminal to ask on", ["--email", "o1"], 2, /asks before it removes.*--dry-run/],
  ])("refuses %s in one line, and changes nothing", async (_name, args, code, says) => {
    using at = copied();
    const before = await rowsIn(at.folder);
    const refused = await at.run("forget", ...user, ...args);
    expect(refused).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(says) });
    expect(refused.stderr).not.toMatch(/\n\s+at /);
    expect(await rowsIn(at.folder)).toEqual(before);
  });

  test("makes no file of checkpoints where there is none", async () => {
    using folder = temporaryFolder();
    const environment = { STORE_URL: `sqlite:${folder.path("memory.db")}`, MEMORY_EXTRACTION: "off" };
    await runCli(["remember", ...user, `Ask ${ZOE}.`], environment);
    expect((await runCli(["memory", "forget", ...user, "--contact", ZOE, "--yes"], environment)).code).toBe(0);
    expect(found(folder)).toEqual([]);
    expect(filesWith(folder.path("."), "checkpoints")).toEqual([]);
  });
});

const server = await startPostgres();
afterAll(() => server?.stop());

/** Every row of every table of a database, as text and as its bytes. */
async function dump(url: string): Promise<string> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const tables = await client.query(
      "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'",
    );
    const rows: string[] = [];
    for (const { name } of z.array(z.object({ name: z.string() })).parse(tables.rows)) {
      const found = await client.query(`SELECT t::text AS row FROM ${name} AS t`);
      rows.push(
        ...z
          .array(z.object({ row: z.string() }))
          .parse(found.rows)
          .map(({ row }) => `${name} ${row}`),
      );
    }
    return rows.join("\n");
  } finally {
    await client.end();
  }
}

/** The names of canaries in a dump, as text, in base64 or as the hexadecimal digits of bytes. */
function canariesIn(text: string): string[] {
  const lower = text.toLowerCase();
  return Object.entries(CANARIES).flatMap(([name, canary]) => {
    const [plain = "", ...encoded] = formsOf(canary);
    const hex = [plain, ...encoded].map((form) => Buffer.from(form).toString("hex"));
    const isThere =
      [plain.toLowerCase(), ...hex].some((form) => lower.includes(form)) || encoded.some((form) => text.includes(form));
    return isThere ? [name] : [];
  });
}

test.skipIf(!server)(
  "mnemail memory forget, on PostgreSQL, leaves nothing of a contact in any row of any table",
  async () => {
    if (!server) return;
    const environment = { STORE_URL: server.url, MEMORY_EXTRACTION: "off" };
    await buildWorld(loadConfig({ environment, directory: "/tmp" }), ANA);
    expect(canariesIn(await dump(server.url))).toEqual(Object.keys(CANARIES));
    await runCli(["remember", "--user", BEA, `Ask ${ZOE}.`], environment);
    const { code, stderr } = await runCli(["memory", "forget", ...user, "--contact", ZOE, "--yes"], environment);
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.not.stringContaining("vacuum") });
    const left = await dump(server.url);
    expect(left).toContain(`Ask ${ZOE}.`);
    expect(
      canariesIn(
        left
          .split("\n")
          .filter((line) => !line.includes("bea@home"))
          .join("\n"),
      ),
    ).toEqual([]);
    for (const kept of KEPT) expect(left).toContain(kept);
  },
);
