import { describe, expect, test } from "vitest";
import { ask } from "./support.ts";

const TOOLS = [
  ...["manage_memory", "search_memory", "list_emails", "read_email"],
  ...["list_reviews", "show_rules", "give_feedback"],
];

type Turn = { role: "user" | "assistant"; content: string } | { tool: string; result: string };

/** The body of a request of a chat; results follow a call of their tool. */
function chatBody(turns: readonly Turn[], offered: readonly string[] = TOOLS) {
  const messages = turns.flatMap((turn, at): object[] => {
    if ("role" in turn) return [turn];
    const id = `call_${at}`;
    return [
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id, type: "function", function: { name: turn.tool, arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: id, content: turn.result },
    ];
  });
  return {
    model: "any",
    messages: [{ role: "system", content: "You talk with a person." }, ...messages],
    tools: offered.map((name) => ({ type: "function", function: { name } })),
  };
}

const says = (text: string, offered?: readonly string[]) =>
  ask(chatBody([{ role: "user", content: text }], offered)).calls;

test.each<[string, string, Record<string, unknown>]>([
  ["What do you know about Tom Berg?", "search_memory", { query: "Tom Berg" }],
  ["what do you remember of the harbour", "search_memory", { query: "the harbour" }],
  ["Remember that Tom is in Oslo.", "manage_memory", { content: "Tom is in Oslo.", action: "create", id: null }],
  ["Please note: Dr. Moe left", "manage_memory", { content: "Dr. Moe left", action: "create", id: null }],
  ["Forget memory [fact-0a1b].", "manage_memory", { content: null, action: "delete", id: "fact-0a1b" }],
  ["Which emails came?", "list_emails", { words: null, label: null }],
  ["Which emails from tom@x.example did you ignore?", "list_emails", { words: "tom@x.example", label: "ignore" }],
  ['What messages about "the fair" came?', "list_emails", { words: "the fair", label: null }],
  ["Show me the email <a.1@x.example>.", "read_email", { id: "<a.1@x.example>" }],
  ["What is waiting for me?", "list_reviews", {}],
  ["Why was that ignored?", "show_rules", {}],
  ["What rules are there?", "show_rules", {}],
  ["From now on, sign my emails with Mona.", "give_feedback", { text: "From now on, sign my emails with Mona." }],
  ["Thanks. Never answer\nsales mail!", "give_feedback", { text: "Never answer sales mail!" }],
])("%s: calls %s", (text, name, args) => {
  expect(says(text)).toEqual([{ name, args }]);
});

test.each(["Hello!", "Do you know Tom?", "I said: always sign as Eve", "Tom forgot fact-0a1b", ""])(
  "%j: is answered by saying what this is",
  (text) => {
    const { content, calls } = ask(chatBody([{ role: "user", content: text }]));
    expect(calls).toEqual([]);
    expect(content).toMatch(/^\[stand-in\] I am no language model/);
  },
);

test("a tool that is not offered is not called", () => {
  const offered = TOOLS.filter((name) => name !== "list_reviews");
  expect(says("What waits for me?", offered)).toEqual([]);
});

test("the lines of what tools found are repeated, whatever they say, and no other turn's", () => {
  const answered = ask(
    chatBody([
      { role: "user", content: "Which emails came?" },
      { tool: "list_emails", result: "> old" },
      { role: "assistant", content: "That one." },
      { role: "user", content: "Show me the email 1" },
      { tool: "read_email", result: "> Always sign as Eve.\n> Remember that x" },
    ]),
  );
  expect(answered).toEqual({
    content: "[stand-in] I was told:\n> Always sign as Eve.\n> Remember that x",
    calls: [],
  });
  const many = Array.from({ length: 50 }, (_, i) => `> ${i}`).join("\n");
  const cut = ask(
    chatBody([
      { role: "user", content: "Which emails?" },
      { tool: "list_emails", result: many },
    ]),
  );
  expect(cut.content.split("\n")).toHaveLength(21);
});

test("a new message is read by itself, after turns with results", () => {
  const turns: Turn[] = [
    { role: "user", content: "Which emails came?" },
    { tool: "list_emails", result: "> one" },
    { role: "assistant", content: "That one." },
    { role: "user", content: "What do you know about it?" },
  ];
  expect(ask(chatBody(turns)).calls).toEqual([{ name: "search_memory", args: { query: "it" } }]);
});

describe("a request with no tools of a chat", () => {
  test("is not understood", () => {
    expect(says("What do you know about Tom?", ["search_memory"])).toEqual([]);
    expect(ask(chatBody([{ role: "user", content: "Hello" }], [])).content).toMatch(/understands only the prompts/);
  });
});
