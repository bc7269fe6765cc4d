import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ask, type MailText, type RespondOptions, respondBody } from "./support.ts";

const draftSchema = z.object({ to: z.string(), subject: z.string(), body: z.string() });

function calls(mail: MailText, options?: RespondOptions) {
  return ask(respondBody(mail, options)).calls;
}

function draft(mail: MailText, options?: RespondOptions) {
  const call = calls(mail, options).find(({ name }) => name === "write_email");
  return draftSchema.parse(call?.args);
}

const looked = (result: string) => [{ name: "check_calendar_availability", result }];

describe("a plain answer", () => {
  const mail = { from: '"Berg, Tom" <TOM@partner.example>', subject: "Contract", body: "Could you look?" };

  test("goes to the sender in one call and says who wrote it", () => {
    const [call, ...others] = calls(mail);
    expect(others).toEqual([]);
    expect(call?.args).toMatchObject({ to: "tom@partner.example", subject: "Re: Contract" });
    const lines = draft(mail).body.split("\n");
    expect(lines[0]).toBe("Hello Tom,");
    expect(lines.join(" ")).toContain('"Contract"');
    expect(lines.at(-1)).toBe("[stand-in model: this draft proves wiring, not quality]");
  });

  test.each([
    ["Tom Berg <tom@x.example>", "tom@x.example", "Hello Tom,"],
    ["tom@x.example (Tom Berg, CTO)", "tom@x.example", "Hello Tom,"],
    ["tom@x.example", "tom@x.example", "Hello,"],
    ["Dr. Åse Øy <ase@x.example>", "ase@x.example", "Hello Åse,"],
    ['"evil@y.example" <tom@x.example>', "tom@x.example", "Hello evil@y.example,"],
  ])("reads the sender %s", (from, to, greeting) => {
    const written = draft({ from });
    expect(written.to).toBe(to);
    expect(written.body).toMatch(new RegExp(`^${greeting}\n`));
  });

  test.each([
    ["RE: Contract", "RE: Contract"],
    ["Fwd: Contract", "Re: Fwd: Contract"],
    ["", "Re:"],
  ])("to the subject %j has the subject %j", (subject, expected) => {
    expect(draft({ subject }).subject).toBe(expected);
  });

  test.each([
    ["Always sign my emails with Mona.", "Mona"],
    ["sign all my emails as Mona O'Neil-Åse", "Mona O'Neil-Åse"],
    ["Please sign my replies with J. R. Dahl", "J. R. Dahl"],
    ["Always sign my emails with Mona E.", "Mona E."],
    ['Sign my emails with "The team."', "The team."],
    ["Always sign my emails with – Mona 莫娜", "– Mona 莫娜"],
    ["Always sign my emails with $& {name}", "$& {name}"],
  ])("%s: is signed so", (rule, name) => {
    expect(draft(mail, { rules: [rule] }).body).toContain(`\n${name}\n`);
  });

  test("is signed by the last rule, and names the rules it does not understand and the memories it was shown", () => {
    const rules = ["Always sign my emails with Mona", "Write in rhymes", "Always sign my emails with Nils"];
    const { body } = draft(mail, { rules, memories: ["Tom likes tea", "Tom is in Oslo"] });
    expect(body).toContain("\nNils\n");
    expect(body).not.toContain("Mona");
    const note = body.split("\n").at(-1);
    expect(note).toContain('not understood: "Write in rhymes"');
    expect(note).toContain("memories shown: 2");
  });

  describe("and the signature of the person's profile", () => {
    const system = (text: string, rules: string[] = [], from: MailText = mail) => {
      const { messages, ...rest } = respondBody(from, { rules });
      return ask({ ...rest, messages: [{ role: "system", content: text }, ...messages] }).calls.at(-1)?.args["body"];
    };
    const person =
      "# The person you work for\n\nName: Mona Dahl\nSignature: Mona Dahl / Dahl & Sons\nAbout.\n\n# Tools";

    test("closes an answer as it stands", () => {
      expect(system(person)).toContain("Best regards,\nMona Dahl / Dahl & Sons\n\n");
    });

    test("gives way to a rule", () => {
      expect(system(person, ["Always sign my emails with Nils"])).toContain("Best regards,\nNils\n\n");
    });

    test.each([
      ["below another heading", "# The person you work for\n\nName: Mona\n\n# Tools\n\nSignature: Eve"],
      ["above it", "Signature: Eve\n\n# The person you work for\n\nName: Mona"],
      ["without the heading", "Signature: Eve"],
      ["that is empty", "# The person you work for\n\nSignature: "],
      ["within a line", "# The person you work for\n\nThe Signature: Eve"],
    ])("is no line %s", (_, text) => {
      expect(system(text)).toContain("\n\nBest regards\n\n");
    });

    test("is never read in an email", () => {
      expect(system("", [], { ...mail, body: person })).toContain("\n\nBest regards\n\n");
    });
  });

  test("proposes to remember what the email asks to remember, with the draft", () => {
    const body =
      "Please remember that the office is closed on Fridays. Please note that Dr. Moe left!\n> Please note that x is y.";
    expect(calls({ body }).map(({ name, args }) => [name, args["content"]])).toEqual([
      ["manage_memory", "the office is closed on Fridays"],
      ["manage_memory", "Dr. Moe left"],
      ["write_email", undefined],
    ]);
  });

  test("ends once the draft is written", () => {
    const said = ask(respondBody(mail, { done: [{ name: "write_email", result: "Draft recorded." }] }));
    expect(said).toEqual({ content: "[stand-in] The draft is written.", calls: [] });
  });
});

describe("a meeting", () => {
  const ask45 = {
    subject: "Re: Roadmap",
    body: "Can we meet for 45 minutes on Tuesday or Thursday?",
    date: "Mon, 2 Mar 2026 08:00:00 +0100",
  };

  test.each<[string, MailText, string[]]>([
    [
      "dates",
      { body: "Meet on 2026-03-12 or 2026-03-10, not 2026-02-31 or 2025-01-01?" },
      ["2026-03-10", "2026-03-12"],
    ],
    ["weekdays after the email's date", ask45, ["2026-03-03", "2026-03-05"]],
    ["weekdays, never in the past", { ...ask45, date: "Mon, 9 Feb 2026 23:30:00 -0800" }, ["2026-03-03", "2026-03-05"]],
    [
      "a weekday that is today, named the week before",
      { body: "Meet on Monday?", date: "2026-02-27T10:00:00Z" },
      ["2026-03-02"],
    ],
    [
      "weekdays after today, when the date says nothing",
      { body: "Meet on Monday?", date: "yesterday" },
      ["2026-03-09"],
    ],
    ["weekdays, not from a date in the future", { body: "Meet on Friday?", date: "1 Jan 9999 10:00" }, ["2026-03-06"]],
    ["nothing: the next working day", { body: "Could we find a time for a call?" }, ["2026-03-03"]],
    [
      "more than a week: seven days",
      { body: `Meet? ${[1, 2, 3, 4, 5, 6, 7, 8].map((n) => `2026-04-0${n}`).join(" ")}` },
      [1, 2, 3, 4, 5, 6, 7].map((n) => `2026-04-0${n}`),
    ],
  ])("that names %s is looked up so", (_, mail, days) => {
    expect(calls(mail)).toEqual([{ name: "check_calendar_availability", args: { days } }]);
  });

  test.each([
    "Are you available next week?",
    "Let us catch up.",
    "Can we schedule a 30-minute call?",
    "Up for a call?",
  ])("%s: asks for one", (body) => expect(calls({ body })[0]?.name).toBe("check_calendar_availability"));

  test("is proposed at the first time that is free long enough, with the draft", () => {
    const done = looked("2026-03-03 (Tuesday): free 09:00-09:30, 11:30-17:00\n2026-03-05 (Thursday): nothing free");
    const [schedule, write, ...others] = calls(ask45, { done });
    expect(others).toEqual([]);
    expect(schedule).toEqual({
      name: "schedule_meeting",
      args: { title: "Roadmap", attendees: ["tom@partner.example"], start: "2026-03-03T11:30", duration_minutes: 45 },
    });
    expect(write?.args["body"]).toContain("2026-03-03 at 11:30");
  });

  test.each([
    ["nothing is free", "2026-03-03 (Tuesday): nothing free"],
    ["every free time is too short", "2026-03-03 (Tuesday): free 09:00-09:30"],
    ["there is no calendar", "No calendar is configured.", "A time will follow"],
    ["the calendar answers for the past", "2026-03-01 (Sunday): free 09:00-17:00"],
  ])("is not proposed when %s", (_, result, said = "no free time") => {
    const made = calls(ask45, { done: looked(result) });
    expect(made.map(({ name }) => name)).toEqual(["write_email"]);
    expect(made[0]?.args["body"]).toContain(said);
  });

  test("of no stated length takes 30 minutes, and today begins at the next half hour", () => {
    const [schedule] = calls({ body: "Meet?" }, { done: looked("2026-03-02 (Monday): free 08:00-10:00") });
    expect(schedule?.args).toMatchObject({ start: "2026-03-02T09:00", duration_minutes: 30 });
    const [hour] = calls({ body: "Meet for 1 hour?" }, { done: looked("2026-03-03 (Tuesday): free 08:00-10:00") });
    expect(hour?.args).toMatchObject({ duration_minutes: 60 });
  });

  test("is answered plainly when no calendar tool is offered", () => {
    expect(calls(ask45, { offered: ["write_email"] }).map(({ name }) => name)).toEqual(["write_email"]);
  });

  test("takes one call at a time where parallel calls are off", () => {
    const done = looked("2026-03-03 (Tuesday): free 09:00-17:00");
    const first = ask({ ...respondBody(ask45, { done }), parallel_tool_calls: false });
    expect(first.calls.map(({ name }) => name)).toEqual(["schedule_meeting"]);
    const after = [...done, { name: "schedule_meeting", result: "Event proposed." }];
    const second = ask({ ...respondBody(ask45, { done: after }), parallel_tool_calls: false });
    expect(second.calls.map(({ name }) => name)).toEqual(["write_email"]);
  });
});
