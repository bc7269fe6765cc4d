import { domainToASCII } from "node:url";
import MailComposer from "nodemailer/lib/mail-composer";
import { encodeWord } from "nodemailer/lib/mime-funcs";
import { addressParser } from "postal-mime";
import { addressList, cleanText, isMessageId, isPlainAddress, oneLine } from "../../email.ts";
import { MnemailError } from "../../errors.ts";

/** The address parser takes quadratic time over hostile text. */
const MAILBOX_LIMIT = 10_000;
/** Longer names are nobody's, and would not fit on a line. */
const NAME_LIMIT = 100;
const LONGEST_PLAIN_WORD = 60;

/**
 * What an email is made of. `to` is the address alone, {@link isPlainAddress}; `from` may have a name. `references` are
 * those of the email that is answered, `inReplyTo` its own id.
 */
export interface EmailParts {
  /** Names the email for good: its Message-ID is made of it. */
  key: string;
  from?: string | undefined;
  to: string;
  subject: string;
  body: string;
  inReplyTo?: string | undefined;
  references: string[];
  at: Date;
}

/** A mailbox (RFC 5322 §3.4): an address, and the name that may go with it. */
export interface Mailbox {
  name: string;
  address: string;
}

/**
 * Writes an email in Internet Message Format (RFC 5322; MIME: RFC 2045, 2047): text in UTF-8, lines end in CRLF. It goes
 * on from `inReplyTo` (RFC 5322 §3.6.4); ids of another form than {@link isMessageId}'s are left out. No value can add a
 * header, and none is read as another than it is: the one recipient is `to`.
 *
 * @throws MnemailError("usage") without a sender, ("input") for a sender or recipient that is not one plain address.
 */
export async function composeEmail(parts: EmailParts): Promise<Buffer> {
  const { key, at, inReplyTo } = parts;
  if (parts.from === undefined) {
    throw new MnemailError(
      "usage",
      "sender: none; expected an address of yours in the profile",
      "set one with mnemail profile set --address you@example.com",
    );
  }
  const from = mailbox("sender", parts.from);
  const to = plainAddress("recipient", parts.to);
  const parent = inReplyTo !== undefined && isMessageId(inReplyTo) ? inReplyTo : undefined;
  const references = [
    ...parts.references.filter((id) => id !== parent && isMessageId(id)),
    ...(parent ? [parent] : []),
  ];
  // Not Auto-Submitted: auto-replied (RFC 3834 §5): a person read this text and had it sent.
  const message = new MailComposer({
    from,
    // An object, since text would be parsed again.
    to: { name: "", address: to },
    subject: headerText(parts.subject),
    date: at,
    messageId: `<${key}@${ownDomain(from.address)}>`,
    ...(parent ? { inReplyTo: `<${parent}>` } : {}),
    ...(references.length > 0 ? { references: references.map((id) => `<${id}>`) } : {}),
    text: lineFeeds(parts.body),
    // Keeps every line short, and the white space at its end.
    encoding: "quoted-printable",
    newline: "win",
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const bytes = await message.compile().build();
  if (!isTo(bytes, to)) throw notPlain("recipient", to);
  return bytes;
}

/** An address as it is, where it is plain. @throws MnemailError("input") that names the field, for another. */
export function plainAddress(field: string, address: string): string {
  if (!isPlainAddress(address)) throw notPlain(field, address);
  return address;
}

/**
 * The one mailbox of the user's own text. The parser decodes encoded words (RFC 2047), even within quotes: a name that comes
 * of them is left out.
 *
 * @throws MnemailError("input") that names the field, where it is not one, or its address is not plain.
 */
export function mailbox(field: string, text: string): Mailbox {
  const line = text.length <= MAILBOX_LIMIT ? oneLine(cleanText(text)) : "";
  const [found, ...others] = addressParser(line, { flatten: true });
  const { name = "", address = "" } = found ?? {};
  if (others.length > 0 || !isPlainAddress(address) || !line.includes(address)) throw notPlain(field, text);
  return { name: line.includes("=?") || name.length > NAME_LIMIT ? "" : name, address };
}

function notPlain(field: string, text: string): MnemailError {
  const seen = JSON.stringify(cleanText(oneLine(text.slice(0, 80))));
  return new MnemailError("input", `${field}: saw ${seen}; expected an address such as ada@example.com`);
}

/** Whether the headers that were written have one recipient, and it is this one: the file counts, not what was meant. */
function isTo(bytes: Buffer, address: string): boolean {
  const headers = bytes
    .subarray(0, bytes.indexOf("\r\n\r\n"))
    .toString()
    .replace(/\r\n(?=[ \t])/g, "");
  const [to, ...others] = headers.match(/^(?:to|cc|bcc):.*$/gim) ?? [];
  const found = addressList(to?.replace(/^to:/i, "") ?? "").map(inAscii);
  return others.length === 0 && found.length === 1 && found[0] === inAscii(address.toLowerCase());
}

/** Domains may be written in ASCII (RFC 5890 §2.3.2.1), and mean the same. */
function inAscii(address: string): string {
  const at = address.lastIndexOf("@") + 1;
  return address.slice(0, at) + domainToASCII(address.slice(at));
}

/** Nodemailer lets encoded words (RFC 2047) pass: the text would be read as another than was approved. */
function headerText(text: string): string {
  const line = oneLine(text.toWellFormed().replace(/\0/g, ""));
  const isPlain = !line.includes("=?") && line.split(" ").every((word) => word.length <= LONGEST_PLAIN_WORD);
  return isPlain ? line : encodeWord(line, "Q", 52);
}

/** RFC 5322 §3.6.4 asks for a domain of one's own; RFC 2606 keeps `.invalid` for nobody. */
function ownDomain(address: string): string {
  const domain = address.slice(address.lastIndexOf("@") + 1);
  return /^[a-z0-9.-]+$/i.test(domain) ? domain.toLowerCase() : "mnemail.invalid";
}

function lineFeeds(text: string): string {
  return text.toWellFormed().replace(/\r\n?/g, "\n");
}
