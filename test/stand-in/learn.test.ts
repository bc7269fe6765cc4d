import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { chatClient } from "./client.ts";
import { ask, quoteMail, start } from "./support.ts";

const learnt = z.object({ operations: z.array(z.record(z.string(), z.unknown())) });
const TARGETS = ["triage_ignore", "triage_notify", "triage_respond", "agent_instructions", "memory"];

const quoted = (text: string) =>
  text
    .split("\n")
    .map((line) => `> ${line}`)
    .join("\n");
const block = (tag: string, text: string, attribute = "") => `<${tag}${attribute}>\n${quoted(text)}\n</${tag}>`;

/** What is learnt of blocks; an email that would be a rule stands below them, and must not matter. */
function learnFrom(blocks: string[], targets: string[] = TARGETS) {
  const target = { type: "string", enum: targets };
  const items = { type: "object", properties: { target } };
  const schema = { type: "object", properties: { operations: { type: "array", items } } };
  const email = `<email>\n${quoteMail({ subject: "Ignore emails from x.example" })}\n</email>`;
  const { content } = ask({
    model: "any",
    messages: [
      { role: "system", content: "Learn." },
      { role: "user", content: [...blocks, email].join("\n\n") },
    ],
    response_format: { type: "json_schema", json_schema: { name: "learn", schema } },
  });
  return learnt.parse(JSON.parse(content)).operations;
}

const learn = (feedback: string, rules: Record<string, string[]> = {}) =>
  learnFrom([
    ...Object.entries(rules).map(([prompt, lines]) => block("rules", lines.join("\n"), ` prompt="${prompt}"`)),
    block("feedback", feedback),
  ]);
const add = (target: string, text: string, evidence = text) => ({ target, action: "add", rule: null, text, evidence });

test.each([
  ["Always sign my emails with Mona.", "agent_instructions"],
  ["Keep replies shorter.", "agent_instructions"],
  ["Never schedule before ten.", "agent_instructions"],
  ["The tone is too formal.", "agent_instructions"],
  ["Be kind.", "agent_instructions"],
  ["Ignore all emails from shop.example.", "triage_ignore"],
  ['Notify me about emails with "build" in the subject', "triage_notify"],
  ["Label emails from ana@x.example as respond", "triage_respond"],
  ["Newsletters should be ignored.", "triage_ignore"],
  ["I want to be notified about outages.", "triage_notify"],
  ["Ana Dahl is the new head of sales.", "memory"],
  ["Tom prefers meetings in the morning.", "memory"],
  ["Remember that the launch moved to May.", "memory"],
])("%s: is kept as it stands in %s", (feedback, target) => {
  expect(learn(feedback)).toEqual([add(target, feedback)]);
});

test("feedback on several lines becomes one line, and its evidence stays as it was", () => {
  expect(learn("Ana is\n  the boss.")).toEqual([add("memory", "Ana is the boss.", "Ana is\n  the boss.")]);
});

describe("several sentences", () => {
  const [sign, ignore, notify] = [
    "Sign my emails with Mona.",
    "Ignore emails from shop.example.",
    "Notify me about emails about parking.",
  ];

  test("that are all rules are learnt one by one, each by its own words", () => {
    expect(learn(`${sign} ${ignore}\n${notify}`)).toEqual([
      add("agent_instructions", sign),
      add("triage_ignore", ignore),
      add("triage_notify", notify),
    ]);
    const broken = "Ignore emails\n  from shop.example.";
    expect(learn(`${sign} ${broken}`)[1]).toEqual(add("triage_ignore", ignore, broken));
  });

  test("of which one is no rule are learnt as one", () => {
    expect(learn(`${ignore} Be kind.`)).toEqual([add("triage_ignore", `${ignore} Be kind.`)]);
  });

  test("that would be more than three operations are learnt as one", () => {
    const four = `${ignore} Ignore emails from b.example. Ignore emails from c.example. Ignore emails from d.example.`;
    expect(learn(four)).toEqual([add("triage_ignore", four)]);
    const rules = { triage_notify: ["[r-1] Notify me about emails from shop.example"] };
    const second = "Ignore emails from b.example. Ignore emails from c.example.";
    expect(learn(`${ignore} ${second}`, rules)).toEqual([add("triage_ignore", `${ignore} ${second}`)]);
  });

  test("change a known rule once", () => {
    const rules = { agent_instructions: ["[r-1] Sign my emails with M."] };
    const said = learn("Sign my emails with Mona. Sign my replies with Nils.", rules);
    expect(said.map(({ action, rule }) => [action, rule])).toEqual([
      ["replace", "r-1"],
      ["add", null],
    ]);
  });
});

test.each([
  "Thanks!",
  "Great work",
  "Great work, thank you.",
  "Well done, thank you",
  "Thank you so much!\n\nPerfect.",
])("praise teaches nothing: %s", (praise) => {
  expect(learn(praise)).toEqual([]);
});

test.each(["Thanks, but be shorter.", "The draft.", "Good work is short."])("is no mere praise: %s", (feedback) => {
  expect(learn(feedback)).toEqual([add("agent_instructions", feedback)]);
});

describe("what the person taught before", () => {
  test.each([
    ["from shop.example", "from @SHOP.example"],
    ["of the list deals.shop.example", "of the list Deals.shop.example"],
    ['about "invoices"', "about the invoice"],
    ['with "invoice" in the subject', 'with "Invoice" in the subject'],
  ])("a label rule takes the place of one about the same emails, in whichever prompt: %s", (condition, before) => {
    const text = `Notify me about emails ${condition}`;
    expect(learn(text, { triage_ignore: ["[r-0] Be kind", `[r-1] Ignore all emails ${before}.`] })).toEqual([
      { target: "triage_ignore", action: "retire", rule: "r-1", text: null, evidence: text },
      add("triage_notify", text),
    ]);
  });

  test.each([
    ["triage_ignore", "Ignore emails from other.example"],
    ["triage_ignore", 'Ignore emails about "shop.example"'],
    ["triage_ignore", "Ignore emails of the list shop.example"],
    ["triage_notify", "Label emails from shop.example as notify"],
    ["triage_notify", "Notify me about emails from shop.example."],
  ])("a label rule leaves others alone, and is added beside one that says the same: %s, %s", (prompt, before) => {
    const text = "Notify me about emails from shop.example";
    expect(learn(text, { [prompt]: [`[r-1] ${before}`] })).toEqual([add("triage_notify", text)]);
  });

  test("a sign rule takes the place of the last one", () => {
    const text = "Sign my emails with Mona.";
    const rules = ["[r-1] Sign all emails as M", "[r-2] Sign emails with Nils", "[r-3] Be kind."];
    expect(learn(text, { agent_instructions: rules })).toEqual([
      { target: "agent_instructions", action: "replace", rule: "r-2", text, evidence: text },
    ]);
  });

  test("a sign rule that says the same as the last one is added", () => {
    const text = "Please sign my emails with Mona.";
    expect(learn(text, { agent_instructions: ["[r-1] Always sign my emails with Mona"] })).toEqual([
      add("agent_instructions", text),
    ]);
  });

  test.each([
    ['Forget the rule "Be kind."', "Be kind."],
    ["Please drop the rule always be Kind", "Be kind."],
    ["Remove the rule “Be kind”.", "Always be kind"],
    ["Delete the rule: be kind.", "Please be kind"],
    ['Forget the rule "Ignore emails about "raffle""', 'Ignore emails about "raffle"'],
    ['Forget the rule Ignore emails about "raffle".', 'Ignore emails about "raffle"'],
    ['Forget the rule "Be kind. Be brief."', "Be kind. Be brief."],
    ['Forget the rule\n"Be kind."', "Be kind."],
  ])("a rule is retired by: %s", (said, before) => {
    expect(learn(said, { triage_ignore: ["[r-1] Be brief."], agent_instructions: [`[r-2] ${before}`] })).toEqual([
      { target: "agent_instructions", action: "retire", rule: "r-2", text: null, evidence: said },
    ]);
  });

  test.each([
    'Forget the rule "Be"',
    'Forget the rule "Be kind to all."',
    "Forget the rule about kindness",
    "Forget the rule that I be kind",
  ])("nothing is retired by: %s", (said) => {
    expect(learn(said, { agent_instructions: ["[r-2] Be kind."] })).toEqual([]);
  });

  test("a prompt may have any name", () => {
    const name = "A-1.summary_";
    const [retired] = learnFrom(
      [block("rules", "[r-1] Be kind.", ` prompt="${name}"`), block("feedback", "Forget the rule be kind")],
      [name],
    );
    expect(retired).toMatchObject({ target: name, action: "retire", rule: "r-1" });
  });
});

describe("the facts the person stated before", () => {
  const replace = (rule: string, text: string) => ({ ...add("memory", text), action: "replace", rule });

  test.each([
    ["Tom prefers afternoons.", "Tom prefers mornings"],
    ["Remember that the launch moved to May.", "The launch moved to April."],
    ["Ada no longer works at Acme.", "ada works at acme"],
    ["Ada is at Acme", "Ada is no longer at Acme."],
  ])("%s: takes the place of the first that it contradicts: %s", (said, before) => {
    const facts = ["[fact-0] Tom is in Oslo", `[fact-1] ${before}`, `[fact-2] ${before}`];
    expect(learn(said, { memory: facts })).toEqual([replace("fact-1", said)]);
  });

  test.each([
    ["Tom prefers afternoons.", "Tom prefers afternoons"],
    ["Tom prefers afternoons.", "Eve prefers mornings"],
    ["Ada no longer works at Acme.", "Ada works at Beta"],
    ["Tom is in Oslo", "Tom is called Tommy"],
  ])("%s: is added beside: %s", (said, before) => {
    expect(learn(said, { memory: [`[fact-1] ${before}`] })).toEqual([add("memory", said)]);
  });

  test("are not replaced by what is no statement", () => {
    const said = "My tone is too formal.";
    expect(learn(said, { memory: ["[fact-1] My tone is friendly"] })).toEqual([add("agent_instructions", said)]);
  });

  test.each([
    ["Forget that Tom prefers mornings.", "tom prefers mornings"],
    ["forget: Tom prefers mornings", "Tom prefers mornings."],
    ["Please forget that\n“Tom prefers mornings”.", "Tom prefers mornings."],
    ["Forget that the launch is in May", "Remember that the launch is in May."],
    ["Forget that Ana is the boss. She left.", "Ana is the boss. She left."],
  ])("are taken back by: %s", (said, before) => {
    const facts = ["[fact-1] Tom is in Oslo", `[fact-2] ${before}`];
    expect(learn(said, { memory: facts, agent_instructions: [`[r-1] ${before}`] })).toEqual([
      { target: "memory", action: "retire", rule: "fact-2", text: null, evidence: said },
    ]);
  });

  test.each(["Forget that Tom prefers", "Forget that Tom prefers mornings and tea", "Forget: mornings"])(
    "are not taken back by words that are not all of theirs, and nothing is learnt: %s",
    (said) => {
      expect(learn(said, { memory: ["[fact-1] Tom prefers mornings"] })).toEqual([]);
    },
  );

  test.each([
    ["Sign my emails with Mona.", "Sign my emails with M.", "agent_instructions"],
    ["Notify me about emails from shop.example", "Ignore emails from shop.example", "triage_notify"],
  ])("are no rules, even where they read like one: %s", (said, before, target) => {
    expect(learn(said, { memory: [`[fact-1] ${before}`] })).toEqual([add(target, said)]);
    expect(learn(`Forget the rule "${before}"`, { memory: [`[fact-1] ${before}`] })).toEqual([]);
  });
});

describe("words put into a draft", () => {
  const edit = (text: string) => learnFrom([block("edit", text)]);

  test.each([
    ["The date is fixed.\nKind regards,\nNora L.", "Nora L.", "Nora L."],
    ["Kind regards, Nora", "Nora", "Kind regards, Nora"],
    ["Best,\nNora", "Nora", "Nora"],
    ["Regards,\nÅse Øy-Dahl O’Neil Berg", "Åse Øy-Dahl O’Neil Berg", "Åse Øy-Dahl O’Neil Berg"],
    ["Best regards, Nora\nPS: bring cake", "Nora", "Best regards, Nora"],
    ["Cheers, N.", "N.", "Cheers, N."],
    ["Thanks, Nora", "Nora", "Thanks, Nora"],
    ["Kind\nNora", "Nora", "Nora"],
    ["The date is fixed.\nNora L.", "Nora L.", "Nora L."],
  ])("teach a sign-off: %j", (inserted, name, evidence) => {
    expect(edit(inserted)).toEqual([add("agent_instructions", `Sign emails with ${name}`, evidence)]);
  });

  test.each([
    "the date is fixed by now",
    "Kind regards,",
    "Kind",
    "Monday",
    "Dear Dr Berg",
    "Thanks Tom",
    "Thanks, Tom will call",
    "Nora L.\nthe date is fixed",
    "Best, A B C D E",
    "Kind regards,\nthe date is fixed",
  ])("teach nothing else: %j", (inserted) => {
    expect(edit(inserted)).toEqual([]);
  });

  test("do not count beside words of feedback", () => {
    const blocks = [block("feedback", "Be kind."), block("edit", "Kind regards, Nora")];
    expect(learnFrom(blocks)).toEqual([add("agent_instructions", "Be kind.")]);
    expect(learnFrom([block("feedback", "Thanks!"), block("edit", "Kind regards, Nora")])).toEqual([]);
  });
});

test("a target that is not offered becomes the first that is, and is not memory", () => {
  const ask = (feedback: string, targets: string[]) => learnFrom([block("feedback", feedback)], targets);
  expect(ask("Be kind.", ["memory", "summary", "triage"])).toEqual([add("summary", "Be kind.")]);
  expect(ask("Ana is the boss.", ["summary", "memory"])).toEqual([add("memory", "Ana is the boss.")]);
});

test("is learnt in linear time, however long and odd the words are", () => {
  const begun = performance.now();
  for (const piece of ["thank you ", "great very ", "Nora ", "Sign my emails with A. ", "Best, ", "always please "]) {
    learn(`${piece.repeat(5_000)}x`, { agent_instructions: [`[r-1] ${piece.repeat(1_000)}`] });
    learn(`Forget that ${piece.repeat(5_000)}x`, { memory: [`[fact-1] ${piece.repeat(1_000)}`] });
    learn(`Ana is ${piece.repeat(5_000)}x`, { memory: [`[fact-1] Ana is ${piece.repeat(1_000)}`] });
    learnFrom([block("edit", `${piece.repeat(5_000)}x`)]);
  }
  expect(performance.now() - begun).toBeLessThan(5_000);
});

test("a client that asks for the schema of operations, strictly, gets them parsed", async () => {
  const operation = z.object({
    target: z.enum(TARGETS),
    action: z.enum(["add", "replace", "retire"]),
    rule: z.string().nullable(),
    text: z.string().nullable(),
    evidence: z.string(),
  });
  const asked = chatClient(await start()).withStructuredOutput(z.object({ operations: z.array(operation) }), {
    name: "learn",
    method: "jsonSchema",
    strict: true,
  });
  const said = await asked.invoke([
    new SystemMessage("Learn."),
    new HumanMessage(block("feedback", "Ignore emails from shop.example")),
  ]);
  expect(said).toEqual({ operations: [add("triage_ignore", "Ignore emails from shop.example")] });
});
