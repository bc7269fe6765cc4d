import type { ChatRequest } from "./wire.ts";

/** Characters of one message that are read: more than Mnemail sends, and a bound on the work for one request. */
const TEXT_LIMIT = 100_000;
const HEADER_LIMIT = 1_000;
const OPENING =
  /^<(email|example|memories|fact|feedback|edit|rules)(?: label="(ignore|notify|respond)")?(?: prompt="([\w.-]{1,100})")?>$/;

/** The three labels of triage. */
export type Label = "ignore" | "notify" | "respond";

/** One block of quoted lines, such as `<email>`, with the quoting taken off. */
export interface Block {
  tag: string;
  label: Label | undefined;
  /** The prompt whose rules a block lists. */
  prompt: string | undefined;
  lines: string[];
}

/** An email as a block shows it. `own` is what the sender wrote: no quoted or forwarded mail below it. */
export interface Mail {
  /** The sender's address, lower-case. */
  address: string;
  /** The sender's display name; empty when there is none. */
  name: string;
  subject: string;
  /** The Date header as it stands. */
  date: string;
  /** The id of the mailing list, lower-case; empty when there is none. */
  listId: string;
  body: string;
  own: string;
}

/** The texts of a request's messages of one role (`system` counts `developer` too). */
export function textsOf({ messages }: ChatRequest, role: "system" | "user"): string[] {
  return messages
    .filter((message) => message.role === role || (role === "system" && message.role === "developer"))
    .map((message) => message.text.slice(0, TEXT_LIMIT));
}

/** The learnt rules in a system message: lines `- RULE` below a line `Rules from the user:`. */
export function readRules(system: string): string[] {
  let listed = false;
  return splitLines(system).flatMap((line) => {
    listed = line === "Rules from the user:" || (listed && line.startsWith("- "));
    return listed && line.startsWith("- ") ? [line.slice(2).trim()] : [];
  });
}

/** The name that a system message says the user signs with, below its heading of the person; undefined without one. */
export function readSignature(system: string): string | undefined {
  const lines = splitLines(system);
  const heading = lines.indexOf("# The person you work for");
  if (heading < 0) return undefined;
  const next = lines.findIndex((line, at) => at > heading && line.startsWith("# "));
  const about = lines.slice(heading + 1, next < 0 ? lines.length : next);
  const line = about.find((each) => each.startsWith("Signature: "));
  return line?.slice("Signature: ".length).trim() || undefined;
}

/** What lines `[ID] TEXT` of a block list; other lines do not count. */
export function readListed(lines: readonly string[]): { id: string; text: string }[] {
  return lines.flatMap((line) => {
    const [, id, text] = /^\[([^\]]+)\] (.+)$/.exec(line) ?? [];
    return id === undefined || text === undefined ? [] : [{ id, text }];
  });
}

/** The blocks of a user message. Only tags on unquoted lines count; lines in a block that are not quoted do not. */
export function readBlocks(text: string): Block[] {
  const blocks: Block[] = [];
  let open: Block | undefined;
  for (const line of splitLines(text)) {
    if (open && line === `</${open.tag}>`) open = undefined;
    else if (open && line.startsWith(">")) open.lines.push(line.slice(line.startsWith("> ") ? 2 : 1));
    else if (!open) {
      const [, tag, label, prompt] = OPENING.exec(line) ?? [];
      if (tag === undefined) continue;
      open = { tag, label: asLabel(label), prompt, lines: [] };
      blocks.push(open);
    }
  }
  return blocks;
}

/** The label of that name, in any case of letters. */
export function asLabel(text: string | undefined): Label | undefined {
  const labels: Label[] = ["ignore", "notify", "respond"];
  return labels.find((label) => label === text?.toLowerCase());
}

/** Reads the headers and the body of an email or example block. */
export function readMail({ lines }: Block): Mail {
  const blank = lines.indexOf("");
  const end = blank < 0 ? lines.length : blank;
  const header = (name: string) => {
    const line = lines.slice(0, end).find((each) => each.startsWith(`${name}: `)) ?? "";
    return line
      .slice(name.length + 2)
      .slice(0, HEADER_LIMIT)
      .trim();
  };
  const body = lines.slice(end + 1);
  const [from, listId] = [header("From"), header("List-Id")];
  return {
    ...readSender(from),
    subject: header("Subject"),
    date: header("Date"),
    listId: (/<([^<>]*)>/.exec(listId)?.[1] ?? listId).trim().toLowerCase(),
    body: body.join("\n"),
    own: ownLines(body).join("\n"),
  };
}

/** The first mailbox of a From header: `Name <address>`, `address (Name)` or `address`. */
function readSender(from: string): { address: string; name: string } {
  const bare = from.replace(/"[^"]*"|\([^()]*\)/g, " ").split(",", 1)[0] ?? "";
  const [, angle] = /<([^<>]*@[^<>]*)>/.exec(bare) ?? [];
  const address = (angle ?? /[^\s<>:;]+@[^\s<>:;]+/.exec(bare)?.[0] ?? from).trim().toLowerCase();
  const named = angle === undefined ? /\(([^()]*)\)/.exec(from)?.[1] : from.slice(0, from.indexOf("<"));
  return { address, name: (named ?? "").replaceAll('"', "").trim() };
}

const FORWARDED = /^-{2,20} ?(?:original message|forwarded message)\b/i;

function ownLines(body: string[]): string[] {
  const end = body.findIndex((line, at) => {
    const quoteBegins =
      line.startsWith("On ") && (line.endsWith("wrote:") || (body[at + 1]?.trimEnd().endsWith("wrote:") ?? false));
    return quoteBegins || FORWARDED.test(line);
  });
  return body.slice(0, end < 0 ? body.length : end).filter((line) => !line.startsWith(">"));
}

/** The sentences of a text, each on one line. Paragraphs end sentences, line breaks do not. */
export function sentences(text: string): string[] {
  return text
    .split(/\n\s*\n/)
    .flatMap((paragraph) => oneLine(paragraph).split(/(?<=[.!?]["')]?)(?<!\b(?:Dr|Mr|Mrs|Ms|Prof|No)\.) /))
    .filter((sentence) => sentence !== "");
}

/** A text with each run of white space as one space. */
export function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

function splitLines(text: string): string[] {
  return text.split(/\r\n|\n|\r/).map((line) => line.trimEnd());
}
