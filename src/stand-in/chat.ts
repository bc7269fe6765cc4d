import { asLabel, oneLine, sentences } from "./prompt-reader.ts";
import type { Answer, ChatRequest } from "./wire.ts";

const MOST_LINES = 20;

/** A form of sentence, and the call that it stands for. */
interface Form {
  tool: string;
  says: RegExp;
  args(found: RegExpExecArray): Record<string, unknown>;
}

const FORMS: readonly Form[] = [
  {
    tool: "manage_memory",
    says: /^(?:please,? )?(?:remember|note)(?: that|:) (.+)$/i,
    args: ([, content]) => ({ content, action: "create", id: null }),
  },
  {
    tool: "manage_memory",
    says: /^(?:please,? )?forget (?:memory )?\[?(fact-[0-9a-f]+|pending-[0-9a-f]+)\]?[.!]?$/i,
    args: ([, id]) => ({ content: null, action: "delete", id }),
  },
  {
    tool: "search_memory",
    says: /^what do you (?:know|remember) (?:about|of) (.+?)\??$/i,
    args: ([, query]) => ({ query }),
  },
  {
    tool: "list_emails",
    says: /^(?:which|what) (?:e-?mails?|mails?|messages?)\b.*$/i,
    args: ([text]) => {
      const [, quoted, word] = /\b(?:from|about) (?:"([^"]+)"|([^\s?]+))/i.exec(text) ?? [];
      return { words: quoted ?? word ?? null, label: asLabel(/\b(?:ignore|notify|respond)/i.exec(text)?.[0]) ?? null };
    },
  },
  {
    tool: "read_email",
    says: /^(?:please,? )?(?:read|show|open) (?:me )?(?:the )?(?:e-?mail|mail|message) \[?(\S+?)\]?[.?]?$/i,
    args: ([, id]) => ({ id }),
  },
  { tool: "list_reviews", says: /^what (?:waits|is waiting)\b/i, args: () => ({}) },
  { tool: "show_rules", says: /^(?:why\b|(?:what|which) rules\b)/i, args: () => ({}) },
  { tool: "give_feedback", says: /^(?:from now on|always|never)\b.*$/i, args: ([text]) => ({ text }) },
];

/**
 * Answers a message of a chat. Of the last user message, the first sentence of one of these forms (any case of letters;
 * "Please" may be left out where it stands) calls a tool, if that is offered:
 *
 * - [please] remember|note that|: S: `manage_memory`, create S; [please] forget [memory] fact-ID|pending-ID: delete it
 * - what do you know|remember about|of X?: `search_memory` X
 * - which|what emails|mails|messages ...: `list_emails`, with X behind from|about, one word or "WORDS", and with the first
 *   label that the sentence names (also within a word: "ignored")
 * - [please] read|show|open [me] [the] email|mail|message ID: `read_email`
 * - what waits|is waiting ...: `list_reviews`
 * - why ...; what|which rules ...: `show_rules`
 * - from now on|always|never ...: `give_feedback` with the whole sentence
 *
 * Once there are results after that message, it repeats their first 20 lines as they stand, whatever they say. Any other
 * message gets an answer that says what this is.
 */
export function chat({ messages, tools }: ChatRequest): Answer {
  const last = messages.findLastIndex(({ role }) => role === "user");
  const results = messages.slice(last + 1).filter(({ role }) => role === "tool");
  if (results.length > 0) {
    const lines = results.flatMap(({ text }) => text.split("\n")).slice(0, MOST_LINES);
    return { content: ["[stand-in] I was told:", ...lines].join("\n"), calls: [] };
  }
  for (const sentence of sentences(messages[last]?.text ?? "")) {
    for (const { tool, says, args } of FORMS) {
      const found = tools.has(tool) ? says.exec(oneLine(sentence)) : null;
      if (found) return { content: "", calls: [{ name: tool, args: args(found) }] };
    }
  }
  const forms = '"what do you know about X", "remember that X", "which emails", "what rules", "from now on X"';
  return { content: `[stand-in] I am no language model and understand a few forms only: ${forms}.`, calls: [] };
}
