import { existsSync, readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openAssistant } from "../../src/assistant.ts";
import { loadConfig } from "../../src/config.ts";
import { StoreAccess } from "../../src/memory/access.ts";
import { TemporaryData } from "../../src/memory/temporary.ts";
import { openStore } from "../../src/store/open-store.ts";
import { filesWith } from "../memory/forget-world.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { runCli } from "../support/cli.ts";

const ANA = "ana@home.example";
const EVE = "eve@evil.example";
const EVIL = "\u001b]0;PWNED\u0007\u001b[2J\rx\u0085mnemail: all fine\u009b2J";
const MAILS = [
  { user: ANA, thread: "t1", email: { id: "q1", subject: "Release", body: "Could you tell me when it is planned?" } },
  { user: ANA, thread: "t.2", email: { id: "s1", subject: "Sale", body: "Half price on chairs. Unsubscribe here." } },
  { user: EVE, thread: "t3", email: { id: "q3", subject: "Mine", body: "Could you help me with this?" } },
  { user: ANA, thread: "t4", email: { id: `id${EVIL}`, subject: EVIL, body: `Could you help with ${EVIL}?` } },
];

/** A store in a folder of its own in which the assistant handled emails in threads, with temporary data of two. */
async function mailbox({ filled = true } = {}) {
  const folder = temporaryFolder();
  const environment = { STORE_URL: `sqlite:${folder.path("memory.db")}` };
  const config = loadConfig({ environment, directory: folder.path(".") });
  const temporary = async <T>(use: (data: TemporaryData) => Promise<T>): Promise<T> => {
    await using store = await openStore(config.store);
    return await use(new TemporaryData(new StoreAccess(store, () => {})));
  };
  if (filled) {
    await using assistant = await openAssistant(config);
    for (const { user, thread, email } of MAILS) {
      const configurable = { user_id: user, thread_id: thread };
      await assistant.graph.invoke(
        { email_input: { from: "Tom <tom@work.example>", to: user, ...email } },
        { configurable },
      );
    }
    await temporary(async (data) => {
      await data.put(ANA, "t1", "choice", { draft: "long" }, { minutes: 60 });
      await data.put(EVE, "t1", "choice", "eve's");
    });
  }
  const threads = (...args: string[]) => runCli(["threads", ...args], environment);
  return { folder, environment, temporary, threads, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

const last = (text: string) => text.trim().split("\n").at(-1);

describe("threads that are looked at", () => {
  let at: Awaited<ReturnType<typeof mailbox>>;
  beforeAll(async () => {
    at = await mailbox();
  });
  afterAll(() => at[Symbol.dispose]());

  test("are listed for one user, newest first, and no more than asked for", async () => {
    const all = JSON.parse((await at.threads("list", "--user", ANA, "--json")).stdout);
    const common = { from: "Tom <tom@work.example>", updated_at: expect.any(String) };
    expect(all).toMatchObject({
      ...{ user: ANA, total: 3 },
      threads: [
        { thread_id: "t4", label: "respond", status: "interrupted" },
        { ...common, thread_id: "t.2", email_id: "s1", subject: "Sale", label: "ignore" },
        { ...common, thread_id: "t1", email_id: "q1", subject: "Release", label: "respond" },
      ],
    });
    const two = await at.threads("list", "--user", ANA, "--recent", "2");
    expect(two.stdout.trim().split("\n")).toEqual([
      expect.stringMatching(/^interrupted {2}respond {2}\S+ {2}.* \(Tom <tom@work\.example>\) {2}\[t4\]$/),
      expect.stringMatching(/^done {9}ignore {3}\S+ {2}Sale \(Tom <tom@work\.example>\) {2}\[t\.2\]$/),
    ]);
    expect(last(two.stderr)).toBe("mnemail: 2 of 3 threads; --all prints them all");
    expect((await at.threads("list", "--user", "nobody")).stdout).toMatch(/^no threads of nobody: /);
  });

  test("are shown with their emails and temporary data", async () => {
    const shown = JSON.parse((await at.threads("show", "t1", "--user", ANA, "--json")).stdout);
    expect(shown).toMatchObject({
      ...{ user: ANA, thread_id: "t1", email_id: "q1", status: "interrupted" },
      emails: [{ id: "q1", subject: "Release", label: "respond", draft: { to: "tom@work.example" } }],
      temporary: [{ key: "choice", value: { draft: "long" }, expires_at: expect.any(String) }],
    });
    const lines = (await at.threads("show", "t1", "--user", ANA)).stdout.trim().split("\n");
    expect(lines).toEqual([
      expect.stringMatching(/^interrupted .*\[t1\]$/),
      expect.stringMatching(/^ {2}respond {2}\S+ {2}Release \(Tom <tom@work\.example>\) {2}\[q1\]$/),
      expect.stringMatching(/^ {2}draft to tom@work\.example: \S/),
      expect.stringMatching(/^temporary until \S+ {2}choice: \{"draft":"long"\}$/),
    ]);
  });

  test("of another user, and of nobody, are refused in the same words", async () => {
    const refused = async (id: string, ...args: string[]) => {
      const { code, stdout, stderr } = await at.threads(...args, id, "--user", ANA);
      expect({ code, stdout, last: last(stderr) }).toEqual({
        ...{ code: 1, stdout: "" },
        last: `mnemail: thread "${id}": ${ANA} has none of that id (\`mnemail threads list --user ${ANA}\` prints the ids)`,
      });
    };
    await Promise.all(["t3", "nothing"].flatMap((id) => [refused(id, "show"), refused(id, "delete", "--yes")]));
    expect(JSON.parse((await at.threads("list", "--user", EVE, "--json")).stdout)).toMatchObject({ total: 1 });
  });

  test("with a stranger's text in them cannot steer the terminal or forge a line", async () => {
    const commands = [["list"], ["list", "--json"], ["show", "t4"], ["show", "t4", "--json"], ["show", EVIL]];
    for (const { stdout, stderr } of await Promise.all(commands.map((args) => at.threads(...args, "--user", ANA)))) {
      expect(stdout + stderr).not.toMatch(/(?!\n)\p{Cc}/u);
      expect(`${stdout}${stderr}`.split("\n").filter((line) => line.startsWith("mnemail: all fine"))).toEqual([]);
    }
  });

  test("are chosen in ways that are checked: exit code 2 for what cannot be meant", async () => {
    const wrong: [string[], RegExp][] = [
      [["delete"], /expected ids of threads, or --recent N, or --all/],
      [["delete", "t1", "--all", "--yes"], /expected ids of threads, or --recent N, or --all/],
      [["delete", "t1"], /asks before it removes, and there is no terminal.*add --yes/],
      [["list", "--recent", "0"], /--recent: saw "0"; expected a whole number from 1/],
      [["list", "--recent", "2", "--all"], /cannot be used with/],
    ];
    const answers = await Promise.all(wrong.map(([args]) => at.threads(...args, "--user", ANA)));
    for (const [i, [args, message]] of wrong.entries()) {
      expect(answers[i], args.join(" ")).toMatchObject({ code: 2, stdout: "" });
      expect(last(answers[i]?.stderr ?? "")).toMatch(message);
    }
    expect(JSON.parse((await at.threads("list", "--user", ANA, "--json")).stdout)).toMatchObject({ total: 3 });
  });
});

test("threads are deleted with their temporary data, and nobody else's", async () => {
  using at = await mailbox();
  const dry = await at.threads("delete", "--recent", "2", "--dry-run", "--user", ANA);
  expect(dry.stdout.match(/^would delete {2}(?:done|interrupted) +.*\[(t4|t\.2)\]$/gm)).toHaveLength(2);
  // One that is not the user's stops it before anything is gone.
  expect((await at.threads("delete", "t1", "t3", "--yes", "--user", ANA)).code).toBe(1);
  expect(JSON.parse((await at.threads("list", "--user", ANA, "--json")).stdout).total).toBe(3);

  const one = await at.threads("delete", "t1", "t1", "--yes", "--user", ANA, "--json");
  expect(JSON.parse(one.stdout)).toEqual({ user: ANA, deleted: ["t1"] });
  // Long-term memory still holds the email; what only the thread had is in no file of the threads.
  expect(filesWith(at.folder.path("."), "when it is planned")).toEqual(["memory.db"]);
  await at.temporary(async (data) => {
    expect(await data.list(ANA, "t1")).toEqual([]);
    expect(await data.get(EVE, "t1", "choice")).toBe("eve's");
  });
  const rest = await at.threads("delete", "--all", "--yes", "--user", ANA);
  expect(rest).toMatchObject({ code: 0, stdout: `deleted 2 threads of ${ANA}\n` });
  expect((await at.threads("delete", "--all", "--yes", "--user", ANA)).stdout).toMatch(
    new RegExp(`^no threads of ${ANA}: `),
  );
  expect(JSON.parse((await at.threads("list", "--user", EVE, "--json")).stdout)).toMatchObject({ total: 1 });
});

test("looking for threads where none were ever kept makes no file, and memory: keeps none", async () => {
  using at = await mailbox({ filled: false });
  const none = await at.threads("list", "--user", ANA);
  expect(none).toMatchObject({ code: 0, stdout: expect.stringMatching(new RegExp(`^no threads of ${ANA}: `)) });
  expect((await at.threads("delete", "--all", "--yes", "--user", ANA)).code).toBe(0);
  expect((await at.threads("show", "t1", "--user", ANA)).code).toBe(1);
  expect(existsSync(at.folder.path(".")) && readdirSync(at.folder.path("."))).toEqual([]);
  const inMemory = await runCli(["threads", "list", "--user", ANA], { STORE_URL: "memory:" });
  expect(inMemory).toMatchObject({ code: 0, stdout: expect.stringMatching(new RegExp(`^no threads of ${ANA}: `)) });
  expect(inMemory.stderr).toBe("mnemail: threads: memory: keeps them until their process ends\n");
});
