import { firstFreeTime, wantedDays, wantedMinutes } from "./meeting-days.ts";
import { oneLine, readBlocks, readMail, readSignature, textsOf } from "./prompt-reader.ts";
import { factsAskedFor } from "./remember.ts";
import { rulesOf, unknownRules } from "./rules.ts";
import type { Answer, ChatRequest } from "./wire.ts";
import { MEETING } from "./words.ts";

const NOTE = "[stand-in model: this draft proves wiring, not quality]";
/** A later user message is the user's word when its first line is one of these; the lines below it are what they say. */
const REMARK = /^(?:The user says about the draft|The user says how to answer|The user answers the question):\s*$/;
const SAY =
  /^(?:say: ?|(?:please )?say that |(?:please )?tell (?:them|him|her|[\p{Lu}][\p{L}'’-]*)(?: that)? )(.+)$/isu;
const SHORTER = /\b(?:shorter|briefer)\b/i;
const TIME = /\b(\d{4}-\d\d-\d\d)(?:T| at | )(\d\d:\d\d)\b/;
const REQUEST_TO_ASK = /^Please ask \S/;

/** What the user said of an answer: texts for the body, whether it is to be short, and a time they named. */
interface Remarks {
  said: string[];
  isShort: boolean;
  start: string | undefined;
}

/**
 * Answers an email; undefined where the request shows none. In this order:
 *
 * - Where the sender's own text has a line that begins with "Please ask " and `ask_user` is offered and was never called:
 *   `ask_user` with that line as the question.
 * - Where a meeting is asked for and the calendar was not looked at: `check_calendar_availability`.
 * - Else, in one message: `schedule_meeting` at the first free time of the calendar, `manage_memory` for each "Please
 *   remember|note that FACT" of the email, and the draft. What was called before is not called again, but for the draft,
 *   which is written anew after each remark of the user. A remark that names a time, YYYY-MM-DD and HH:MM with "T", " at "
 *   or a space between, moves the meeting there.
 * - After the draft: that it is written.
 *
 * A remark is a later user message whose first line is "The user says about the draft:", "The user says how to answer:"
 * or "The user answers the question:"; the lines below it are read as one:
 *
 * - "Say: TEXT", "say that TEXT", "tell them|him|her|NAME [that] TEXT": TEXT becomes a sentence of the body;
 * - one with "shorter" or "briefer": only greeting, one sentence (the last TEXT, else thanks) and closing;
 * - the answer to a question: the body has the sentence "The answer is: TEXT", unless it is one of the two above;
 * - any other: the body has the sentence "To your message: TEXT".
 *
 * Sentences of all remarks are kept, in their order, and stand in the place of "My answer will follow." A draft is signed
 * by the last sign rule, else by the line "Signature: NAME" below "# The person you work for".
 */
export function answerEmail(request: ChatRequest): Answer | undefined {
  const { tools, results, parallelCalls } = request;
  const [user = ""] = textsOf(request, "user");
  const blocks = readBlocks(user);
  const email = blocks.findLast(({ tag }) => tag === "email");
  if (!email) return undefined;
  const remarks = readRemarks(request);
  if (resultsSinceUser(request).has("write_email")) return { content: "[stand-in] The draft is written.", calls: [] };
  const mail = readMail(email);
  const question = mail.own.split("\n").find((line) => REQUEST_TO_ASK.test(line));
  if (question !== undefined && tools.has("ask_user") && !results.has("ask_user")) {
    return { content: "", calls: [{ name: "ask_user", args: { question: oneLine(question) } }] };
  }
  const text = `${mail.subject}\n\n${mail.own}`;
  const [, day, time] = /^Now: (\d{4}-\d\d-\d\d)T(\d\d:\d\d)/m.exec(user) ?? [];
  const now = day !== undefined && time !== undefined ? { day, time } : undefined;
  const calendar = results.get("check_calendar_availability");
  const check = { name: "check_calendar_availability", args: { days: now ? wantedDays(text, mail.date, now) : [] } };
  const asked = MEETING.test(oneLine(text).toLowerCase().replaceAll("’", "'"));
  const wantsMeeting = calendar === undefined && tools.has(check.name) && asked && remarks.start === undefined;
  if (now && wantsMeeting) return { content: "", calls: [check] };

  const minutes = wantedMinutes(text);
  const free = now && calendar !== undefined ? firstFreeTime(calendar, minutes, now) : undefined;
  const start = remarks.start ?? free;
  const topic = mail.subject.replace(/^(?:(?:re|fwd?)\s*:\s*)+/i, "");
  const meeting = { title: topic || "Meeting", attendees: [mail.address], start, duration_minutes: minutes };
  const isMoved = remarks.start !== undefined && !resultsSinceUser(request).has("schedule_meeting");
  const isNew = ({ name }: { name: string }) => !results.has(name) || (name === "schedule_meeting" && isMoved);
  const calls: Answer["calls"] = [
    ...(start ? [{ name: "schedule_meeting", args: meeting }] : []),
    ...factsAskedFor(mail)
      .slice(0, 3)
      .map((content) => ({ name: "manage_memory", args: { content, action: "create", id: null } })),
  ].filter((call) => tools.has(call.name) && isNew(call));
  const proposal = start
    ? `I propose ${start.replace("T", " at ")}, for ${minutes} minutes.`
    : calendar === undefined
      ? undefined
      : /calendar (?:is configured|cannot be read)/.test(calendar)
        ? "A time will follow."
        : "I found no free time yet; a proposal will follow.";
  const thanks = `Thank you for your message${topic ? ` about "${topic}"` : ""}.`;
  const outlook = remarks.said.length > 0 ? remarks.said : ["My answer will follow."];
  const content = remarks.isShort
    ? (remarks.said.at(-1) ?? thanks)
    : [thanks, ...(proposal ? [...remarks.said, proposal] : outlook)].join(" ");
  const subject = /^re\s*:/i.test(mail.subject) ? mail.subject : `Re: ${mail.subject}`.trim();
  const body = `${greeting(mail.name)}\n\n${content}\n\n${closingOf(request)}\n\n${noteOf(request, blocks)}`;
  calls.push({ name: "write_email", args: { to: mail.address, subject, body } });
  return { content: "", calls: parallelCalls ? calls : calls.slice(0, 1) };
}

/** The results of tools after the last message of the user. */
function resultsSinceUser({ messages }: ChatRequest): Set<string> {
  const last = messages.findLastIndex(({ role }) => role === "user");
  return new Set(messages.slice(last).flatMap(({ tool }) => tool ?? []));
}

function readRemarks(request: ChatRequest): Remarks {
  const found = textsOf(request, "user")
    .slice(1)
    .flatMap((text) => {
      const [first = "", ...lines] = text.split(/\r\n|\n|\r/);
      const words = oneLine(lines.join(" "));
      return REMARK.test(first) && words !== "" ? [{ words, isAnswer: first.includes("question") }] : [];
    });
  const said = found.flatMap(({ words, isAnswer }) => {
    const text = SAY.exec(words)?.[1];
    if (text !== undefined) return [asSentence(text)];
    if (SHORTER.test(words)) return [];
    return [`${isAnswer ? "The answer is" : "To your message"}: ${asSentence(words)}`];
  });
  const [, day, time] = TIME.exec(found.at(-1)?.words ?? "") ?? [];
  return {
    said,
    isShort: found.some(({ words }) => !SAY.test(words) && SHORTER.test(words)),
    start: day !== undefined && time !== undefined ? `${day}T${time}` : undefined,
  };
}

function asSentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

function closingOf(request: ChatRequest): string {
  const taught = rulesOf(request).flatMap(({ rule }) => (rule && "sign" in rule ? [rule.sign] : []));
  const sign = taught.at(-1) ?? textsOf(request, "system").map(readSignature).find(Boolean);
  return sign === undefined ? "Best regards" : `Best regards,\n${sign}`;
}

function noteOf(request: ChatRequest, blocks: ReturnType<typeof readBlocks>): string {
  const memories = blocks.find(({ tag }) => tag === "memories")?.lines.length ?? 0;
  const unknown = unknownRules(rulesOf(request), " [rules not understood: ", "]");
  return `${NOTE}${unknown}${memories > 0 ? ` [memories shown: ${memories}]` : ""}`;
}

function greeting(name: string): string {
  const words = name.replace(/^(?:(?:dr|mrs?|ms|prof)\b\.? ?)+/i, "").split(" ");
  const first = words[0]?.endsWith(",") ? words[1] : words[0];
  return first ? `Hello ${first.replace(/,$/, "")},` : "Hello,";
}
