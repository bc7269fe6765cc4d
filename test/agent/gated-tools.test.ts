import { domainToUnicode } from "node:url";
import fc from "fast-check";
import ICAL from "ical.js";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { checkEdit, GATED_TOOLS } from "../../src/agent/gated-tools.ts";
import { addressList, type Email, emailSchema, senderAddress } from "../../src/email.ts";
import { parseEml } from "../../src/mail/eml.ts";
import { composeEmail } from "../../src/mail/outbox/compose.ts";
import { wholeCalendar } from "../../src/mail/outbox/event-text.ts";

const AT = new Date("2026-03-02T08:00:00Z");
const MEETING = { title: "T", start: "2026-03-10T09:30", duration_minutes: 30 };
const draftSchema = z.object({ args: z.object({ to: z.string(), subject: z.string(), body: z.string() }) });
const eventSchema = z.object({ args: z.object({ attendees: z.array(z.string()) }) });

function mail(headers: { from?: string; to?: string; cc?: string }): Email {
  return emailSchema.parse({ from: "Tom <tom@work.example>", to: "ana@home.example", body: "b", ...headers });
}

function check(name: string, args: object, email: Email) {
  const tool = GATED_TOOLS.get(name);
  if (tool === undefined) throw new Error(`there is no tool ${name}`);
  return tool.check(args, email);
}

const write = (to: string, email: Email) => check("write_email", { to, subject: "s", body: "b" }, email);
const meet = (attendees: string[], email: Email) => check("schedule_meeting", { ...MEETING, attendees }, email);

/** As the user is shown it: domains are written in ASCII, and mean the same. */
function inUnicode(address: string): string {
  const at = address.lastIndexOf("@") + 1;
  return address.slice(0, at) + domainToUnicode(address.slice(at));
}

async function fileTo(to: string): Promise<{ headers: string[]; parsed: string[] }> {
  const bytes = await composeEmail({
    ...{ key: "k1", from: "ana@home.example", to, subject: "s", body: "b", references: [], at: AT },
  });
  const [head = ""] = bytes.toString().split("\r\n\r\n");
  const headers = head.replace(/\r\n[ \t]/g, " ").match(/^(?:to|cc|bcc):.*$/gim) ?? [];
  return { headers, parsed: addressList((await parseEml(bytes)).email.to).map(inUnicode) };
}

function attendeesOf(attendees: string[]): unknown[] {
  const event = { key: "k1", title: "T", start: AT, durationMinutes: 30, at: AT, attendees };
  const calendar = new ICAL.Component(ICAL.parse(Buffer.from(wholeCalendar(event)).toString()));
  const found = calendar.getFirstSubcomponent("vevent")?.getAllProperties("attendee") ?? [];
  return found.map((each) => decodeURIComponent(String(each.getFirstValue()).replace(/^mailto:/, "")));
}

const HOSTILE = [
  "Tom <tom@work.example,eve@evil.example>",
  "Tom <tom@work.example;eve@evil.example>",
  "Tom <tom@work.example (,eve@evil.example)>",
  "Tom <(tom@work.example)eve@evil.example>",
  "Tom <g:eve@evil.example>",
  "Tom <eve@evil.example,>",
  "Tom <to\u200bm@work.example>",
  "Tom <tom\u202e@work.example>",
  "Tom <tom\ufe0f@work.example>",
  "Tom <a=?b@evil.example>",
  "Tom <=?utf-8?q?eve=40evil.example=2C?=tom@work.example>",
  '"tom,eve"@work.example',
  "Tom <tom@eve@work.example>",
  `Tom <${"t".repeat(65)}@work.example>`,
  `Tom <tom@${"w.".repeat(150)}example>`,
];

describe("a draft", () => {
  test.each(HOSTILE)("does not wait where the sender is not one plain address: %s", (from) => {
    const email = mail({ from });
    for (const to of [from, senderAddress(email), "tom@work.example"]) {
      expect(write(to, email)).toEqual({
        refused: expect.stringMatching(/^the email cannot be answered: its sender /),
      });
    }
  });

  test("goes to the sender, whatever name they have and in whatever letters", () => {
    for (const [from, to] of [
      ["Tom <TOM.o'neil+x@Work.example>", "tom.o'neil+x@work.example"],
      ["=?utf-8?q?T=C3=B8m?= <tom@jõgeva.example>", "tom@jõgeva.example"],
      ["用户 <用户@例子.example>", "用户@例子.example"],
    ] as const) {
      expect(write(from, mail({ from }))).toMatchObject({ args: { to } });
    }
    expect(write("eve@evil.example", mail({}))).toHaveProperty("refused");
  });

  test("of the user's own hand is checked alike", () => {
    const before = { to: "tom@work.example", subject: "s", body: "b" };
    expect(checkEdit("write_email", { to: HOSTILE[0] }, before, mail({}))).toHaveProperty("refused");
    expect(checkEdit("write_email", { body: "c" }, before, mail({ from: HOSTILE[0] ?? "" }))).toHaveProperty("refused");
  });

  test("hides nothing between its letters", () => {
    const hidden = [...Buffer.from("IBAN of Ana")].map((byte) => String.fromCodePoint(0xe0100 + byte)).join("");
    const body = `Hello!${hidden}\u3164\u115f\u1160\uffa0\u180b\u034f\ufe00 bye`;
    expect(check("write_email", { to: "tom@work.example", subject: `s${hidden}`, body }, mail({}))).toEqual({
      args: { to: "tom@work.example", subject: "s", body: "Hello! bye" },
    });
    expect(check("write_email", { to: "tom@work.example", subject: "s", body: "\u3164\u2800" }, mail({}))).toEqual({
      refused: "the body is empty.",
    });
  });
});

describe("a meeting", () => {
  test.each(HOSTILE)("does not wait where an attendee is not one plain address: %s", (cc) => {
    const email = mail({ from: "Ann <ann@work.example>", cc });
    for (const attendee of [cc, ...addressList(cc)]) {
      expect(meet(["ann@work.example", attendee], email)).toEqual({
        refused: expect.stringMatching(/^(?:an attendee is not one plain address|each attendee must be one address)/),
      });
    }
    expect(meet(["ann@work.example"], email)).toMatchObject({ args: { attendees: ["ann@work.example"] } });
  });
});

const token = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("tom@work.example", "eve@evil.example", "tøm@jõgeva.example") },
  { weight: 3, arbitrary: fc.constantFrom(..."<>()\",;:\\@. x=?'|`%{}*&[]") },
  { weight: 1, arbitrary: fc.constantFrom("\u200b", "\u202e", "\ufe0f", "\u0301", "\u3164", "ﬁ", "Ｅ", "ß", "ς", "İ") },
  {
    weight: 1,
    arbitrary: fc.constantFrom("=?utf-8?q?eve=40evil.example?=", "=?utf-8?q?=2C?=", "xn--jgeva-dua", "0x7f"),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 3 }) },
);
const anyAddress = fc
  .tuple(
    fc.array(token, { maxLength: 4 }),
    fc.constantFrom("@", "@work.example", ""),
    fc.array(token, { maxLength: 4 }),
  )
  .map(([left, middle, right]) => left.join("") + middle + right.join(""));
const header = fc.oneof(
  anyAddress,
  anyAddress.map((address) => `Tom <${address}>`),
);

describe("whatever passes, whoever wrote the headers,", () => {
  test("becomes an email to the one address that the user was shown", async () => {
    let passed = 0;
    await fc.assert(
      fc.asyncProperty(header, async (from) => {
        const email = emailSchema.safeParse({ from, to: "ana@home.example", body: "b" });
        if (!email.success) return;
        for (const wanted of [senderAddress(email.data), email.data.from]) {
          const draft = draftSchema.safeParse(write(wanted, email.data));
          if (!draft.success) continue;
          passed += 1;
          const { to } = draft.data.args;
          expect(to).toBe(senderAddress(email.data));
          const { headers, parsed } = await fileTo(to);
          expect(parsed).toEqual([inUnicode(to)]);
          // Said without a parser of addresses: one header, with one at sign and nothing that parts addresses.
          expect(headers).toEqual([expect.stringMatching(/^To: [^@\s,;:<>()"]+@[^@\s,;:<>()"]+$/)]);
          expect(to).not.toMatch(/[\p{C}\p{Z}\p{DI}]/u);
        }
      }),
      { numRuns: 4_000 },
    );
    expect(passed).toBeGreaterThan(200);
  });

  test("becomes an event with the attendees that the user was shown", () => {
    let passed = 0;
    fc.assert(
      fc.property(header, header, (to, cc) => {
        const email = mail({ to, cc });
        for (const attendees of [[to], [cc], [to, cc], addressList(to), addressList(cc)]) {
          const event = eventSchema.safeParse(meet(attendees, email));
          if (!event.success || event.data.args.attendees.length === 0) continue;
          passed += 1;
          expect(attendeesOf(event.data.args.attendees)).toEqual(event.data.args.attendees);
          for (const each of event.data.args.attendees) expect(each).toMatch(/^[^@\s,;:<>()"]+@[^@\s,;:<>()"]+$/);
        }
      }),
      { numRuns: 4_000 },
    );
    expect(passed).toBeGreaterThan(200);
  });
});
