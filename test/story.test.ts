import { describe, expect, test } from "vitest";
import { email, openTestAssistant, temporaryFolder } from "./support/assistant.ts";

// The first test to read: what Mnemail does, in the order in which a user meets it.

const ANA = "ana@home.example";
const BEN = "ben@home.example";

const question = email({
  id: "q1",
  subject: "Release date",
  body: "Hi Ana,\n\ncould you tell me when the next release is planned?\n\nThanks\nTom",
});
const advert = email({
  id: "a1",
  from: "Big Shop <news@shop.example>",
  subject: "70% off everything this weekend",
  body: "Our biggest sale of the year. Shop now! Unsubscribe here.",
});

describe("the story of an email", () => {
  test("it arrives, is triaged and answered; feedback changes the next answer, after a restart too; nobody else is touched", async () => {
    using folder = temporaryFolder();
    const environment = { STORE_URL: `sqlite:${folder.path("memory.db")}` };

    {
      await using assistant = await openTestAssistant(environment);

      // An email arrives: a person asks, so it is answered. Nothing is sent; the draft waits.
      const first = await assistant.handle(ANA, question);
      expect(first).toMatchObject({ status: "done", label: "respond" });
      expect(first.draft).toMatchObject({ to: "tom@work.example", subject: "Re: Release date" });
      expect(first.draft?.body).not.toContain("Ana B.");

      // Nobody wrote this one to Ana, so it is left alone.
      expect(await assistant.handle(ANA, advert)).toMatchObject({ status: "done", label: "ignore", draft: null });

      // Ana says what she wants. Her words become one rule of one prompt, and she gets a receipt.
      const said = "Always sign my emails with Ana B.";
      const { receipt } = await assistant.learn(ANA, { kind: "text", text: said });
      expect(receipt.changes).toMatchObject([
        { kind: "rule", status: "live", prompt: "agent_instructions", text: said, evidence: said, version: 1 },
      ]);
      expect(receipt.gate?.verdict).toBe("not measurable");
      expect(receipt.usage.before.model_calls).toBe(1);

      // She also says that this shop's mail matters to her after all: a labelled example.
      await assistant.learn(ANA, { kind: "relabel", email_id: "a1", label: "notify" });

      // The same emails are treated differently at once.
      expect((await assistant.handle(ANA, question)).draft?.body).toContain("Ana B.");
      expect((await assistant.handle(ANA, advert)).label).toBe("notify");
    }

    // The process ends; another one opens the same file.
    await using assistant = await openTestAssistant(environment);

    const again = await assistant.handle(ANA, question);
    expect(again.draft?.body).toContain("Ana B.");
    expect(again.memories.map((memory) => memory.kind)).toEqual(expect.arrayContaining(["procedural", "episodic"]));
    expect((await assistant.handle(ANA, advert)).memories).toContainEqual(
      expect.objectContaining({ kind: "semantic", key: "a1" }),
    );

    // Ben uses the same installation. He sees nothing of it.
    const forBen = await assistant.handle(BEN, question);
    expect(forBen.draft?.body).not.toContain("Ana B.");
    expect(forBen.memories).toEqual([]);
    expect((await assistant.handle(BEN, advert)).label).toBe("ignore");
    expect((await assistant.memory.readAll(BEN)).semantic).toEqual([]);
  });

  test("a rule is tried on past decisions, goes live, outlives a restart, and is taken back", async () => {
    using folder = temporaryFolder();
    const environment = { STORE_URL: `sqlite:${folder.path("memory.db")}` };
    const rule = "Ignore emails from tom@work.example";

    {
      await using assistant = await openTestAssistant(environment);
      for (const user of [ANA, BEN]) expect((await assistant.handle(user, question)).label).toBe("respond");
      await assistant.handle(ANA, advert);
      await assistant.learn(ANA, { kind: "relabel", email_id: "a1", label: "ignore" });

      // The rule can do nothing to the one email Ana labelled, so nothing speaks against it.
      const { receipt } = await assistant.learn(ANA, { kind: "text", text: rule });
      expect(receipt.changes).toMatchObject([{ kind: "rule", status: "live", prompt: "triage_ignore", version: 1 }]);
      expect(receipt.gate).toMatchObject({ verdict: "live", tested: 0, listed: [{ id: "q1", after: "ignore" }] });

      // The same email is decided differently.
      expect((await assistant.handle(ANA, question)).label).toBe("ignore");
    }

    // After a restart too; and Ana can see why.
    await using assistant = await openTestAssistant(environment);
    expect((await assistant.handle(ANA, question)).label).toBe("ignore");
    const decision = await assistant.memory.findDecision(ANA, "q1");
    expect(decision?.prompts).toContainEqual({ name: "triage_ignore", version: 1 });
    expect(decision?.memories).toContainEqual(expect.objectContaining({ kind: "procedural", content: rule }));

    // She takes it back: a new version, with the old behaviour.
    const act = { actor: ANA, channel: "test", at: "2026-03-02T09:00:00.000Z" };
    expect((await assistant.memory.ledger.rollback(ANA, "triage_ignore", undefined, act)).version).toBe(2);
    expect((await assistant.handle(ANA, question)).label).toBe("respond");

    // Ben never saw any of it.
    expect((await assistant.handle(BEN, question)).label).toBe("respond");
    expect((await assistant.memory.ledger.histories(BEN)).triage_ignore.versions).toHaveLength(1);
    expect((await assistant.memory.readAll(BEN)).semantic).toEqual([]);
  });

  test("the three kinds of memory are there to be read", async () => {
    await using assistant = await openTestAssistant();
    await assistant.handle(ANA, question);
    await assistant.learn(ANA, { kind: "text", text: "Always sign my emails with Ana B." });
    await assistant.learn(ANA, { kind: "text", text: "Tom Berg is our contact for releases." });
    await assistant.learn(ANA, { kind: "relabel", email_id: "q1", label: "respond" });

    const { procedural, semantic, episodic } = await assistant.memory.readAll(ANA);
    expect(procedural.map(({ name, rules }) => [name, rules.length])).toEqual([
      ["triage_ignore", 0],
      ["triage_notify", 0],
      ["triage_respond", 0],
      ["agent_instructions", 1],
    ]);
    expect(semantic).toMatchObject([{ key: "q1", record: { label: "respond" } }]);
    expect(episodic.map(({ record }) => [record.kind, record.trust]).sort()).toEqual([
      ["conversation", "mail"],
      ["fact", "user"],
    ]);
  });
});
