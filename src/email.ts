import { createHash } from "node:crypto";
import { domainToASCII, domainToUnicode } from "node:url";
import { addressParser } from "postal-mime";
import { z } from "zod";

/** Characters of one email's body that a model is shown; more is cut from the middle. */
export const BODY_LIMIT = 20_000;

/** The address parser takes seconds over hostile headers of a megabyte; a thousand recipients fit well in this. */
const ADDRESS_LIMIT = 50_000;

const address = z
  .union([z.string(), z.array(z.string())], { error: 'expected an address such as "Ada <ada@example.com>"' })
  .transform((value) => oneLine(Array.isArray(value) ? value.join(", ") : value))
  .refine((value) => value.length <= ADDRESS_LIMIT, {
    message: `expected addresses of at most ${ADDRESS_LIMIT} characters`,
    abort: true,
  });
const sender = address.refine((value) => addressList(value).length > 0, {
  message: 'expected a sender such as "Ada <ada@example.com>"',
});
const headerText = z.string().transform(oneLine);
/** What a program writes in an odd form is left out: these headers are no reason to refuse an email. */
const mildHeader = z.string().transform(oneLine).optional().catch(undefined);

/** Letters of one message id: more than RFC 5321 allows an address, and far more than any mail program writes. */
const MESSAGE_ID_LIMIT = 320;
const REFERENCES_KEPT_AT_EACH_END = 20;

/**
 * Why mail counts as automatic. A closed list: what is shown or logged of it has no word of the mail itself. Each
 * completes "There is no draft, because …".
 */
export const AUTOMATIC_REASONS = [
  "its headers say that no person sent it",
  "it is an automatic answer",
  "it is a report about delivery or receipt",
  "its headers say that it is bulk mail",
  "its headers ask for no automatic answers",
  "answers to it reach nobody",
  "it comes from a mailing list",
  "its sender's address takes no answers",
  "its sender is a mail system",
] as const;

/** One of {@link AUTOMATIC_REASONS}. */
export type AutomaticReason = (typeof AUTOMATIC_REASONS)[number];

/** Parses one of {@link AUTOMATIC_REASONS}. */
export const automaticReasonSchema = z.enum(AUTOMATIC_REASONS);

const canonicalEmail = z.object({
  id: z
    .union([z.string(), z.number().transform(String)])
    .transform((id) => oneLine(cleanText(id)))
    .pipe(z.string().min(1).max(998))
    .optional(),
  from: sender,
  to: address.optional(),
  cc: address.optional(),
  subject: headerText.optional(),
  body: z.string({ error: "expected the text of the email" }),
  date: headerText.optional(),
  thread_id: z.string().optional(),
  list_id: headerText.transform(listId).optional(),
  attachments: z.array(z.string()).optional(),
  message_id: mildHeader,
  in_reply_to: mildHeader,
  references: z
    .union([z.string(), z.array(z.string())])
    .optional()
    .catch(undefined),
  automatic: automaticReasonSchema.optional().catch(undefined),
  auto_submitted: mildHeader,
  precedence: mildHeader,
});

/**
 * One email as Mnemail works on it: decoded text, RFC 5322 header values on one line each.
 * `id` is the caller's, else the Message-ID, else a content hash; `attachments` are names only, never content.
 */
export interface Email {
  id: string;
  from: string;
  to: string;
  subject: string;
  body: string;
  cc?: string | undefined;
  date?: string | undefined;
  thread_id?: string | undefined;
  /** The identifier of the mailing list (RFC 2919), lower-case, without its angle brackets. */
  list_id?: string | undefined;
  attachments?: string[] | undefined;
  /** The Message-ID without its angle brackets: `left@right` of printable ASCII, {@link messageIds}. */
  message_id?: string | undefined;
  /** The ids of the emails that this one goes on from (RFC 5322 §3.6.4), oldest first: the first 20 and the last 20. */
  references?: string[] | undefined;
  /** Why its headers make it automatic mail. */
  automatic?: AutomaticReason | undefined;
}

/**
 * Parses an email written as JSON. Accepts `{ id?, from, to, cc?, subject, body, date?, thread_id?, list_id? }`, headers
 * that may come with it (`message_id`, `references`, `in_reply_to`, `auto_submitted`, `precedence`), and the spelling of
 * LangChain's email examples (`author`, `email_thread`), each wrapped in `email_input` (or `email`, as collections of
 * labelled mail do) or not.
 */
export const emailSchema: z.ZodType<Email> = z.preprocess(unifySpelling, canonicalEmail).transform((raw) => {
  const email: Email = { id: "", from: raw.from, to: raw.to ?? "", subject: raw.subject ?? "", body: raw.body };
  if (raw.cc) email.cc = raw.cc;
  if (raw.date) email.date = raw.date;
  if (raw.thread_id) email.thread_id = raw.thread_id;
  if (raw.list_id) email.list_id = raw.list_id;
  if (raw.attachments && raw.attachments.length > 0) email.attachments = raw.attachments;
  email.id = raw.id ?? contentId(email);
  const ownId = raw.id?.replace(/^<(.*)>$/, "$1") ?? "";
  const messageId = messageIds(raw.message_id ?? "")[0] ?? (isMessageId(ownId) ? ownId : undefined);
  if (messageId !== undefined) email.message_id = messageId;
  const references = referencesOf(raw.references, raw.in_reply_to);
  if (references.length > 0) email.references = references;
  const automatic = raw.automatic ?? automaticByHeaders(raw);
  if (automatic !== undefined) email.automatic = automatic;
  return email;
});

/**
 * The message ids (RFC 5322 §3.6.4) that a header is made of, without angle brackets. Only those of the form
 * `left@right` in printable ASCII, of at most 320 characters, without what begins or ends an id, a quote, a comment or an
 * encoded word: no id can break out of a header it is written to.
 */
export function messageIds(header: string): string[] {
  const bracketed = [...header.matchAll(/<([^<>]*)>/g)].map(([, id]) => (id ?? "").replace(/\s/g, ""));
  return (bracketed.length > 0 ? bracketed : [header.trim()]).filter(isMessageId);
}

/** Whether a text is a message id without its brackets, as {@link messageIds} takes them. */
export function isMessageId(id: string): boolean {
  return (
    id.length <= MESSAGE_ID_LIMIT && /^[!#-'*+\--;=?A-[\]-~]+@[!#-'*+\--;=?A-[\]-~]+$/.test(id) && !id.includes("=?")
  );
}

/** RFC 5322 §3.6.4: where there are no References, the parent is the one id of In-Reply-To. */
function referencesOf(given: string | string[] | undefined, inReplyTo: string | undefined): string[] {
  const parts = typeof given === "string" ? given.split(given.includes("<") ? /(?<=>)/ : /[\s,]+/) : (given ?? []);
  const all = [...new Set(parts.flatMap(messageIds))];
  if (all.length === 0) {
    const parents = messageIds(inReplyTo ?? "");
    return parents.length === 1 ? parents : [];
  }
  const end = REFERENCES_KEPT_AT_EACH_END;
  return all.length <= 2 * end ? all : [...all.slice(0, end), ...all.slice(-end)];
}

/** By the two headers that say it in so many words: RFC 3834 §5 and the older Precedence. */
export function automaticByHeaders(headers: {
  auto_submitted?: string | undefined;
  precedence?: string | undefined;
}): AutomaticReason | undefined {
  const [kind = ""] = /^[\w-]+/.exec((headers.auto_submitted ?? "").trim().toLowerCase()) ?? [];
  if (kind === "auto-replied") return "it is an automatic answer";
  if (kind !== "" && kind !== "no") return "its headers say that no person sent it";
  const precedence = (headers.precedence ?? "").trim().toLowerCase();
  if (precedence === "list") return "it comes from a mailing list";
  return precedence === "bulk" || precedence === "junk" ? "its headers say that it is bulk mail" : undefined;
}

function unifySpelling(value: unknown): unknown {
  if (!isRecord(value)) return value;
  const wrapped = value["email_input"] ?? value["email"];
  const inner = isRecord(wrapped) ? { ...value, ...wrapped } : value;
  const email = { ...inner, from: inner["from"] ?? inner["author"], body: inner["body"] ?? inner["email_thread"] };
  // Programs write null, or an empty id, where they have nothing.
  return Object.fromEntries(
    Object.entries(email).filter(([name, field]) => field !== null && !(name === "id" && field === "")),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** RFC 2919 §2: `phrase <list-label.namespace>`; a value of another form, which a stranger may choose, names no list. */
function listId(header: string): string | undefined {
  const id = (/<([^<>]*)>/.exec(header)?.[1] ?? header).trim().toLowerCase();
  return /^[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)+$/.test(id) && id.length <= 100 ? id : undefined;
}

function contentId(email: Email): string {
  const content = JSON.stringify([email.from, email.to, email.subject, email.date ?? "", email.body]);
  return `sha256-${createHash("sha256").update(content).digest("hex").slice(0, 20)}`;
}

/** Every addr-spec of an address header (RFC 5322 §3.4), lower-cased, groups flattened. */
export function addressList(header: string): string[] {
  return addressParser(header, { flatten: true }).flatMap((mailbox) =>
    mailbox.address?.includes("@") ? [mailbox.address.toLowerCase()] : [],
  );
}

/** The address of the person an email claims to be from; Email values always have one. */
export function senderAddress(email: Pick<Email, "from">): string {
  return addressList(email.from)[0] ?? email.from.toLowerCase();
}

/** RFC 5321 §4.5.3.1 and erratum 1690 of RFC 3696: octets of an address, of its local part and of a label of its domain. */
const OCTETS = { address: 254, local: 64, label: 63 };
const ATOM = /^(?:[!#$%&'*+/=?^_`{|}~-]|[\p{L}\p{Nd}][\p{Mn}\p{Mc}]*)+$/u;
const LABEL = /^(?!-)(?:-|[\p{L}\p{Nd}][\p{Mn}\p{Mc}]*)+(?<!-)$/u;

/**
 * Whether an address can be written to: the one place that decides it. It is a dot-atom (RFC 5322 §3.2.3) or its like of
 * letters and digits of any script (RFC 6532), an at sign and a domain name: nothing that any program could read as a
 * second address, a comment, a quote or an encoded word, nothing invisible, nothing that normalization (NFKC) makes
 * another. The names of domains are those that IDNA turns into ASCII and back unchanged.
 */
export function isPlainAddress(address: string): boolean {
  if (address.length > OCTETS.address || address.includes("=?")) return false;
  if (cleanText(address) !== address || address.normalize("NFKC") !== address) return false;
  const [local = "", domain = "", ...others] = address.split("@");
  if (others.length > 0 || Buffer.byteLength(local) > OCTETS.local) return false;
  if (!local.split(".").every((atom) => ATOM.test(atom))) return false;
  if (!domain.split(".").every((label) => LABEL.test(label))) return false;
  const [ascii, name] = [domainToASCII(domain), domain.toLowerCase()];
  const isShort = Buffer.byteLength(local) + 1 + Math.max(ascii.length, Buffer.byteLength(domain)) <= OCTETS.address;
  if (!isShort || ascii.split(".").some((label) => label === "" || label.length > OCTETS.label)) return false;
  return ascii === name || domainToUnicode(ascii) === name;
}

// What can hide text from a person that a model or a program still reads: control and format characters (zero-width,
// bidirectional, tag characters) except white space, all else that Unicode has drawn as nothing by default (variation
// selectors, fillers), and the blank signs of Braille, music, hieroglyphs and Khitan. Joiners are format characters. What
// stays are the selectors right after an emoji, and within a keycap: they choose how it looks, once.
const INVISIBLE =
  /(?![\t\n\v\f\r\u0085]|(?<=\p{ExtPict})[\ufe0e-\ufe0f]|(?<=[0-9#*])\ufe0f(?=\u20e3))[\p{Cc}\p{Cf}\p{DI}\u2800\u{1d159}\u{13441}\u{13442}\u{16fe4}]/gu;
const LINE_BREAK = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/;
/** Splits text at every line break that a model or a terminal may honour. */
export function splitLines(text: string): string[] {
  return text.split(LINE_BREAK);
}

/** Puts text on one line: every run of white space and line breaks, NEL included, becomes one space. */
export function oneLine(text: string): string {
  return text.replace(/[\s\u0085]+/g, " ").trim();
}

/**
 * Makes a stranger's text harmless to show: well-formed Unicode, no invisible or control characters; the blank of Braille,
 * which parts words, becomes a space. Doing it twice is doing it once.
 */
export function cleanText(text: string): string {
  return text.toWellFormed().replace(INVISIBLE, (character) => (character === "\u2800" ? " " : ""));
}

/**
 * Quotes a stranger's text for a prompt. Every line gets the prefix `> `, so that no line of it can close a
 * section of the prompt or open another. Data, never instructions: use it in user and tool messages only.
 */
export function quoteUntrusted(text: string, limit = BODY_LIMIT): string {
  return splitLines(cleanText(cutMiddle(text, limit)))
    .map((line) => `> ${line}`.trimEnd())
    .join("\n");
}

function cutMiddle(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const head = Math.ceil(limit * 0.75);
  const tail = limit - head;
  return `${text.slice(0, head)}\n[… ${text.length - limit} characters left out …]\n${text.slice(text.length - tail)}`;
}

/** The headers and body of an email as one quoted block for a model. */
export function renderEmail(email: Omit<Email, "id">, bodyLimit = BODY_LIMIT): string {
  const headers = [
    `From: ${email.from}`,
    `To: ${email.to}`,
    ...(email.cc ? [`Cc: ${email.cc}`] : []),
    ...(email.date ? [`Date: ${email.date}`] : []),
    ...(email.list_id ? [`List-Id: ${email.list_id}`] : []),
    `Subject: ${email.subject}`,
    ...(email.attachments ? [`Attachments: ${email.attachments.join("; ")}`] : []),
  ].map((line) => quoteUntrusted(oneLine(line), 1_000));
  const body = email.body.trim() === "" ? "> (empty body)" : quoteUntrusted(email.body, bodyLimit);
  return [...headers, ">", body].join("\n");
}
