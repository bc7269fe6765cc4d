import { describe, expect, test } from "vitest";
import { affectedBy } from "../../src/learning/scope.ts";
import { compareEmail, type Rule } from "../../src/memory/records.ts";
import { email } from "../support/assistant.ts";
import { ruleOf } from "../support/lesson.ts";

const from = (address: string, body = "Hello", list?: string) => ({
  ...compareEmail(email({ from: `Someone <${address}>`, body })),
  ...(list === undefined ? {} : { list_id: list }),
});
const [news, other] = [from("news@shop.example"), from("tom@work.example")];
const added = (rule: Rule) => affectedBy([{ op: "add", rule }], []);

describe("the emails that a change can affect", () => {
  test.each([{ from: "news@shop.example" }, { domain: "shop.example" }])(
    "are those that a relabel's rule matches, whatever its words: %j",
    (match) => {
      const affects = added({ ...ruleOf("Label emails as ignore"), match });
      expect([affects(news), affects(other)]).toEqual([true, false]);
    },
  );

  test("are those of the list that a relabel's rule names", () => {
    const affects = added({ ...ruleOf("Label emails as ignore"), match: { list_id: "crew.harbour.example" } });
    expect([affects(from("x@y.example", "", "crew.harbour.example")), affects(news)]).toEqual([true, false]);
  });

  test.each([
    "Ignore emails from shop.example",
    "Always ignore all emails from news@shop.example",
    "Label emails from SHOP.example as ignore.",
    "Ignore emails from shop.example, mart.example and from deals@bazaar.example",
  ])("are those in which a name stands that the rule is about: %s", (text) => {
    const affects = added(ruleOf(text));
    expect([affects(news), affects(other)]).toEqual([true, false]);
    expect(affects(from("tom@work.example", "As news@shop.example wrote."))).toBe(true);
    expect(affects(from("news@workshop.example"))).toBe(false);
    expect(affects(from("tom@work.example", "as news@shop.example.org wrote"))).toBe(false);
  });

  test.each([
    "Ignore newsletters",
    "Ignore everything except emails from shop.example",
    "Answer only emails from shop.example",
    "Never answer anyone but people from shop.example",
    "Ignore emails like those from shop.example",
    "Alles außer shop.example ignorieren",
    "shop.example is fine, the others are not",
    "Ignore emails from shop.example and newsletters",
    "Ignore newsletters and emails from shop.example",
    "Ignore mail that isn't from shop.example",
    "Ignore all mail apart from shop.example",
    "Ignore all mail excluding mail from shop.example",
    "Ignore newsletters as well as mail from shop.example",
    "Notify me when anybody complains about mail from shop.example",
    "Skip newsletters. Ignore emails from shop.example",
    "Skip newsletters - ignore emails from shop.example",
    "Ignore emails from shop.example when they are about sales, else answer",
    "Ignore emails that mention shop.example and newsletters",
  ])("are all, where the rule says more than a name: %s", (text) => {
    expect(added(ruleOf(text))(other)).toBe(true);
  });

  test("are those of the old rule and of the new one when a rule is replaced or retired", () => {
    const [old, next] = [ruleOf("Ignore emails from shop.example"), ruleOf("Ignore emails from work.example")];
    if (!old || !next) throw new Error("two rules");
    const third = from("z@third.example");
    const replaced = affectedBy([{ op: "replace", id: old.id, rule: next }], [old]);
    expect([replaced(news), replaced(other), replaced(third)]).toEqual([true, true, false]);
    const retired = affectedBy([{ op: "retire", id: old.id, evidence: "" }], [old, next]);
    expect([retired(news), retired(other)]).toEqual([true, false]);
  });
});
