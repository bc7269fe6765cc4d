import PostalMime, { type Address, addressParser, type Email as ParsedMime } from "postal-mime";
import { BODY_LIMIT, cleanText, type Email, emailSchema } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { automaticByMimeHeaders } from "./automatic.ts";
import { htmlToVisibleText, tidy } from "./html.ts";

const PROSE_LINE_LIMIT = 100_000;
// The address parser takes 40 s over a hostile header of 2 MB, the limit that postal-mime has by itself.
const MIME_OPTIONS = { forceRfc822Attachments: true, maxHeadersSize: 256_000 };
const ATTACHMENT_LIMIT = 50;
const KNOWN_HEADER = /^(from|to|cc|sender|reply-to|subject|date|message-id|received|mime-version|content-type)$/;
// Controls, bidirectional overrides and tag characters; not the joiners that emoji and Arabic script need.
const CONTROL = /(?![\t\n\r])[\p{Cc}\u202A-\u202E\u2066-\u2069\u{E0000}-\u{E007F}]/u;

/**
 * Reads one email in Internet Message Format (RFC 5322; MIME: RFC 2045 to 2049, 6532); `notes` are one-line
 * warnings. The body is the text part; without one, or beside HTML that has no text twin, the visible text of the
 * HTML ({@link htmlToVisibleText}). Attachments, attached messages too, are listed as `name (mime/type, 12 KB)`,
 * never opened. Throws MnemailError `input`: not an email, no sender, MIME nested beyond the parser's limits.
 */
export async function parseEml(bytes: Uint8Array): Promise<{ email: Email; notes: string[] }> {
  const message = trimMessage(bytes);
  const mime = await parseMime(new PostalMime(MIME_OPTIONS), message);
  if (!mime.headers.some(({ key, value }) => KNOWN_HEADER.test(key) && value !== "")) {
    throw new MnemailError("input", "not an email: expected headers such as From and Subject, then an empty line");
  }
  const from = mime.headers.find(({ key }) => key === "from")?.value ?? "";
  const senders = addressParser(from, { flatten: true }).filter(({ address }) => address?.includes("@"));
  const messageId = firstId(mime.messageId);
  const { body, hidden } = await readBody(mime, message);
  const checked = emailSchema.safeParse({
    id: messageId,
    from: renderAddresses(senders),
    to: renderAddresses(mime.to),
    cc: renderAddresses(mime.cc),
    subject: mime.subject ?? null,
    date: mime.date ?? null,
    thread_id: firstId(mime.references) ?? firstId(mime.inReplyTo) ?? messageId,
    list_id: mime.headers.find(({ key }) => key === "list-id")?.value ?? null,
    attachments: listAttachments(mime.attachments),
    references: mime.references ?? null,
    in_reply_to: mime.inReplyTo ?? null,
    automatic: automaticByMimeHeaders(mime.headers) ?? null,
    body,
  });
  if (!checked.success) throw new MnemailError("input", "no sender: expected a From header with an address");
  const cut = message.byteOffset + message.byteLength < bytes.byteOffset + bytes.byteLength;
  const notes = [
    ...(hidden ? ["hidden text left out"] : []),
    ...(cut ? [`only the first ${PROSE_LINE_LIMIT.toLocaleString("en-US")} lines were read`] : []),
  ];
  return { email: checked.data, notes: [...notes, ...emailNotes(checked.data)] };
}

/** One-line warnings about what an email holds: an empty body, one longer than a model sees, control characters. */
export function emailNotes({ from, subject, body }: Email): string[] {
  const [length, seen] = [body.length, BODY_LIMIT].map((count) => count.toLocaleString("en-US"));
  return [
    ...(cleanText(body).trim() === "" ? ["the body is empty; judged by its headers"] : []),
    ...(body.length > BODY_LIMIT
      ? [`body of ${length} characters; the model sees ${seen}, its start and its end`]
      : []),
    ...(CONTROL.test(`${from}\n${subject}\n${body}`) ? ["control characters, not shown to the model"] : []),
  ];
}

/**
 * The message without a byte order mark and empty lines before it, and without what follows 100,000 lines of prose:
 * postal-mime takes 10 µs for each. The long lines of base64 are cheap and do not count.
 */
function trimMessage(bytes: Uint8Array): Uint8Array {
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  const first = bytes.subarray(start).findIndex((byte) => byte !== 0x0d && byte !== 0x0a);
  const message = bytes.subarray(start + Math.max(0, first));
  let space = message.indexOf(0x20);
  for (let line = 0, prose = 0; prose < PROSE_LINE_LIMIT; ) {
    const end = message.indexOf(0x0a, line);
    if (end === -1) return message;
    if (space !== -1 && space < line) space = message.indexOf(0x20, line);
    if (end - line < 60 || (space !== -1 && space < end)) prose++;
    if (prose === PROSE_LINE_LIMIT) return message.subarray(0, end);
    line = end + 1;
  }
  return message;
}

async function parseMime(parser: PostalMime, bytes: Uint8Array): Promise<ParsedMime> {
  return await parser.parse(bytes).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MnemailError("input", `not readable as an email: ${reason}`, undefined, { cause: error });
  });
}

// For HTML without a text twin postal-mime makes up the text itself and keeps what the HTML hides. This parser never
// sees HTML: where it finds the same text, people wrote that text. The method is internal to postal-mime 4.0.0; the
// test "hidden text … has no text twin" fails should it go.
class PlainTextMime extends PostalMime {
  isInlineTextNode(part: Record<"contentType" | "contentDisposition", { parsed: { value: string } }>): boolean {
    return part.contentType.parsed.value === "text/plain" && part.contentDisposition.parsed.value !== "attachment";
  }
}

async function readBody(mime: ParsedMime, bytes: Uint8Array): Promise<{ body: string; hidden: boolean }> {
  const { text = "", html } = mime;
  if (html === undefined) return { body: tidy(text), hidden: false };
  const plain = await parseMime(new PlainTextMime(MIME_OPTIONS), bytes);
  if (plain.text === text && cleanText(text).trim() !== "") return { body: tidy(text), hidden: false };
  const visible = htmlToVisibleText(html);
  return { body: visible.text, hidden: visible.hidden };
}

// Ids beyond the longest header line of RFC 5322 are nobody's; the content hash stands in for them.
function firstId(header = ""): string | undefined {
  const id = (/<([^<>]*)>/.exec(header)?.[1] ?? header).replace(/[\s\p{Cc}]/gu, "");
  return id !== "" && id.length <= 998 ? id : undefined;
}

function renderAddresses(addresses: Address[] = []): string {
  return addresses.map((one) => (one.group?.length ? renderAddresses(one.group) : renderMailbox(one))).join(", ");
}

// Names are quoted unless they are plain words, so that no name can pass for another address when read again.
function renderMailbox({ name, address = "" }: { name: string; address?: string | undefined }): string {
  const clean = cleanText(name).replace(/\s+/g, " ").trim();
  const shown = /^[\p{L}\p{M}\p{N} .'’_-]*$/u.test(clean) ? clean : `"${clean.replace(/["\\]/g, "\\$&")}"`;
  if (!address.includes("@")) return shown;
  return shown === "" && /^[\w.+-]+@[\w.-]+$/.test(address) ? address : `${shown} <${address}>`.trim();
}

function listAttachments(attachments: ParsedMime["attachments"]): string[] {
  const lines = attachments.slice(0, ATTACHMENT_LIMIT).map(({ filename, mimeType, content }) => {
    const name =
      cleanText(filename ?? "")
        .replace(/\s+/g, " ")
        .trim() || "unnamed";
    const shown = name.length <= 100 ? name : `${name.slice(0, 70)}…${name.slice(-29)}`;
    const type = /^[\w.+-]{1,60}\/[\w.+-]{1,80}$/.test(mimeType) ? mimeType : "application/octet-stream";
    const size = typeof content === "string" ? content.length : content.byteLength;
    return `${shown} (${type}, ${size < 1000 ? `${size} bytes` : `${Math.round(size / 1000).toLocaleString("en-US")} KB`})`;
  });
  const more = attachments.length - lines.length;
  return more > 0 ? [...lines, `and ${more} more`] : lines;
}
