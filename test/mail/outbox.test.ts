import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import ICAL from "ical.js";
import { describe, expect, test } from "vitest";
import { addressList, oneLine } from "../../src/email.ts";
import { MnemailError } from "../../src/errors.ts";
import { DEFAULT_WORKING_HOURS, loadCalendar } from "../../src/mail/calendar.ts";
import { parseEml } from "../../src/mail/eml.ts";
import { tidy } from "../../src/mail/html.ts";
import { composeEmail } from "../../src/mail/outbox/compose.ts";
import { createFileOutbox, type OutgoingEmail, type OutgoingEvent } from "../../src/mail/outbox.ts";
import { temporaryFolder } from "../support/assistant.ts";

const AT = new Date("2026-03-02T08:00:00Z");
const EMAIL: OutgoingEmail = {
  key: "k1",
  userId: "ana@home.example",
  from: "Ana Berg <ana@home.example>",
  to: "bob@work.example",
  subject: "Re: Møte i mars",
  body: "Hei Bob,\n\nja, gjerne.\n\nAna",
  inReplyTo: "parent@work.example",
  references: ["root@work.example", "middle@home.example"],
  at: AT,
};
const EVENT: OutgoingEvent = {
  key: "k1",
  userId: "ana@home.example",
  title: "Planning",
  attendees: ["bob@work.example"],
  start: new Date("2026-03-10T09:30:00Z"),
  durationMinutes: 45,
  organizer: "ana@home.example",
  at: AT,
};
const CALENDAR = [
  ...["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Other//EN", "X-OWN:a b\\,c  "],
  ...[
    "BEGIN:VEVENT",
    "UID:theirs@other",
    "DTSTAMP:20260101T000000Z",
    "DTSTART:20260310T120000Z",
    "DTEND:20260310T130000Z",
  ],
  ...["SUMMARY:Lunch – ", " folded", "END:VEVENT", "END:VCALENDAR", ""],
];

async function refusal(acting: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error: unknown = await acting.catch((thrown: unknown) => thrown);
  if (!(error instanceof MnemailError)) throw new Error(`expected a MnemailError, saw ${String(error)}`);
  expect(error.message).not.toContain("\n");
  return { code: error.code, message: error.message };
}

/** Every file below a folder, hidden ones too. */
async function files(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return found.flatMap((entry) => (entry.isDirectory() ? [] : [entry.name])).sort();
}

async function busyTimes(path: string): Promise<string[]> {
  const calendar = await loadCalendar(path);
  const options = { timeZone: "UTC", workingHours: DEFAULT_WORKING_HOURS };
  return calendar
    .availability(["2026-03-10"], options)
    .flatMap(({ busy }) => busy.map((each) => `${each.start}-${each.end}`));
}

const WRITER = ["--import", import.meta.resolve("tsx"), join(process.cwd(), "test/mail/outbox-writer.ts")];

/** Runs a process that acts through an outbox; see outbox-writer.ts. Returns how it ended. */
async function runWriter(request: object): Promise<{ signal: string | null; code: number | null }> {
  const child = spawn(process.execPath, [...WRITER, JSON.stringify(request)], { stdio: "ignore" });
  const [code, signal] = await once(child, "exit");
  return { code, signal };
}

/** Kills one writer before each of its calls of the file system in turn; `check` is told the folder of each. */
async function killEverywhere(
  request: object,
  prepare: (folder: string) => Promise<object>,
  check: (folder: string) => Promise<void>,
): Promise<number> {
  using folder = temporaryFolder();
  let steps = 0;
  for (let first = 1; ; first += 4) {
    const ended = await Promise.all(
      [0, 1, 2, 3].map(async (n) => {
        const own = folder.path(`step-${first + n}`);
        await mkdir(own);
        const place = await prepare(own);
        const { signal, code } = await runWriter({ ...request, ...place, folder: join(own, "out"), killAt: first + n });
        expect(signal ?? code).toBe(signal === null ? 0 : "SIGKILL");
        await check(own);
        return signal === null;
      }),
    );
    steps += ended.filter((isDone) => !isDone).length;
    if (ended.includes(true)) return steps;
  }
}

describe("an email", () => {
  test("is a file that a mail program opens in the right conversation", async () => {
    using folder = temporaryFolder();
    const outbox = createFileOutbox({ folder: folder.path("out") });
    const acted = await outbox.writeEmail(EMAIL);
    expect(acted).toEqual({ status: "written", path: folder.path("out/ana@home=2Eexample/k1.eml") });
    const { email } = await parseEml(await readFile(acted.path));
    expect(email).toEqual({
      ...{ id: "k1@home.example", message_id: "k1@home.example", thread_id: "root@work.example" },
      ...{ from: EMAIL.from, to: EMAIL.to, subject: EMAIL.subject, body: EMAIL.body, date: "2026-03-02T08:00:00.000Z" },
      references: ["root@work.example", "middle@home.example", "parent@work.example"],
    });
  });

  test("has the headers it needs and no others, in lines that end in CRLF", async () => {
    const text = (await composeEmail(EMAIL)).toString("latin1");
    expect(text.replace(/\r\n/g, "")).not.toMatch(/[\r\n]/);
    expect(text.split("\r\n\r\n")[0]?.split("\r\n")).toEqual([
      "Content-Transfer-Encoding: quoted-printable",
      "From: Ana Berg <ana@home.example>",
      "To: bob@work.example",
      "In-Reply-To: <parent@work.example>",
      "References: <root@work.example> <middle@home.example> <parent@work.example>",
      "Subject: =?UTF-8?Q?Re=3A_M=C3=B8te_i_mars?=",
      "Message-ID: <k1@home.example>",
      "Date: Mon, 02 Mar 2026 08:00:00 +0000",
      "MIME-Version: 1.0",
      "Content-Type: text/plain; charset=utf-8",
    ]);
  });

  test("of somebody who wrote without an id begins a conversation", async () => {
    const { email } = await parseEml(await composeEmail({ ...EMAIL, inReplyTo: undefined, references: [] }));
    expect(email).not.toHaveProperty("references");
    expect(email.thread_id).toBe("k1@home.example");
  });

  test("whatever its texts hold, they arrive, and no header comes of them", async () => {
    const wild = fc.oneof(
      fc.string({ unit: "binary", maxLength: 300, size: "max" }),
      fc.string({
        unit: fc.constantFrom("\r", "\n", ".", " ", "=", "?", "a", "\t", "é", "😀", ":"),
        maxLength: 300,
        size: "max",
      }),
      fc.constantFrom(
        ".\r\n.\r\nQUIT",
        "x".repeat(5_000),
        "x\r\nBcc: eve@evil.example\r\n\r\nx",
        "From me\n=?utf-8?q?=0D=0AX:?=",
      ),
    );
    const expected =
      /^(?:Content-Transfer-Encoding|From|To|In-Reply-To|References|Subject|Message-ID|Date|MIME-Version|Content-Type):/;
    await fc.assert(
      fc.asyncProperty(wild, wild, wild, fc.array(wild), async (subject, body, name, ids) => {
        const from = `"${name.replace(/["\\\r\n]/g, "")}" <ana@home.example>`;
        const mail = { ...EMAIL, subject, body, from, inReplyTo: `${ids[0]}@x`, references: ids };
        if (addressList(from).join() !== "ana@home.example") return;
        const bytes = await composeEmail(mail);
        const lines = bytes.toString("latin1").split("\r\n");
        expect(lines.every((line) => line.length <= 998)).toBe(true);
        const headers = lines.slice(0, lines.indexOf("")).filter((line) => !/^[ \t]/.test(line));
        expect(headers.filter((line) => !expected.test(line))).toEqual([]);
        expect(new Set(headers.map((line) => line.split(":")[0])).size).toBe(headers.length);
        const { email } = await parseEml(bytes);
        expect(email.subject).toBe(oneLine(subject.replace(/\0/g, "")));
        expect(email.body).toBe(tidy(body));
        expect(addressList(email.to)).toEqual(["bob@work.example"]);
        expect(addressList(email.from)).toEqual(["ana@home.example"]);
      }),
    );
  });

  test("is read as what was approved: nothing in it is decoded a second time", async () => {
    const subject = "=?utf-8?B?U2VuZCBtb25leQ==?=";
    const mail = { ...EMAIL, subject, from: '"=?utf-8?Q?Boss?=" <ana@home.example>' };
    const { email } = await parseEml(await composeEmail(mail));
    expect(email).toMatchObject({ subject, from: "ana@home.example" });
    for (const to of ["=?utf-8?Q?=3Ceve=40evil.example=3E?=", "<=?utf-8?Q?eve=40evil.example=2C?=bob@work.example>"]) {
      expect(await refusal(composeEmail({ ...EMAIL, to }))).toMatchObject({ code: "input" });
    }
  });

  test.each([
    ...["bob@work.example,eve@evil.example", "bob@work.example;eve@evil.example", "bob@work.example, eve@evil.example"],
    ...[
      "(bob@work.example)eve@evil.example",
      "bob@work.example (,eve@evil.example)",
      "g:eve@evil.example;",
      "a=?b@evil.example",
    ],
    ...["bo\u200bb@work.example", "Bob <bob@work.example>", "bob@work.example\r\nBcc: eve@evil.example"],
  ])("or an invitation goes to one plain address, and is not written to %j", async (to) => {
    using folder = temporaryFolder();
    const outbox = createFileOutbox({ folder: folder.path("out") });
    expect(await refusal(outbox.writeEmail({ ...EMAIL, to }))).toMatchObject({ code: "input" });
    expect(await refusal(outbox.addEvent({ ...EVENT, attendees: [to] }))).toMatchObject({ code: "input" });
    expect(await files(folder.path("."))).toEqual([]);
  });

  test.each([
    ...["Ana <ana@home.example,eve@evil.example>", "ana@home.example, eve@evil.example", "Ana", ""],
    ...["Ana <(ana@home.example)eve@evil.example>", "=?utf-8?q?=3Ceve=40evil.example=3E?=", '"a,b"@home.example'],
  ])("or an invitation comes from one plain address, and not from %j", async (from) => {
    using folder = temporaryFolder();
    const outbox = createFileOutbox({ folder: folder.path("out") });
    expect(await refusal(outbox.writeEmail({ ...EMAIL, from }))).toMatchObject({ code: "input" });
    expect(await refusal(outbox.addEvent({ ...EVENT, organizer: from }))).toMatchObject({ code: "input" });
    expect(await files(folder.path("."))).toEqual([]);
  });

  test("names ids of other emails only where they are ids", async () => {
    const ids = ["a@b>\r\nBcc: <eve@evil.example", "no id", "a@b", "(forgotten)"];
    const { email } = await parseEml(await composeEmail({ ...EMAIL, inReplyTo: ids[0], references: ids }));
    expect(email.references).toEqual(["a@b"]);
  });

  test("without a sender, or to what is no address, is not written, and the error says what to do", async () => {
    using folder = temporaryFolder();
    const outbox = createFileOutbox({ folder: folder.path("out") });
    expect(await refusal(outbox.writeEmail({ ...EMAIL, from: undefined }))).toMatchObject({ code: "usage" });
    for (const to of ["", "Bob", "Bob, bob@work.example", "bob@", `${"x".repeat(20_000)}@work.example`]) {
      expect(await refusal(outbox.writeEmail({ ...EMAIL, to }))).toMatchObject({
        code: "input",
        message: expect.stringMatching(/^recipient: saw ".{0,90}"; expected an address such as ada@example\.com$/),
      });
    }
    expect(await refusal(outbox.writeEmail({ ...EMAIL, key: "../k1" }))).toMatchObject({ code: "input" });
    expect(await files(folder.path("."))).toEqual([]);
  });
});

describe("the file of an email", () => {
  test("is written once, and never touched again", async () => {
    using folder = temporaryFolder();
    const outbox = createFileOutbox({ folder: folder.path("out") });
    const { path } = await outbox.writeEmail(EMAIL);
    const before = await readFile(path, "utf8");
    // The profile may have lost its address since.
    const again = { ...EMAIL, body: "Another", from: undefined };
    expect(await outbox.writeEmail(again)).toEqual({ status: "known", path });
    expect(await readFile(path, "utf8")).toBe(before);
    expect(await files(folder.path("out"))).toEqual(["k1.eml"]);
  });

  test("is for the user's eyes, in a folder of theirs, whatever their id is", async () => {
    using folder = temporaryFolder();
    const outbox = createFileOutbox({ folder: folder.path("out") });
    const users = ["../../x", "/etc", "a/b", "a\\b", "..", "x".repeat(500), "ø".repeat(500), "ana"];
    const paths = await Promise.all(users.map(async (userId) => (await outbox.writeEmail({ ...EMAIL, userId })).path));
    expect(new Set(paths).size).toBe(users.length);
    for (const path of paths) {
      expect(path).toMatch(new RegExp(`^${folder.path("out")}/[^/]+/k1\\.eml$`));
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      expect((await stat(join(path, ".."))).mode & 0o777).toBe(0o700);
    }
    expect((await stat(folder.path("out"))).mode & 0o777).toBe(0o700);
  });

  test("is written by one of many who write it at the same time", async () => {
    using folder = temporaryFolder();
    const one = createFileOutbox({ folder: folder.path("out") });
    const other = createFileOutbox({ folder: folder.path("out") });
    const all = await Promise.all(Array.from({ length: 40 }, (_, n) => (n % 2 ? one : other).writeEmail(EMAIL)));
    expect(all.filter(({ status }) => status === "written")).toHaveLength(1);
    expect(await files(folder.path("out"))).toEqual(["k1.eml"]);
  });

  test("that cannot be written is named in one line", async () => {
    using folder = temporaryFolder();
    await writeFile(folder.path("out"), "a file");
    const { code, message } = await refusal(createFileOutbox({ folder: folder.path("out") }).writeEmail(EMAIL));
    expect(code).toBe("store");
    expect(message).toBe(`${folder.path("out/ana@home=2Eexample/k1.eml")}: cannot be written: there is no such folder`);
    await mkdir(folder.path("box/ana@home=2Eexample/k1.eml"), { recursive: true });
    const taken = createFileOutbox({ folder: folder.path("box") }).writeEmail(EMAIL);
    expect(await refusal(taken)).toMatchObject({
      code: "store",
      message: expect.stringMatching(/: it is not a file$/),
    });
  });

  test("is not there or whole after kill -9 at any step, and one call later it is there", async () => {
    const whole = (
      await composeEmail({
        ...EMAIL,
        from: "ana@home.example",
        to: "bob@work.example",
        subject: "Hi",
        body: "Hello\n",
        inReplyTo: undefined,
        references: [],
      })
    ).toString();
    const steps = await killEverywhere(
      { act: "email", keys: ["k1"] },
      async () => ({}),
      async (own) => {
        const path = join(own, "out/ana/k1.eml");
        const left = await readFile(path, "utf8").catch(() => undefined);
        if (left !== undefined) expect(left).toBe(whole);
        const again = await createFileOutbox({ folder: join(own, "out") }).writeEmail({ ...EMAIL, userId: "ana" });
        expect(again).toEqual({ status: left === undefined ? "written" : "known", path });
        expect(await files(own)).toEqual(["k1.eml"]);
      },
    );
    expect(steps).toBeGreaterThan(8);
  });
});

describe("an event without a calendar", () => {
  test("is a file that a calendar opens", async () => {
    using folder = temporaryFolder();
    const outbox = createFileOutbox({ folder: folder.path("out") });
    const acted = await outbox.addEvent({ ...EVENT, organizer: "Ana Berg <ana+me@home.example>" });
    expect(acted).toEqual({ status: "written", path: folder.path("out/ana@home=2Eexample/k1.ics") });
    expect(await outbox.addEvent({ ...EVENT, title: "Another" })).toEqual({ ...acted, status: "known" });
    expect(await busyTimes(acted.path)).toEqual(["09:30-10:15"]);
    expect((await stat(acted.path)).mode & 0o777).toBe(0o600);
    expect((await readFile(acted.path, "utf8")).split("\r\n")).toEqual([
      ...["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Mnemail//Outbox//EN", "BEGIN:VEVENT", "UID:k1@mnemail"],
      ...["DTSTAMP:20260302T080000Z", "DTSTART:20260310T093000Z", "DTEND:20260310T101500Z", "SUMMARY:Planning"],
      ...["ORGANIZER:mailto:ana+me@home.example", "ATTENDEE;SCHEDULE-AGENT=NONE:mailto:bob@work.example"],
      ...["END:VEVENT", "END:VCALENDAR", ""],
    ]);
  });

  test("whatever its texts hold, they arrive, and no property comes of them", async () => {
    using folder = temporaryFolder();
    const outbox = createFileOutbox({ folder: folder.path("out") });
    const wild = fc.oneof(
      fc.string({ unit: "binary", maxLength: 200, size: "max" }),
      fc.string({
        unit: fc.constantFrom("\r", "\n", ";", ",", "\\", ":", "n", " ", "\t", "ø", "😀"),
        maxLength: 200,
        size: "max",
      }),
      fc.constant("x\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:evil\r\n"),
    );
    let n = 0;
    await fc.assert(
      fc.asyncProperty(wild, async (title) => {
        const { path } = await outbox.addEvent({ ...EVENT, title, key: `k${n++}` });
        const text = await readFile(path, "utf8");
        expect(text.split("\r\n").every((line) => Buffer.byteLength(line) <= 75)).toBe(true);
        const [event, ...others] = new ICAL.Component(ICAL.parse(text)).getAllSubcomponents("vevent");
        expect(others).toEqual([]);
        expect(event?.getAllProperties().map(({ name }) => name)).toEqual([
          "uid",
          "dtstamp",
          "dtstart",
          "dtend",
          "summary",
          "organizer",
          "attendee",
        ]);
        const expected = title.replace(/\r\n?/g, "\n").replace(/(?![\t\n])\p{Cc}/gu, "");
        expect(event?.getFirstPropertyValue("summary")).toBe(expected);
        expect(await busyTimes(path)).toEqual(["09:30-10:15"]);
      }),
    );
  });

  test("with what is no address or no time is not written", async () => {
    using folder = temporaryFolder();
    const outbox = createFileOutbox({ folder: folder.path("out") });
    expect(await refusal(outbox.addEvent({ ...EVENT, attendees: ["Bob"] }))).toMatchObject({ code: "input" });
    expect(await refusal(outbox.addEvent({ ...EVENT, start: new Date("never") }))).toMatchObject({ code: "input" });
    const late = { ...EVENT, start: new Date("9999-12-31T23:59:00Z") };
    expect(await refusal(outbox.addEvent(late))).toMatchObject({ code: "input" });
    expect(await files(folder.path("."))).toEqual([]);
  });
});

describe("an event in the user's calendar", () => {
  test.each([
    ["CRLF", "\r\n", ""],
    ["LF", "\n", ""],
    ["a byte order mark", "\r\n", "\uFEFF"],
  ])("stands before its end, and all other bytes are as they were: %s", async (_, lineBreak, start) => {
    using folder = temporaryFolder();
    const calendarPath = folder.path("c.ics");
    // A byte that is no UTF-8, as old programs write it.
    const before = Buffer.concat([
      Buffer.from(start + CALENDAR.slice(0, 3).join(lineBreak)),
      Buffer.from([0x20, 0xe9]),
      Buffer.from(lineBreak + CALENDAR.slice(3).join(lineBreak)),
    ]);
    await writeFile(calendarPath, before);
    await chmod(calendarPath, 0o640);
    const outbox = createFileOutbox({ folder: folder.path("out"), calendarPath });
    expect(await outbox.addEvent(EVENT)).toEqual({ status: "written", path: calendarPath });
    const after = await readFile(calendarPath);
    const end = before.lastIndexOf("END:VCALENDAR");
    const added = after.subarray(end, end + after.length - before.length).toString();
    expect(Buffer.concat([after.subarray(0, end), after.subarray(end + added.length)]).equals(before)).toBe(true);
    expect(added.split(lineBreak).at(0)).toBe("BEGIN:VEVENT");
    expect(added.endsWith(`END:VEVENT${lineBreak}`)).toBe(true);
    expect(added.split("\n").every((line) => line === "" || line.endsWith("\r") === (lineBreak === "\r\n"))).toBe(true);
    expect(await busyTimes(calendarPath)).toEqual(["09:30-10:15", "12:00-13:00"]);
    expect((await stat(calendarPath)).mode & 0o777).toBe(0o640);
    expect(await files(folder.path("."))).toEqual(["c.ics"]);
  });

  test("is added once, in a new calendar or behind a link as well", async () => {
    using folder = temporaryFolder();
    await symlink(folder.path("real.ics"), folder.path("broken.ics"));
    const broken = createFileOutbox({ folder: folder.path("out"), calendarPath: folder.path("broken.ics") });
    expect(await refusal(broken.addEvent(EVENT))).toMatchObject({ code: "calendar" });
    const direct = createFileOutbox({ folder: folder.path("out"), calendarPath: folder.path("real.ics") });
    expect(await direct.addEvent(EVENT)).toMatchObject({ status: "written" });
    expect(await direct.addEvent({ ...EVENT, title: "Another" })).toMatchObject({ status: "known" });
    // The link leads somewhere now.
    expect(await broken.addEvent(EVENT)).toEqual({ status: "known", path: folder.path("broken.ics") });
    const later = { ...EVENT, key: "k2", start: new Date("2026-03-10T11:00:00Z") };
    expect(await broken.addEvent(later)).toMatchObject({ status: "written" });
    expect(await busyTimes(folder.path("real.ics"))).toEqual(["09:30-10:15", "11:00-11:45"]);
    expect(await files(folder.path("."))).toEqual(["broken.ics", "real.ics"]);
  });

  test.each([
    ["text", "Dear diary"],
    ["an empty file", ""],
    ["half a calendar", CALENDAR.slice(0, 7).join("\r\n")],
    ["a calendar without its end", CALENDAR.slice(0, -2).join("\r\n")],
  ])("is not added to %s, which stays as it is", async (_, content) => {
    using folder = temporaryFolder();
    await writeFile(folder.path("c.ics"), content);
    const outbox = createFileOutbox({ folder: folder.path("out"), calendarPath: folder.path("c.ics") });
    const { code, message } = await refusal(outbox.addEvent(EVENT));
    expect(code).toBe("calendar");
    expect(message).toContain(`The calendar ${folder.path("c.ics")} is not a complete iCalendar file`);
    expect(await readFile(folder.path("c.ics"), "utf8")).toBe(content);
    expect(await files(folder.path("."))).toEqual(["c.ics"]);
  });

  test("is not added to a file that is read-only, a folder, or in no folder", async () => {
    using folder = temporaryFolder();
    await writeFile(folder.path("c.ics"), CALENDAR.join("\r\n"));
    await chmod(folder.path("c.ics"), 0o444);
    await mkdir(folder.path("d.ics"));
    const add = (name: string) =>
      refusal(createFileOutbox({ folder: folder.path("out"), calendarPath: folder.path(name) }).addEvent(EVENT));
    expect(await add("c.ics")).toMatchObject({ code: "calendar", message: expect.stringContaining("is read-only") });
    expect(await add("d.ics")).toMatchObject({ code: "calendar", message: expect.stringContaining("is not a file") });
    expect(await add("gone/c.ics")).toMatchObject({
      code: "calendar",
      message: expect.stringContaining("no such folder"),
    });
    expect(await readFile(folder.path("c.ics"), "utf8")).toBe(CALENDAR.join("\r\n"));
    expect(await files(folder.path("."))).toEqual(["c.ics"]);
  });

  test("is lost to nobody where two processes add 50 each", async () => {
    using folder = temporaryFolder();
    const calendarPath = folder.path("c.ics");
    await writeFile(calendarPath, CALENDAR.join("\n"));
    const from = Date.now() + 2_000;
    const writers = ["a", "b"].map((writer) => {
      const keys = Array.from({ length: 50 }, (_, n) => `${writer}${n}`);
      return runWriter({ folder: folder.path("out"), calendarPath, act: "event", keys, from });
    });
    expect(await Promise.all(writers)).toEqual([1, 2].map(() => ({ code: 0, signal: null })));
    const text = await readFile(calendarPath, "utf8");
    expect(new Set(text.match(/^UID:[ab]\d+@mnemail$/gm)).size).toBe(100);
    expect(text.match(/^UID:/gm)).toHaveLength(101);
    expect(await busyTimes(calendarPath)).toEqual(["12:00-13:00"]);
    expect(await files(folder.path("."))).toEqual(["c.ics"]);
  });

  test("is lost to nobody where one process adds many, some twice, to a calendar that is not there yet", async () => {
    using folder = temporaryFolder();
    const calendarPath = folder.path("c.ics");
    const outboxes = [1, 2].map(() => createFileOutbox({ folder: folder.path("out"), calendarPath }));
    const acted = await Promise.all(
      outboxes.flatMap((outbox) => Array.from({ length: 20 }, (_, n) => outbox.addEvent({ ...EVENT, key: `k${n}` }))),
    );
    expect(acted.filter(({ status }) => status === "written")).toHaveLength(20);
    expect((await readFile(calendarPath, "utf8")).match(/^UID:/gm)).toHaveLength(20);
  });

  test("takes the place of nothing that another program changes in the meantime", async () => {
    using folder = temporaryFolder();
    const calendarPath = folder.path("c.ics");
    await writeFile(calendarPath, CALENDAR.join("\r\n"));
    const keys = Array.from({ length: 40 }, (_, n) => `k${n}`);
    const ended = await runWriter({ folder: folder.path("out"), calendarPath, act: "event", keys, meddle: "change" });
    expect(ended).toEqual({ code: 0, signal: null });
    const text = await readFile(calendarPath, "utf8");
    expect(text.match(/^UID:k\d+@mnemail/gm)).toHaveLength(keys.length);
    const changes = [...text.matchAll(/^X-OTHER:(\d+)/gm)].map(([, n]) => Number(n));
    const last = Math.max(...changes);
    expect(last).toBeGreaterThan(12);
    // All but the one before the call of rename, which was not made.
    expect(changes).toHaveLength(last - 1);
  });

  test.each([
    ["waits for a process that got the lock at any step before", "lock"],
    ["begins again where another process took its lock for one that was left behind", "steal"],
  ])("%s", async (_, meddle) => {
    using folder = temporaryFolder();
    const calendarPath = folder.path("c.ics");
    await writeFile(calendarPath, CALENDAR.join("\r\n"));
    const keys = Array.from({ length: 20 }, (_, n) => `k${n}`);
    const ended = await runWriter({ folder: folder.path("out"), calendarPath, act: "event", keys, meddle });
    expect(ended).toEqual({ code: 0, signal: null });
    const text = await readFile(calendarPath, "utf8");
    expect(text.match(/^UID:k\d+@mnemail/gm)).toHaveLength(keys.length);
    expect(text.match(/^X-OTHER:\d+/gm)?.length).toBeGreaterThanOrEqual(3);
  });

  test("waits for whoever has the lock, and for nobody who ended", async () => {
    using folder = temporaryFolder();
    const calendarPath = folder.path("c.ics");
    const outbox = createFileOutbox({ folder: folder.path("out"), calendarPath });
    const ended = promisify(execFile)(process.execPath, ["-e", ""]);
    await ended;
    const host = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
    const lock = (owner: string) => folder.path(`.c.ics.lock-${owner}-x`);
    // A process that ended; one of this id before this one, as in containers; one of another machine, long ago.
    for (const owner of [`${host}-${ended.child.pid}`, `${host}-${process.pid}`, "00000000-1"])
      await writeFile(lock(owner), "");
    const longAgo = new Date(Date.now() - 60_000);
    await utimes(lock("00000000-1"), longAgo, longAgo);
    const started = performance.now();
    expect(await outbox.addEvent(EVENT)).toMatchObject({ status: "written" });
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(await files(folder.path("."))).toEqual(["c.ics"]);

    await writeFile(lock(`${host}-${process.ppid}`), "");
    await writeFile(lock("00000000-2"), "");
    let isDone = false;
    const waiting = outbox.addEvent({ ...EVENT, key: "k2" }).finally(() => {
      isDone = true;
    });
    // Somebody without a lock in the way gets through in the meantime.
    await createFileOutbox({ folder: folder.path("out"), calendarPath: folder.path("d.ics") }).addEvent(EVENT);
    expect(isDone).toBe(false);
    await rm(lock(`${host}-${process.ppid}`));
    await createFileOutbox({ folder: folder.path("out"), calendarPath: folder.path("e.ics") }).addEvent(EVENT);
    expect(isDone).toBe(false);
    await rm(lock("00000000-2"));
    expect(await waiting).toMatchObject({ status: "written" });
  });

  test("is there or not, in a whole calendar, after kill -9 at any step, and one call later it is there", async () => {
    using folder = temporaryFolder();
    const before = CALENDAR.join("\r\n");
    const { organizer: _, ...event } = { ...EVENT, title: "Event k1", attendees: [], start: AT, durationMinutes: 30 };
    const add = async (calendarPath: string) => {
      const { status } = await createFileOutbox({ folder: folder.path("out"), calendarPath }).addEvent(event);
      return { status, calendar: await readFile(calendarPath, "utf8") };
    };
    await writeFile(folder.path("c.ics"), before);
    const { calendar: whole } = await add(folder.path("c.ics"));
    const steps = await killEverywhere(
      { act: "event", keys: ["k1"] },
      async (own) => {
        await writeFile(join(own, "c.ics"), before);
        return { calendarPath: join(own, "c.ics") };
      },
      async (own) => {
        const left = await readFile(join(own, "c.ics"), "utf8");
        expect([before, whole]).toContain(left);
        const status = left === whole ? "known" : "written";
        expect(await add(join(own, "c.ics"))).toEqual({ status, calendar: whole });
        expect(await files(own)).toEqual(["c.ics"]);
      },
    );
    expect(steps).toBeGreaterThan(12);
  });
});
