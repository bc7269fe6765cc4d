import { readFileSync } from "node:fs";
import { z } from "zod";

/** One user of the server and their tokens, which are secrets. */
export interface ApiUser {
  userId: string;
  tokens: readonly string[];
}

const EXPECTED = 'expected JSON such as {"alice@example.com": "TOKEN"}, or file:PATH of such a file';
const TOKEN = "expected a token of 24 to 512 visible ASCII characters";
const ID_LIMIT = 512;

const token = z.string({ error: TOKEN }).regex(/^[\x21-\x7e]{24,512}$/, TOKEN);
const tokensByUser = z
  .record(z.string(), z.union([token, z.array(token).min(1, TOKEN)], { error: `${TOKEN}, or a list of them` }), {
    error: EXPECTED,
  })
  .refine((users) => Object.keys(users).length > 0, "names nobody; name a user, or unset it")
  .refine(
    (users) => Object.keys(users).every((id) => id.trim() !== "" && id.length <= ID_LIMIT),
    `each user id has 1 to ${ID_LIMIT} characters`,
  )
  .refine((users) => {
    const all = Object.values(users).flat();
    return new Set(all).size === all.length;
  }, "a token is there twice; each belongs to one user");

/**
 * Parses API_TOKENS: JSON of user id → token or list of tokens, or `file:PATH` of such a file; undefined where it is
 * not set. Problems name entries by their place, since who mixes up the two sides has a token for a user id.
 */
export const tokensSchema = z
  .string()
  .optional()
  .transform((value, context): readonly ApiUser[] | undefined => {
    if (value === undefined) return undefined;
    const refuse = (message: string) => {
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    };
    let text = value;
    let json: unknown;
    try {
      if (value.startsWith("file:")) text = readFileSync(value.slice("file:".length), "utf8");
    } catch {
      return refuse("the file it names cannot be read; make it readable");
    }
    try {
      json = JSON.parse(text);
    } catch {
      return refuse(`is no JSON; ${EXPECTED}`);
    }
    const parsed = tokensByUser.safeParse(json);
    if (parsed.success) {
      return Object.entries(parsed.data).map(([userId, tokens]) => ({ userId, tokens: [tokens].flat() }));
    }
    const entries = typeof json === "object" && json !== null ? Object.keys(json) : [];
    for (const { path, message } of parsed.error.issues) {
      const entry = path.length > 0 ? `entry ${entries.indexOf(String(path[0])) + 1}: ` : "";
      refuse(`${entry}${message}`);
    }
    return z.NEVER;
  });

/** How many users and tokens there are; none of them is named. */
export function renderTokens(users: readonly ApiUser[] | undefined): string {
  if (users === undefined) return "not set (the server is open)";
  const tokens = users.reduce((sum, each) => sum + each.tokens.length, 0);
  return `set (${users.length} ${users.length === 1 ? "user" : "users"}, ${tokens} ${tokens === 1 ? "token" : "tokens"})`;
}
