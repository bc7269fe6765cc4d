import { createHash, timingSafeEqual } from "node:crypto";
import type { ApiUser } from "../api-tokens.ts";
import type { Config } from "../config.ts";
import { MnemailError } from "../errors.ts";
import { encodeUserId } from "../store/namespaces.ts";

/** Who sends a request, by their token; undefined for a token that is missing or nobody's. */
export type Tokens = (headers: Headers) => string | undefined;

/**
 * Knows users by the tokens of the configuration. Hashes are compared, each with each, so that neither the time that
 * takes nor the length of a token tells how near a guess was.
 *
 * @throws MnemailError("usage") for a user id that cannot be one.
 */
export function createTokens(users: readonly ApiUser[]): Tokens {
  const known = users.flatMap(({ userId, tokens }) => {
    encodeUserId(userId);
    return tokens.map((token) => ({ userId, hash: sha256(token) }));
  });
  return (headers) => {
    const given = tokenOf(headers);
    if (given === undefined) return undefined;
    const hash = sha256(given);
    let found: string | undefined;
    for (const each of known) if (timingSafeEqual(each.hash, hash)) found = each.userId;
    return found;
  };
}

/**
 * The tokens that the configuration names; undefined leaves the server open, which `warn` is told.
 *
 * @throws MnemailError("config") in production where there are none.
 */
export function openTokens(config: Config, warn: (line: string) => void): Tokens | undefined {
  if (config.apiTokens !== undefined) return createTokens(config.apiTokens);
  if (config.environment === "production") {
    throw new MnemailError(
      "config",
      "API_TOKENS: not set; in production the server starts only with it",
      'set it to JSON such as {"alice@example.com": "TOKEN"}, or to file:PATH',
    );
  }
  warn("API_TOKENS is not set: everybody who reaches this server can act for every user; for development only");
  return undefined;
}

/** `Authorization: Bearer TOKEN`, else `x-api-key: TOKEN`. */
function tokenOf(headers: Headers): string | undefined {
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.get("authorization") ?? "")?.[1];
  return bearer ?? headers.get("x-api-key")?.trim();
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
