import { z } from "zod";
import { addressList, cleanText, type Email, senderAddress } from "../email.ts";
import { MnemailError } from "../errors.ts";

/**
 * When a memory is recalled: for every email (`all`), or for those of one sender, of the senders of one domain, or of
 * one conversation.
 */
export const scopeSchema = z.union([
  z.literal("all"),
  z.templateLiteral(["person:", z.string().min(1)]),
  z.templateLiteral(["domain:", z.string().min(1)]),
  z.templateLiteral(["thread:", z.string().min(1)]),
]);

/** See {@link scopeSchema}. */
export type Scope = z.infer<typeof scopeSchema>;

const THREAD_ID_LIMIT = 998;

/** Mail providers of the public, under any country: their domain says nothing about who writes. */
const PUBLIC_DOMAIN =
  /^(?:aol|att|bigpond|bluewin|btinternet|comcast|cox|daum|fastmail|free|freenet|gmail|gmx|googlemail|hanmail|hey|hotmail|hushmail|icloud|interia|laposte|libero|live|mac|mail|mailbox|me|msn|naver|o2|online|onet|optonline|orange|outlook|pm|posteo|proton|protonmail|qq|rambler|rediffmail|rocketmail|sbcglobal|seznam|sfr|sina|sky|t-online|talktalk|telia|tin|tiscali|tuta|tutanota|verizon|virgilio|wanadoo|web|wp|yahoo|yandex|yeah|ymail|ziggo|zoho|126|139|163)\.[a-z]{2,4}(?:\.[a-z]{2})?$/;

/** Whether anybody can have an address of the domain. */
export function isPublicDomain(domain: string): boolean {
  return PUBLIC_DOMAIN.test(domain);
}

/** The domain of an address. */
export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1);
}

/** The scope of what is about the sender of an email. */
export function senderScope(email: Pick<Email, "from">): Scope {
  return `person:${senderAddress(email)}`;
}

/**
 * The scopes that an email opens. Only its sender counts, to whom the answer goes: anybody can name anybody in Cc,
 * To and Reply-To.
 */
export function scopesOf(email: Pick<Email, "from" | "thread_id">): Scope[] {
  const sender = senderAddress(email);
  const domain = domainOf(sender);
  return [
    "all",
    `person:${sender}`,
    ...(domain === "" || isPublicDomain(domain) ? [] : [`domain:${domain}` as const]),
    ...(email.thread_id ? [`thread:${keptThreadId(email.thread_id)}` as const] : []),
  ];
}

/** The id of a conversation as memory keeps it. */
export function keptThreadId(threadId: string): string {
  return cleanText(threadId.slice(0, THREAD_ID_LIMIT));
}

/** Everybody whom an email names as its author or recipient. */
export function participants(email: Pick<Email, "from" | "to" | "cc">): string[] {
  return [...new Set([email.from, email.to, email.cc ?? ""].flatMap(addressList))];
}

/**
 * Reads what a user typed as the person or domain a memory is about.
 *
 * @throws MnemailError("usage") for anything else, and for a domain at which anybody can have an address.
 */
export function parseScope(given: { person?: string | undefined; domain?: string | undefined }): Scope {
  const { person, domain } = given;
  if (person !== undefined) {
    const [address, ...others] = addressList(person);
    if (address !== undefined && others.length === 0) return `person:${address}`;
    throw new MnemailError(
      "usage",
      `person: saw ${JSON.stringify(person)}; expected one address`,
      "such as ada@example.com",
    );
  }
  if (domain !== undefined) {
    const name = domain.trim().toLowerCase().replace(/^@/, "");
    if (!/^(?:[\p{L}\p{N}-]+\.)+[\p{L}\p{N}-]{2,}$/u.test(name)) {
      throw new MnemailError("usage", `domain: saw ${JSON.stringify(domain)}; expected one such as example.com`);
    }
    if (isPublicDomain(name)) {
      throw new MnemailError("usage", `domain: anybody can have an address at ${name}`, "name the person instead");
    }
    return `domain:${name}`;
  }
  return "all";
}
