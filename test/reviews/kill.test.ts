import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryFolder } from "../support/assistant.ts";
import { jsonLines } from "../support/cli.ts";
import { startPostgres } from "../support/postgres.ts";
import { cutReportSchema, type Request, recoveryReportSchema } from "./killed-run.ts";

const PROGRAM = fileURLToPath(new URL("./killed-run.ts", import.meta.url));

/** Runs a process to its end; returns the lines it printed and the signal that ended it. */
async function runProcess(request: Request): Promise<{ lines: unknown[]; signal: string | null; stderr: string }> {
  const args = ["--import", import.meta.resolve("tsx"), PROGRAM, JSON.stringify(request)];
  const { PATH = "", HOME = "" } = process.env;
  const child = spawn(process.execPath, args, { env: { PATH, HOME }, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  await once(child, "close");
  return { lines: jsonLines(stdout), signal: child.signalCode, stderr };
}

type Cuts = Extract<Request, { do: "cut" }>["cuts"];
type How = Extract<Request, { do: "recover" }>["users"][number]["how"];

/** Cuts runs off and kills the process, lets another go on as `how` says of each cut's name, and returns what is there. */
async function killAndRecover(url: string, cuts: Cuts, last: Cuts[number], how: Record<string, How>) {
  using folder = temporaryFolder();
  writeFileSync(folder.path("busy.ics"), "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test\r\nEND:VCALENDAR\r\n");
  const place = { url: url || `sqlite:${folder.path("memory.db")}`, folder: folder.path(".") };
  const killed = await runProcess({ do: "cut", ...place, cuts, last });
  expect(killed.signal, killed.stderr).toBe("SIGKILL");
  const runs = killed.lines.map((line) => cutReportSchema.parse(line));
  const users = runs.map(({ user, name }) => ({ user, how: how[name] ?? ("resume" as const) }));
  const recovered = await runProcess({ do: "recover", ...place, users });
  expect(recovered.signal, recovered.stderr).toBeNull();
  const found = recovered.lines.map((line) => recoveryReportSchema.parse(line));
  expect(found.length, recovered.stderr).toBe(runs.length);
  return runs.map((run, i) => {
    const there = found[i];
    if (!there) throw new Error(`${run.user}: not looked at`);
    return { ...run, there };
  });
}

/** The draft and the meeting, each approved, done and learnt from once; one draft waited, or none any more. */
const ONCE = {
  ...{ errors: [], drafts: expect.toBeOneOf([0, 1]), waiting: 0, decided: ["approve", "approve"], undone: 0 },
  ...{ emails: 1, events: 1, receipts: ["accepted_draft"], unlearnt: 0 },
};

/** Starting a process takes seconds where others compute. */
const TIMEOUT_MS = 300_000;

describe("a run that is killed between any two writes goes on, and nothing is done twice", () => {
  let runs: Awaited<ReturnType<typeof killAndRecover>>;
  const named = (name: string) => runs.filter((run) => run.name === name);
  beforeAll(async () => {
    const cuts: Cuts = [
      { what: "handle", name: "handled", step: 1 },
      { what: "write_email", name: "draft", step: 1 },
      { what: "schedule_meeting", name: "meeting", step: 1 },
      { what: "write_email", name: "regretted", step: 1 },
      { what: "write_email", name: "followed", step: 1 },
    ];
    const last = { what: "write_email", name: "at-once", step: 1 } as const;
    runs = await killAndRecover("", cuts, last, { regretted: "reject", followed: "write again" });
  }, TIMEOUT_MS);

  test("the kills come before every write, up to a run that comes through", () => {
    for (const name of ["handled", "draft", "meeting", "regretted", "followed"]) {
      const own = named(name);
      expect(own.map(({ through }) => through)).toEqual(own.map((_, i) => i === own.length - 1));
      expect(own.map(({ writes }) => writes)).toEqual(own.map((_, i) => i));
    }
    const kinds = named("draft").map(({ last }) => last);
    expect(kinds).toEqual(expect.arrayContaining(["put", "putWrites", "putIf", "batch", "write_email"]));
    expect(named("meeting").map(({ last }) => last)).toContain("schedule_meeting");
  });

  test("while an email is handled: one draft and one meeting wait afterwards", () => {
    for (const { there, user, last } of named("handled")) {
      expect(there, `${user}, killed after ${last}`).toMatchObject({ ...ONCE, drafts: 1 });
    }
  });

  test.each(["draft", "meeting", "at-once"])("while one is approved: %s", (name) => {
    for (const { there, user, last } of named(name)) {
      expect(there, `${user}, killed after ${last}`).toMatchObject(ONCE);
    }
  });

  test("who changes their mind after the kill is told what holds: the email is sent or rejected, not both", () => {
    const outcomes = named("regretted").map(({ there }) => {
      const { errors, waiting, undone, unlearnt } = there;
      expect({ errors, waiting, undone, unlearnt }).toEqual({ errors: [], waiting: 0, undone: 0, unlearnt: 0 });
      return [there.decided.join("+"), there.emails, there.events, there.receipts.length].join();
    });
    // The meeting shares the draft's fate where the user could still see both.
    expect(new Set(outcomes)).toEqual(
      new Set(["reject+reject,0,0,0", "approve+approve,1,1,1", "approve+reject,1,0,1"]),
    );
  });

  test("what was approved is carried out although the sender writes again first", () => {
    for (const { there, user, last } of named("followed")) {
      expect(there, `${user}, killed after ${last}`).toMatchObject({
        ...{ errors: [], waiting: 0, decided: ["approve", "approve", "approve"], undone: 0, emails: 2, events: 1 },
        ...{ receipts: ["accepted_draft", "accepted_draft"], unlearnt: 0 },
      });
    }
  });
});

describe("on PostgreSQL", () => {
  let server: Awaited<ReturnType<typeof startPostgres>>;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(async () => {
    await server?.stop();
  });

  test(
    "a run that is killed goes on, and nothing is done twice",
    async ({ skip }) => {
      if (!server) return skip("no PostgreSQL server here");
      const cuts: Cuts = [
        { what: "handle", name: "handled", step: 4 },
        { what: "write_email", name: "draft", step: 2 },
        { what: "schedule_meeting", name: "meeting", step: 3 },
      ];
      const runs = await killAndRecover(server.url, cuts, { what: "schedule_meeting", name: "at-once", step: 1 }, {});
      for (const { there, user, last } of runs) {
        expect(there, `${user}, killed after ${last}`).toMatchObject(ONCE);
      }
    },
    TIMEOUT_MS,
  );
});
