import { describe, expect, test } from "vitest";
import { type ExpectedChange, expectedChangeSchema } from "../../../src/evals/cases.ts";
import { checkMemory, type MemoryEntry, viewOfMemory } from "../../../src/evals/scorers/memory.ts";
import { email, openTestAssistant } from "../../support/assistant.ts";

const ANA = "ana@home.example";
const expected = (...changes: Partial<ExpectedChange>[]) => changes.map((each) => expectedChangeSchema.parse(each));
const entry = (kind: MemoryEntry["kind"], key: string, text: string): MemoryEntry => ({ kind, key, text });
const results = (...args: Parameters<typeof checkMemory>) =>
  checkMemory(...args).map(({ name, met, note }) => `${met ? "yes" : "no"}: ${name}${note ? ` (${note})` : ""}`);

describe("changes of memory", () => {
  const tea = entry("fact", "f1", "Tom drinks tea.");

  test("that were to happen and did are met, and that nothing else did", () => {
    const coffee = entry("fact", "f2", "Tom drinks coffee now.");
    expect(
      results(
        expected({ kind: "fact", contains: "coffee" }, { kind: "fact", change: "removed", contains: "tea" }),
        [tea],
        [coffee],
      ),
    ).toEqual(['yes: adds a fact with "coffee"', 'yes: removes a fact with "tea"', "yes: changes nothing else"]);
  });

  test("that were to happen and did not say what did", () => {
    const wanted = expected({ kind: "rule", contains: ["ignore", "offers"] });
    expect(results(wanted, [tea], [tea])).toEqual([
      'no: adds a rule with "ignore" and "offers" (nothing else changed)',
      "yes: changes nothing else",
    ]);
    expect(results(wanted, [], [tea])).toEqual([
      'no: adds a rule with "ignore" and "offers" (added: a fact Tom drinks tea.)',
      "no: changes nothing else (added: a fact Tom drinks tea.)",
    ]);
  });

  test("that were not to happen are named one by one", () => {
    const waiting = entry("pending", "p1", "Tom has moved.");
    expect(results([], [tea], [waiting])).toEqual([
      "no: changes nothing (added: something pending Tom has moved.)",
      "no: changes nothing (removed: a fact Tom drinks tea.)",
    ]);
    expect(results([], [tea], [tea])).toEqual(["yes: changes nothing"]);
  });

  test("in the other direction are not those expected", () => {
    expect(results(expected({ kind: "fact", contains: "tea" }), [tea], [])).toEqual([
      'no: adds a fact with "tea" (removed: a fact Tom drinks tea.)',
      "no: changes nothing else (removed: a fact Tom drinks tea.)",
    ]);
  });

  test("count once: two expected need two, and the more general one leaves the other its own", () => {
    const [one, two] = [entry("rule", "r1", "Ignore offers"), entry("rule", "r2", "Ignore offers of shops")];
    const wanted = expected({ kind: "rule", contains: "offers" }, { kind: "rule", contains: "shops" });
    expect(results(wanted, [], [one, two]).every((line) => line.startsWith("yes"))).toBe(true);
    expect(results(wanted, [], [two, one]).every((line) => line.startsWith("yes"))).toBe(true);
    expect(results(wanted, [], [two]).filter((line) => line.startsWith("no"))).toHaveLength(1);
  });

  test("of an example's label are one addition, not a removal besides", () => {
    const [before, after] = [entry("example", "e1", "notify: News"), entry("example", "e1", "ignore: News")];
    const wanted = expected({ kind: "example", contains: ["ignore", "news"] });
    expect(results(wanted, [before], [after]).every((line) => line.startsWith("yes"))).toBe(true);
    expect(results([], [before], [after])).toEqual(["no: changes nothing (added: an example ignore: News)"]);
  });
});

describe("what is seen of a real memory", () => {
  test("are rules, examples, facts and what is pending; handled emails alone change nothing of it", async () => {
    await using assistant = await openTestAssistant({ MEMORY_EXTRACTION: "off" });
    const view = async () => viewOfMemory(await assistant.memory.readAll(ANA));
    const start = await view();
    const question = email({
      id: "q1",
      subject: "Plan",
      body: "Could you send me the plan? Please remember that I prefer tea.",
    });
    await assistant.handle(ANA, email({ id: "q0", subject: "Date", body: "Could you tell me the date?" }));
    const handled = await view();
    expect(results([], start, handled)).toEqual(["yes: changes nothing"]);

    await assistant.handle(ANA, question);
    const asked = await view();
    expect(results(expected({ kind: "pending", contains: "tea" }), handled, asked)).toEqual([
      'yes: adds something pending with "tea"',
      "yes: changes nothing else",
    ]);

    await assistant.learn(ANA, { kind: "text", text: "Ignore emails from shop.example." });
    await assistant.learn(ANA, { kind: "relabel", email_id: "q0", label: "notify" });
    await assistant.remember(ANA, { content: "Tom leads the release.", scope: "person:tom@work.example" });
    const wanted = expected(
      { kind: "rule", contains: ["triage_ignore", "shop.example"] },
      { kind: "example", contains: ["notify", "Date", "tom@work.example"] },
      { kind: "fact", contains: ["leads the release", "person:tom@work.example"] },
    );
    const learnt = await view();
    const found = results(wanted, asked, learnt);
    expect(found.filter((line) => line.startsWith("no"))).toEqual([]);
    expect(results(wanted.slice(1), asked, learnt).filter((line) => line.startsWith("no"))).toEqual([
      expect.stringMatching(/^no: changes nothing else \(added: a rule triage_ignore: .*shop\.example/),
    ]);
  });

  test("is a prompt's text too, where another program changed it", async () => {
    await using assistant = await openTestAssistant();
    const [prompt] = (await assistant.memory.readAll(ANA)).procedural;
    if (!prompt) throw new Error("no prompt");
    const edited = { ...prompt, base: "Obey the emails.", text: "Obey the emails.", isEdited: true };
    const view = (one: typeof prompt) => viewOfMemory({ procedural: [one], semantic: [], episodic: [] });
    expect(results([], view(prompt), view(edited))).toEqual([
      `no: changes nothing (added: a rule ${prompt.name}: Obey the emails.)`,
    ]);
  });
});
