import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type OpenAssistant, openAssistant } from "../../src/assistant.ts";
import { parseForm, renderForm } from "../../src/cli/review-form.ts";
import { loadConfig } from "../../src/config.ts";
import { cleanText, emailSchema, oneLine } from "../../src/email.ts";
import type { EmailResult } from "../../src/handle.ts";
import type { ScriptedAnswer } from "../../src/stand-in/scripted.ts";
import { startStandIn } from "../../src/stand-in/server.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { type CliResult, jsonLines, runCli } from "../support/cli.ts";
import { KEYS, noTerminal, openTerminal } from "../support/terminal.ts";

const ANA = "ana@home.example";
const EVIL = "\u001b]0;PWNED\u0007\u001b[2J\rx\u0085mnemail: all fine\u009b2J\u202e";
const QUESTION = {
  ...{ id: "q1@work.example", from: "Tom Berg <tom@work.example>", to: ANA },
  ...{ subject: "Plan", body: "Could you send me the plan?" },
};
const NEWS = {
  ...{ id: "n1@ci.example", from: "Builds <builds@ci.example>", to: ANA },
  ...{ subject: "Build failed", body: "The nightly build failed at step 3." },
};
const LEAVE = "Please remember that I am on leave every Friday.";
const THURSDAY = "2031-03-13T10:00";
const MEETING = { title: "Review", attendees: ["tom@work.example"], start: THURSDAY, duration_minutes: 30 };
const DRAFT = { to: "tom@work.example", subject: "Re: Plan", body: "Hello Tom,\n\nhere it is.\n\nAna" };

/** A folder with a store in which emails were handled, and the command line on it; `answers` are the model's. */
async function mailbox(emails: readonly object[] = [QUESTION], answers: ScriptedAnswer[] = []) {
  const folder = temporaryFolder();
  const model = await startStandIn({ answers });
  const environment = {
    ...{ STORE_URL: `sqlite:${folder.path("m.db")}`, OUTBOX_PATH: folder.path("outbox"), MEMORY_EXTRACTION: "off" },
    ...{ OPENAI_BASE_URL: model.url, MODEL_MAX_RETRIES: "0" },
  };
  const config = loadConfig({ environment, directory: folder.path(".") });
  /** What needs no process of its own, since it is not what is tested. */
  const within = async <T>(use: (assistant: OpenAssistant) => Promise<T>): Promise<T> => {
    await using assistant = await openAssistant(config);
    return await use(assistant);
  };
  const handle = (mails: readonly object[]) =>
    within(async ({ handle: one }) => {
      const results: EmailResult[] = [];
      for (const each of mails) results.push(await one(ANA, emailSchema.parse(each)));
      return results;
    });
  await handle(emails);
  const mnemail = (args: readonly string[], more: Record<string, string> = {}): Promise<CliResult> =>
    runCli([...args, "--user", ANA], { ...environment, ...more }, folder.path("."));
  return {
    ...{ folder, environment, mnemail, handle, within },
    review: (...args: string[]) => mnemail(["review", ...args]),
    waiting: () => within(({ reviews }) => reviews.list(ANA)),
    outbox: () => {
      const all = existsSync(folder.path("outbox")) ? readdirSync(folder.path("outbox"), { recursive: true }) : [];
      return all.map(String).filter((name) => /\.(?:eml|ics)$/.test(name));
    },
    read: (path: string) => readFileSync(path, "utf8"),
    async [Symbol.asyncDispose]() {
      await model.close();
      folder[Symbol.dispose]();
    },
  };
}

const last = (text: string) => text.trim().split("\n").at(-1) ?? "";
const withoutAges = (text: string) => text.replace(/\d+ min/g, "");
const pathIn = (stdout: string) => /written: (\S+)/.exec(stdout)?.[1] ?? "";

describe("what waits", () => {
  test("is listed newest first with ids that can be typed, and shown whole by one, or by the id of its email", async () => {
    await using at = await mailbox([QUESTION, NEWS]);
    const [first, second] = await at.waiting();
    expect([first?.email.id, second?.email.id]).toEqual([NEWS.id, QUESTION.id]);
    const list = await at.review("list");
    expect(list.stdout.split("\n").slice(0, 2)).toEqual([
      expect.stringMatching(/^\[[0-9a-f]{8}\] {4}\d min {2}notice {4}builds@ci\.example {15}Build failed$/),
      expect.stringMatching(/^\[[0-9a-f]{8}\] {4}\d min {2}email {5}tom@work\.example {16}Plan$/),
    ]);
    // Plain, and in a pipe, it is the list.
    expect(withoutAges((await at.review()).stdout)).toBe(withoutAges(list.stdout));

    const shown = await at.review("show", second?.id.slice(0, 8) ?? "");
    expect(shown.stdout).toContain("  | Could you send me the plan?");
    expect(shown.stdout).toMatch(
      /^would be sent\n {2}From: ana@home\.example\n {2}To: tom@work\.example\n {2}Subject: Re: Plan\n\n {2}\| Hello Tom,$/m,
    );
    expect(shown.stdout).toMatch(/^your answer would teach\n {2}approve: /m);
    expect(last(shown.stdout)).toBe(
      `answer by: mnemail review approve|edit|reject|respond --user ${ANA} ${second?.id.slice(0, 8)}`,
    );
    expect((await at.review("show", QUESTION.id)).stdout).toBe(shown.stdout);
    const asJson = jsonLines((await at.review("list", "--json")).stdout);
    expect(asJson).toMatchObject([{ user: ANA, elsewhere: 0, reviews: [{ id: first?.id }, { id: second?.id }] }]);
  });

  test("of nobody is nothing; what is unknown, or cannot be reached, is one line and exit code 1", async () => {
    await using at = await mailbox([NEWS]);
    const wrong = [
      [["show", "ffffffffffffffff"], /ffffffffffffffff.*has none of that id/],
      [["show", `nobody@${EVIL}`], /nothing waits under that id, nor for that email/],
      [["list", "--server", "http://127.0.0.1:9"], /LangGraph server: failed/],
    ] as const;
    const asNobody = (...args: string[]) =>
      runCli(["review", ...args, "--user", "nobody"], at.environment, at.folder.path("."));
    const [nobody, foreign, ...results] = await Promise.all([
      asNobody("list"),
      asNobody("show", NEWS.id),
      ...wrong.map(([args]) => at.review(...args)),
    ]);
    expect(nobody).toMatchObject({ code: 0, stdout: "nothing of nobody's mail waits for your word\n" });
    expect(foreign).toMatchObject({ code: 1, stdout: "" });
    for (const [i, [args, says]] of wrong.entries()) {
      expect(results[i], args.join(" ")).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(says) });
      expect(results[i]?.stderr).not.toMatch(/(?!\n)\p{Cc}|\bat .*:\d+:\d+/u);
    }
  });

  test("with a stranger's text in it cannot steer the terminal or forge a line", async () => {
    const emails = [{ ...QUESTION, subject: EVIL, body: `Could you help?\n${EVIL}\n[00000000] approve this` }];
    await using at = await mailbox(emails, [
      {
        when: { tool: "write_email" },
        tool_calls: [{ name: "write_email", args: { ...DRAFT, subject: EVIL, body: EVIL } }],
      },
    ]);
    const reads = [["list"], ["list", "--json"], ["show", QUESTION.id]];
    const results = await Promise.all(reads.map((args) => at.review(...args)));
    for (const { code, stdout, stderr } of [...results, await at.review("approve", QUESTION.id)]) {
      expect(code, stderr).toBe(0);
      expect(stdout + stderr).not.toMatch(/(?!\n)[\p{Cc}\u202e]/u);
      const forged = /^(?:mnemail: all fine|\[0{8}\])/;
      expect(`${stdout}${stderr}`.split("\n").filter((line) => forged.test(line))).toEqual([]);
    }
  });
});

describe("an answer", () => {
  test("approve writes exactly what was shown, once, and learns; --dry-run changes nothing; decided already is said", async () => {
    await using at = await mailbox();
    const [waits] = await at.waiting();
    const id = waits?.id ?? "";
    const dry = await at.review("approve", id, "--dry-run");
    expect(dry).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^dry run: nothing was changed\nwould approve \[/),
    });
    expect(dry.stdout).toContain("would keep the example q1@work.example: respond (confirmed)");
    expect([await at.waiting(), at.outbox()]).toEqual([[waits], []]);

    const approved = await at.review("approve", id.slice(0, 8));
    expect(approved).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^approved \[[0-9a-f]{8}\] email to tom@work\.example: "Re: Plan"\n {2}written: /),
    });
    expect(approved.stdout).toContain("example q1@work.example: respond (confirmed)");
    expect(at.read(pathIn(approved.stdout))).toMatch(/^To: tom@work\.example\r?$/m);
    expect(at.outbox()).toHaveLength(1);

    const again = await at.review("approve", id);
    expect(again).toMatchObject({ code: 1, stdout: "" });
    expect(last(again.stderr)).toMatch(/approved? on 2/);
    expect(at.outbox()).toHaveLength(1);
    expect(await at.review("list")).toMatchObject({ stdout: `nothing of ${ANA}'s mail waits for your word\n` });
  });

  test("several are answered in one go; one that cannot be does not keep the next from its turn; --no-learn learns nothing", async () => {
    await using at = await mailbox([QUESTION, NEWS]);
    const none = "0".repeat(16);
    const answered = await at.review("approve", none, QUESTION.id, NEWS.id, "--no-learn", "--json");
    expect(answered.code).toBe(1);
    const decision = { type: "approve", learn: false };
    expect(jsonLines(answered.stdout)).toMatchObject([
      { id: none, error: expect.any(String) },
      { user: ANA, decision, acted: { kind: "email", status: "written" }, receipt: null, next: [] },
      { user: ANA, decision, acted: null, receipt: null },
    ]);
    const examples = await at.mnemail(["memory", "examples", "list", "--json"]);
    expect(examples.stdout).not.toContain(QUESTION.id);
  });

  test("of two that come at once, one is done and the other told so", async () => {
    await using at = await mailbox();
    const id = (await at.waiting())[0]?.id ?? "";
    const both = await Promise.all([at.review("approve", id), at.review("reject", id)]);
    expect(both.map(({ code }) => code).sort()).toEqual([0, 1]);
    const loser = both.find(({ code }) => code === 1);
    expect(last(loser?.stderr ?? "")).toMatch(/approved|rejected|at work/);
    expect(at.outbox()).toHaveLength(both[0]?.code === 0 ? 1 : 0);
    expect(await at.waiting()).toEqual([]);
  });

  test("reject with a reason teaches, and the next email differs", async () => {
    await using at = await mailbox();
    const rejected = await at.review("reject", QUESTION.id, "--reason", "Always sign my emails with Ana B.");
    expect(rejected).toMatchObject({ code: 0, stdout: expect.stringMatching(/^rejected \[/) });
    expect(rejected.stdout).toContain("learnt (agent_instructions, version 1): Always sign my emails with Ana B.");
    expect(at.outbox()).toEqual([]);
    await at.handle([{ ...QUESTION, id: "q2@work.example" }]);
    expect((await at.review("show", "q2@work.example")).stdout).toContain("  | Ana B.");
  });

  test("reject of a notice relabels it: such an email is ignored from then on", async () => {
    await using at = await mailbox([NEWS]);
    const rejected = await at.review("reject", NEWS.id);
    expect(rejected.stdout).toMatch(
      /^rejected \[[0-9a-f]{8}\] notice of "Build failed"[\s\S]*example n1@ci\.example: ignore \(was notify\)/,
    );
    expect(await at.handle([{ ...NEWS, id: "n2@ci.example" }])).toMatchObject([{ label: "ignore" }]);
    expect(await at.waiting()).toEqual([]);
  });

  test("respond has the assistant write again, and names what waits now", async () => {
    const call = (body: string) => ({ name: "write_email", args: { ...DRAFT, body } });
    await using at = await mailbox(
      [QUESTION],
      [
        { when: { tool: "write_email", contains: "Say Thursday" }, tool_calls: [call("Hello Tom, on Thursday.")] },
        { when: { tool: "write_email" }, tool_calls: [call("Hello Tom, here it is.")] },
      ],
    );
    const answered = await at.review("respond", QUESTION.id, "Say Thursday suits me.");
    expect(answered).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^answered \[[\s\S]*^waits now: \[[0-9a-f]{8}\] email to tom/m),
    });
    expect((await at.review("show", QUESTION.id)).stdout).toContain("  | Hello Tom, on Thursday.");
    expect(at.outbox()).toEqual([]);
  });

  test("a question of the assistant is answered, and cannot be approved or edited", async () => {
    const ask = { name: "ask_user", args: { question: "Which plan does he mean?" } };
    await using at = await mailbox(
      [QUESTION],
      [
        { when: { tool: "ask_user", contains: "The one of May" }, tool_calls: [{ name: "write_email", args: DRAFT }] },
        { when: { tool: "ask_user" }, tool_calls: [ask] },
      ],
    );
    expect((await at.review("list")).stdout).toContain(
      "question  tom@work.example                Plan | asks: Which plan does he mean?",
    );
    expect(await at.review("approve", QUESTION.id)).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("expected respond, reject"),
    });
    expect(await at.review("edit", QUESTION.id, "--body", "May")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("a question cannot be edited"),
    });
    const answered = await at.review("answer", QUESTION.id, "The one of May.");
    expect(answered.stdout).toMatch(/^answered \[[0-9a-f]{8}\] question: Which plan/);
    expect(answered.stdout).toContain('email to tom@work.example: "Re: Plan"');
  });

  test("that was cut off after it was given is finished by resume, or by the next command", async () => {
    await using at = await mailbox();
    const down = { OPENAI_BASE_URL: "http://127.0.0.1:9/v1" };
    const cut = await at.mnemail(["review", "respond", QUESTION.id, "Say Thursday suits me."], down);
    expect(cut).toMatchObject({ code: 1, stdout: "" });
    const still = await at.mnemail(["review", "resume"], down);
    expect(still).toMatchObject({ code: 1, stdout: "finished 0 of 1 thread that were cut off\n" });
    const list = await at.review("list");
    expect(list.stderr).toMatch(/thread \S+: finished what was cut off after an earlier answer/);
    expect(list.stdout).toMatch(/^\[[0-9a-f]{8}\] .*Plan$/m);
    expect(await at.review("resume")).toMatchObject({ code: 0, stdout: "nothing was cut off\n" });
  });

  test("that is wrong usage is one line and exit code 2", async () => {
    const wrong: [string[], RegExp][] = [
      [["reject", "x", "--reason", " "], /--reason: saw no text/],
      [["respond", "x", ""], /respond: saw no text/],
      [["list", "--server", "nowhere"], /--server: expected an address such as/],
      [["list", "--token", "t"], /--token: is for --server URL/],
      [["edit", "x", "--file", "f", "--body", "b"], /cannot be used with option/],
      [["approve"], /missing required argument 'ids'/],
    ];
    const run = (args: string[]) => runCli(["review", ...args, "--user", ANA], { STORE_URL: "memory:" });
    const results = await Promise.all(wrong.map(([args]) => run(args)));
    for (const [i, [args, says]] of wrong.entries()) {
      expect(results[i], args.join(" ")).toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(says) });
      expect(results[i]?.stderr).not.toMatch(/\bat .*:\d+:\d+/);
    }
  });
});

/** A program that stands for the user's editor: a shell script that is given the path. */
function editorThat(does: string, folder: ReturnType<typeof temporaryFolder>): string {
  const path = folder.path("editor.sh");
  writeFileSync(path, `#!/bin/sh\n${does}\n`);
  chmodSync(path, 0o755);
  return path;
}

describe("an edit", () => {
  test("in the editor is approved as it is then, and teaches by the words put in", async () => {
    await using at = await mailbox();
    const sees = 'cp "$1" seen.txt; ls -l "$1" > mode.txt; ';
    const EDITOR = editorThat(
      `${sees}printf 'Subject: The plan\\n\\nHello Tom,\\n\\nattached.\\n\\nKind regards\\nAna B.\\n' > "$1"`,
      at.folder,
    );
    const edited = await at.mnemail(["review", "edit", QUESTION.id], { EDITOR });
    expect(edited, edited.stderr).toMatchObject({ code: 0 });
    expect(edited.stdout).toMatch(/^approved as edited \[[0-9a-f]{8}\] email to tom@work\.example: "The plan"/);
    expect(edited.stdout).toMatch(/learnt \(agent_instructions, version 1\): Sign emails with/);
    expect(at.read(at.folder.path("seen.txt"))).toMatch(/^Subject: Re: Plan\n\nHello Tom,\n/);
    expect(at.read(at.folder.path("mode.txt"))).toMatch(/^-rw-------/);
    expect(at.read(pathIn(edited.stdout))).toMatch(/^Subject: The plan\r?$/m);
    // Nothing is left of the file.
    expect(existsSync(/(\/\S+\.txt)$/m.exec(at.read(at.folder.path("mode.txt")))?.[1] ?? "")).toBe(false);
  });

  test("that cannot be read stays in its file, whose path goes on", async () => {
    await using at = await mailbox();
    const EDITOR = editorThat(`printf 'Hello Tom,\\nI typed for an hour.\\n' > "$1"`, at.folder);
    const failed = await at.mnemail(["review", "edit", QUESTION.id], { EDITOR });
    expect(failed).toMatchObject({ code: 1, stdout: "" });
    expect(failed.stderr).toMatch(/line 1: saw "Hello Tom,"; expected `Subject: …`, then an empty line/);
    const [, path = ""] = /what you typed is kept.* --file (\S+)$/m.exec(failed.stderr) ?? [];
    expect(readFileSync(path, "utf8")).toContain("I typed for an hour.");
    writeFileSync(path, `Subject: Plan\n\n${readFileSync(path, "utf8")}`);
    const edited = await at.review("edit", QUESTION.id, "--file", path, "--no-learn");
    expect(edited, edited.stderr).toMatchObject({ code: 0 });
    expect(at.read(pathIn(edited.stdout))).toContain("I typed for an hour.");
    rmSync(dirname(path), { recursive: true });
  });

  test("that changes nothing, an editor that fails, and none at all answer nothing", async () => {
    await using at = await mailbox();
    const id = (await at.waiting())[0]?.id;
    const edit = (EDITOR: string) => at.mnemail(["review", "edit", QUESTION.id], { EDITOR, VISUAL: "" });
    expect(await edit("true")).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/nothing was changed; to approve it as it is: mnemail review approve/),
    });
    expect(await edit("exit 3; true")).toMatchObject({ code: 1, stderr: expect.stringContaining("ended with 3") });
    expect(await edit("")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("set VISUAL or EDITOR, or give --body"),
    });
    expect(await at.review("edit", QUESTION.id, "--subject", "Re: Plan")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("nothing was changed"),
    });
    expect((await at.waiting())[0]?.id).toBe(id);
    expect(at.outbox()).toEqual([]);
  });

  test("of a meeting takes its fields, and a time that cannot be is refused", async () => {
    const calls = [
      { name: "schedule_meeting", args: MEETING },
      { name: "write_email", args: DRAFT },
    ];
    await using at = await mailbox([QUESTION], [{ when: { tool: "schedule_meeting" }, tool_calls: calls }]);
    const list = await at.review("list");
    expect(list.stdout).toContain("Plan | Thu 2031-03-13 10:00 (30 min)");
    const meeting = (await at.waiting()).find(({ action }) => action.name === "schedule_meeting")?.id ?? "";
    const both = await at.review("approve", QUESTION.id);
    expect(last(both.stderr)).toMatch(/meeting Thu 2031-03-13 10:00[\s\S]*name one of them by its id/);
    const refused = [
      ["--start", "2031-02-30 10:00", 1, /local time that exists/],
      ["--attendee", "eve@evil.example", 1, /attendee must be one address from From, To or Cc/],
      ["--body", "x", 2, /--body: this is a meeting/],
    ] as const;
    const results = await Promise.all(refused.map(([option, value]) => at.review("edit", meeting, option, value)));
    for (const [i, [option, , code, says]] of refused.entries()) {
      expect(results[i], option).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(says) });
    }
    const edited = await at.review("edit", meeting, "--start", "2031-03-14 11:30", "--duration", "1h15");
    expect(edited.stdout).toMatch(
      /^approved as edited \[[0-9a-f]{8}\] meeting Fri 2031-03-14 11:30 \(1 h 15 min\): "Review"/,
    );
    expect((await at.waiting()).map(({ action }) => action.name)).toEqual(["write_email"]);
  });

  // What is invisible was taken out of a draft when it was made.
  const line = fc.string({ unit: "grapheme", maxLength: 40 }).map((text) => oneLine(cleanText(text)));

  test("of any email that is not touched is no change, and one word more is that change alone", () => {
    fc.assert(
      fc.property(line, fc.array(line, { minLength: 1, maxLength: 5 }), line, (subject, lines, word) => {
        const action = {
          name: "write_email" as const,
          args: { to: "t@x.example", subject, body: `Hi\n${lines.join("\n")}\nx`.trimEnd() },
        };
        expect(parseForm(renderForm(action), action, "f")).toEqual({ subject, body: action.args.body });
        const more = `${renderForm(action).replace(/\n$/, "")} ${word}y\r\n`;
        expect(parseForm(more, action, "f")).toEqual({ subject, body: `${action.args.body} ${word}y` });
      }),
    );
  });

  test("of a meeting reads back what it shows, and people's ways to write times", () => {
    const action = { name: "schedule_meeting" as const, args: { ...MEETING, duration_minutes: 90 } };
    const form = renderForm(action);
    expect(form).toBe("Title: Review\nStart: 2031-03-13 10:00\nDuration: 1 h 30 min\nAttendees: tom@work.example\n");
    expect(parseForm(form, action, "f")).toEqual(action.args);
    const changed = "start: Fri 2031-03-14  09:05\ntitle: A: b\n\nDuration: 45\nATTENDEES:\n";
    expect(parseForm(changed, action, "f")).toEqual({
      title: "A: b",
      start: "2031-03-14T09:05",
      duration_minutes: 45,
      attendees: [],
    });
    for (const [text, says] of [
      [form.replace("Title: Review\n", ""), /f: has no line Title:/],
      [`${form}Room: 3\n`, /f: line 5: saw "Room: 3"/],
      [`${form}Title: again\n`, /f: line 5: saw "Title: again"/],
      [form.replace("tom@work.example", "tom"), /f: attendees: saw "tom"/],
      [form.replace("2031-03-13", "tomorrow"), /f: start: saw "tomorrow 10:00"; expected such as 2026-03-09 10:00/],
      [form.replace("1 h 30 min", "long"), /f: duration: saw "long"; expected such as 45 min or 1 h 30 min/],
    ] as const) {
      expect(() => parseForm(text, action, "f")).toThrow(says);
    }
  });
});

describe.skipIf(noTerminal !== undefined)("on a terminal", () => {
  test("goes through what waits: approve, reject with a reason, skip; what was learnt shows, and what is left", async () => {
    await using at = await mailbox([
      QUESTION,
      { ...QUESTION, id: "q2@work.example", subject: "Second", body: `${LEAVE} Could you send me the plan?` },
      NEWS,
    ]);
    const terminal = openTerminal(["review", "--user", ANA], at.environment, at.folder.path("."));
    await terminal.shows("Build failed");
    await terminal.shows("What should be done?");
    await terminal.shows("skip");
    terminal.type(KEYS.enter);
    await terminal.shows("seen [");
    await terminal.shows("would be sent");
    await terminal.shows("What should be done?");
    await terminal.shows("skip");
    // approve, approve and learn nothing, edit, reject
    terminal.type(KEYS.down.repeat(3) + KEYS.enter);
    await terminal.shows("Why?");
    terminal.type(`Always sign my emails with Ana B.${KEYS.enter}`);
    await terminal.shows("would learn (agent_instructions, version 1): Always sign my emails with Ana B.");
    await terminal.shows("learn nothing");
    terminal.type(KEYS.enter);
    await terminal.shows("learnt (agent_instructions, version 1)");
    await terminal.shows("it would like to remember: I am on leave every Friday");
    await terminal.shows("decide later");
    terminal.type(KEYS.enter);
    await terminal.shows("approved [fact-");
    await terminal.shows("What should be done?");
    await terminal.shows("quit");
    terminal.type(KEYS.interrupt);
    await terminal.shows("answered: 1 approve, 1 reject; 1 review not answered");
    expect(await terminal.ended()).toBe(0);
    expect((await at.waiting()).map(({ email }) => email.id)).toEqual([QUESTION.id]);
    expect(at.outbox()).toEqual([]);
  });

  test("an edit shows what it would teach, and is approved without learning where the user says so", async () => {
    await using at = await mailbox();
    const EDITOR = editorThat(
      `printf 'Subject: The plan\\n\\nattached.\\n\\nKind regards\\nAna B.\\n' > "$1"`,
      at.folder,
    );
    const terminal = openTerminal(
      ["review", "edit", "--user", ANA, QUESTION.id],
      { ...at.environment, EDITOR },
      at.folder.path("."),
    );
    await terminal.shows("would learn (agent_instructions, version 1)");
    await terminal.shows("leave it");
    terminal.type(KEYS.down + KEYS.enter);
    await terminal.shows("approved as edited");
    expect(await terminal.ended()).toBe(0);
    expect(at.outbox()).toHaveLength(1);
    const history = await at.mnemail(["memory", "history", "agent_instructions", "--json"]);
    expect(jsonLines(history.stdout)).toMatchObject([{ versions: [{ version: 0 }] }]);
  });
});

test.runIf(noTerminal !== undefined)(`on a terminal: not tested, since ${noTerminal}`, () => {});
