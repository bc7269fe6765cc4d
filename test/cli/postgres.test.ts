import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { temporaryFolder } from "../support/assistant.ts";
import { jsonLines, runCli } from "../support/cli.ts";
import { startPglite, type TestDatabase } from "../support/postgres.ts";

const ANA = "ana@home.example";
const question = {
  id: "q1",
  from: "Tom Berg <tom@work.example>",
  to: ANA,
  subject: "Release date",
  body: "Hi Ana, could you tell me when the next release is planned? Thanks, Tom",
};

describe("with the guides' two variables for PostgreSQL, and nothing else", () => {
  let database: TestDatabase;
  let environment: Record<string, string>;
  beforeAll(async () => {
    database = await startPglite();
    environment = { USE_PERSISTENT_STORE: "true", POSTGRES_CONNECTION_STRING: database.url };
  });
  afterAll(() => database.stop());

  test("config names the database without its secrets", async () => {
    const { stdout } = await runCli(["config", "--json"], environment);
    expect(JSON.parse(stdout)).toMatchObject({
      store: database.url.replace("postgres@", "***@"),
      postgres_pool_max: 10,
    });
  });

  test("run, feedback and memory show work on it, each in a process of its own", async () => {
    using folder = temporaryFolder();
    const inbox = folder.path("inbox.json");
    writeFileSync(inbox, JSON.stringify([question]));
    const run = () => runCli(["run", "--user", ANA, "--inbox", inbox, "--json"], environment);

    const first = await run();
    expect(first.stderr).toContain("memory: kept in postgres");
    expect(jsonLines(first.stdout)).toMatchObject([{ status: "pending_review", label: "respond", memories: [] }]);
    await runCli(["feedback", "--user", ANA, "Always sign my emails with Ana B."], environment);
    const second = await run();
    expect(jsonLines(second.stdout)).toMatchObject([
      { draft: { body: expect.stringContaining("Ana B.") }, memories: [{ kind: "procedural" }, { kind: "episodic" }] },
    ]);
    const shown = await runCli(["memory", "show", "--user", ANA], environment);
    expect(shown.stdout).toContain("Always sign my emails with Ana B.");
    const other = await runCli(["memory", "show", "--user", `${ANA}0`], environment);
    expect(other.stdout).not.toContain("Ana B.");
  });

  test("what waits is approved once, edited, changed and rejected, each in a process of its own; the next differs", async () => {
    using folder = temporaryFolder();
    const at = { ...environment, OUTBOX_PATH: folder.path("outbox"), MEMORY_EXTRACTION: "off" };
    const user = ["--user", "approver@home.example"];
    const review = (...args: string[]) => runCli(["review", ...args, ...user], at);
    const handle = async (...ids: string[]) => {
      const inbox = folder.path("inbox.json");
      writeFileSync(inbox, JSON.stringify(ids.map((id) => ({ ...question, id, thread_id: id }))));
      return jsonLines((await runCli(["run", ...user, "--inbox", inbox, "--json"], at)).stdout);
    };
    const ids = z
      .array(z.object({ reviews: z.tuple([z.object({ id: z.string() })]) }))
      .parse(await handle("a", "b", "c", "d"))
      .map(({ reviews: [{ id }] }) => id);
    const [a = "", b = "", c = "", d = ""] = ids;
    expect(await review("approve", a)).toMatchObject({ code: 0, stdout: expect.stringMatching(/written: .*\.eml/) });
    expect(await review("approve", a)).toMatchObject({ code: 1, stderr: expect.stringContaining("was approved on") });
    const edited = await review("edit", b, "--body", "Hello Tom, on 3 May. Ana");
    expect(edited).toMatchObject({ code: 0, stdout: expect.stringMatching(/written: .*\.eml/) });
    const anew = await review("respond", c, "Say: on 4 May.", "--no-learn");
    expect(anew).toMatchObject({ code: 0, stdout: expect.stringMatching(/waits now: \[[0-9a-f]+\] email/) });
    const rejected = await review("reject", d, "--reason", "Always sign my emails with Ana B.");
    expect(rejected).toMatchObject({ code: 0, stdout: expect.stringContaining("learnt (agent_instructions") });
    expect(await handle("e")).toMatchObject([{ draft: { body: expect.stringContaining("Ana B.") } }]);
    expect(JSON.parse((await review("list", "--json")).stdout).reviews).toHaveLength(2);
  });

  test("the demo shows what one feedback changes", async () => {
    using folder = temporaryFolder();
    const { stdout, code } = await runCli(["demo"], environment, folder.path("."));
    expect(stdout).toContain(`Nora's draft is now signed "Nora L.".`);
    expect(stdout).toContain("Memory is kept in postgres");
    expect(code).toBe(0);
  });
});
