import { writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readLabelledMail } from "../../src/evals/labelled-mail.ts";
import { recordedCases } from "../../src/evals/record-cases.ts";
import { email, openTestAssistant, temporaryFolder } from "../support/assistant.ts";
import { ANA } from "../support/eval-cases.ts";

/** Reads lines of labelled mail, given as values or as text. */
async function read(...lines: (object | string)[]) {
  using folder = temporaryFolder();
  const path = folder.path("mail.jsonl");
  writeFileSync(path, lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""));
  try {
    return (await readLabelledMail(path, ANA)).map(({ value }) => value);
  } catch (error) {
    throw new Error(String(error).replaceAll(path, "mail.jsonl"));
  }
}

const flat = { id: "m1@x.example", from: "Tom <tom@work.example>", to: ANA, subject: "Lunch", body: "On Monday?" };

describe("labelled mail becomes cases of one user", () => {
  test("flat, below email or email_input, and as LangChain's examples spell it", async () => {
    const { from, to, subject, body } = flat;
    const [a, b, c, d] = await read(
      { ...flat, label: "respond" },
      { email: { ...flat, id: "m2" }, classification: "respond" },
      { email_input: { author: from, to, subject, email_thread: body }, expected_triage: "respond" },
      { author: from, to, subject, email_thread: `${body}!`, classification: "Notify" },
    );
    const known = { user: ANA, split: "dev", origin: "imported" };
    expect(a).toEqual({
      ...known,
      id: "m1@x.example",
      label: "respond",
      email: { ...flat, message_id: "m1@x.example" },
    });
    expect(b).toMatchObject({ ...known, id: "m2", label: "respond", email: { from, subject, body } });
    expect(c).toMatchObject({ ...known, label: "respond", email: { from, to, subject, body } });
    expect(c?.id).toMatch(/^sha256-[0-9a-f]{20}$/);
    expect(d).toMatchObject({ ...known, label: "notify", email: { from, body: `${body}!` } });
  });

  test("cases as they are, but of the user who imports them", async () => {
    const one = {
      id: "case-1",
      user: "eva@x.example",
      split: "test",
      origin: "reviewed",
      email: flat,
      label: "ignore",
    };
    expect(await read(one)).toMatchObject([
      { id: "case-1", user: ANA, split: "test", origin: "reviewed", label: "ignore" },
    ]);
  });

  test("an id of an email that is none of a case is written in its signs", async () => {
    const [one] = await read({ ...flat, id: "<a b/ü@x.example>", label: "ignore" });
    expect(one?.id).toMatch(/^-a-b-@x\.example--[0-9a-f]{8}$/);
    expect(one?.email.id).toBe("<a b/ü@x.example>");
  });

  test.each<[string, object | string, RegExp]>([
    ["an unknown label", { ...flat, label: "later" }, /^mail\.jsonl:2: label: .*saw "later"$/],
    ["no label", flat, /^mail\.jsonl:2: label: expected ignore, notify, respond/],
    ["an unknown classification", { ...flat, classification: "spam" }, /^mail\.jsonl:2: classification: .*saw "spam"$/],
    ["no sender", { subject: "x", body: "y", label: "ignore" }, /^mail\.jsonl:2: from: /],
    [
      "a case with an unknown label",
      { id: "c", user: ANA, origin: "x", email: flat, label: "x" },
      /:2: label: .*saw "x"$/,
    ],
    ["no JSON", "{", /^mail\.jsonl:2: not valid JSON; expected one object a line$/],
    ["no object", "[1]", /^mail\.jsonl:2: .*expected object/],
  ])("%s is named with file, line and field", async (_, line, expected) => {
    const error = await read({ ...flat, id: "first", label: "ignore" }, line).catch((thrown: Error) => thrown);
    expect(String(error).replace(/^Error: MnemailError: /, "")).toMatch(expected);
  });

  test("two emails of one id name both places", async () => {
    await expect(read({ ...flat, label: "ignore" }, "", { ...flat, label: "notify" })).rejects.toThrow(
      "mail.jsonl:3: id: m1@x.example is that of mail.jsonl:1 too",
    );
  });
});

describe("what a user decided becomes cases", () => {
  test("labels that the user gave or confirmed, with the email as it was handled; none that only a model gave", async () => {
    await using assistant = await openTestAssistant();
    const wrong = email({
      id: "wrong@x.example",
      subject: "Prices",
      body: "Our prices change.",
      date: "Mon, 2 Mar 2026 10:00:00 +0100",
    });
    const fine = email({ id: "fine@x.example", subject: "Slides", body: "Could you send me the slides?" });
    const never = email({ id: "never@x.example", subject: "Bus", body: "The bus is late." });
    for (const each of [wrong, fine, never]) await assistant.handle(ANA, each);
    await assistant.learn(ANA, { kind: "relabel", email_id: wrong.id, label: "ignore" });
    await assistant.learn(ANA, { kind: "relabel", email_id: fine.id, label: "respond" });
    const cases = await recordedCases(assistant.memory, ANA, "test");
    expect(cases.map(({ id, label }) => [id, label]).toSorted()).toEqual([
      ["fine@x.example", "respond"],
      ["wrong@x.example", "ignore"],
    ]);
    const recorded = cases.find(({ id }) => id === "wrong@x.example");
    expect(recorded).toMatchObject({ user: ANA, split: "test", origin: "reviewed", email: wrong });
    expect(await recordedCases(assistant.memory, "ben@work.example", "dev")).toEqual([]);
  });

  test("an example of an email that was never handled is a case too", async () => {
    await using assistant = await openTestAssistant();
    await assistant.memory.examples.add(ANA, [email({ id: "<a/b>", body: "Hello" })], "notify", "2026-03-02T10:00:00Z");
    expect(await recordedCases(assistant.memory, ANA, "dev")).toMatchObject([
      { id: expect.stringMatching(/^-a-b--[0-9a-f]{8}$/), label: "notify", email: { id: "<a/b>", body: "Hello" } },
    ]);
  });
});
