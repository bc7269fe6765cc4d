import MailComposer from "nodemailer/lib/mail-composer";
import { encodeWord } from "nodemailer/lib/mime-funcs";
import { addressParser } from "postal-mime";
import { cleanText, isMessageId, oneLine } from "../../email.ts";
import { MnemailError } from "../../errors.ts";

/** The address parser takes quadratic time over hostile text; hundreds of recipients fit in this. */
const ADDRESSES_LIMIT = 10_000;
/** RFC 5321 §4.5.3.1: 64 of the local part, 255 of the domain. */
const ADDRESS_LIMIT = 320;
/** Longer names are nobody's, and would not fit on a line. */
const NAME_LIMIT = 100;
const LONGEST_PLAIN_WORD = 60;

/** What an email is made of. `references` are those of the email that is answered, `inReplyTo` its own id. */
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
 * header, and none is read as another than it is.
 *
 * @throws MnemailError("usage") without a sender, ("input") for recipients that are no addresses.
 */
export async function composeEmail(parts: EmailParts): Promise<Buffer> {
  const { key, at, inReplyTo } = parts;
  const [from] = parts.from === undefined ? [] : mailboxes("sender", parts.from);
  if (from === undefined) {
    throw new MnemailError(
      "usage",
      "sender: none; expected an address of yours in the profile",
      "set one with mnemail profile set --address you@example.com",
    );
  }
  const parent = inReplyTo !== undefined && isMessageId(inReplyTo) ? inReplyTo : undefined;
  const references = [
    ...parts.references.filter((id) => id !== parent && isMessageId(id)),
    ...(parent ? [parent] : []),
  ];
  // Not Auto-Submitted: auto-replied (RFC 3834 §5): a person read this text and had it sent.
  const message = new MailComposer({
    from,
    to: mailboxes("recipient", parts.to),
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
  return await message.compile().build();
}

/**
 * The mailboxes of an address header, groups flattened; `field` names it in errors. The parser is the one that decides
 * elsewhere who a recipient is. It decodes encoded words (RFC 2047), as some programs do even within quotes: a name that
 * comes of them is left out, an address refused, since nobody approved what they say.
 *
 * @throws MnemailError("input") where anything in it has no address, or there is none.
 */
export function mailboxes(field: string, header: string): Mailbox[] {
  const text = header.length <= ADDRESSES_LIMIT ? oneLine(cleanText(header)) : "";
  const found = addressParser(text, { flatten: true });
  const isEncoded = text.includes("=?");
  const isReadable = found.every(({ address = "" }) => isAddress(address) && (!isEncoded || text.includes(address)));
  if (found.length > 0 && isReadable) {
    return found.map(({ name, address = "" }) => ({
      name: isEncoded || name.length > NAME_LIMIT ? "" : name,
      address,
    }));
  }
  const seen = cleanText(oneLine(header.slice(0, 80)));
  throw new MnemailError("input", `${field}: saw ${JSON.stringify(seen)}; expected an address such as ada@example.com`);
}

function isAddress(text: string): boolean {
  return text.length <= ADDRESS_LIMIT && /^[^@]+@[^\s@]+$/.test(text) && !text.includes("=?");
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
