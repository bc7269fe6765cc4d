import type { Context, MiddlewareHandler } from "hono";
import { z } from "zod";
import { cleanText } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { encodeUserId } from "../store/namespaces.ts";
import type { Tokens } from "./tokens.ts";

/** Whose request it is, to which server; `headers` are those by which a server that is asked further knows them. */
export interface Caller {
  userId: string;
  origin: string;
  headers: Record<string, string>;
}

/** What routes find in their context. */
export interface HttpEnv {
  Variables: { caller: Caller };
}

/**
 * Finds out whose request it is: the user of the token; without tokens, who the header `x-user-id` or the query's `user`
 * names. Nobody is overridden silently.
 *
 * @throws MnemailError("unauthorized"), MnemailError("forbidden") for another user than the token's, MnemailError("usage")
 * for a user id that is missing or cannot be one.
 */
export function identify(tokens: Tokens | undefined): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const named = [...new Set([c.req.header("x-user-id"), ...(c.req.queries("user") ?? [])])].filter((id) => id);
    const [given, ...others] = named;
    const known = tokens?.(c.req.raw.headers);
    if (tokens && known === undefined) {
      throw new MnemailError("unauthorized", "token: missing or not known", "send `Authorization: Bearer TOKEN`");
    }
    if (known !== undefined && named.some((id) => id !== known)) {
      throw new MnemailError("forbidden", "user: names another than the token", "leave it out");
    }
    const userId = known ?? given;
    if (userId === undefined || others.length > 0) {
      const seen = userId === undefined ? "none given" : "saw more than one";
      throw new MnemailError("usage", `user id: ${seen}`, "name one in the header x-user-id or as ?user=");
    }
    encodeUserId(userId);
    const headers = Object.fromEntries(
      ["authorization", "x-api-key"].flatMap((name) => {
        const value = c.req.header(name);
        return value === undefined ? [] : [[name, value]];
      }),
    );
    c.set("caller", { userId, origin: new URL(c.req.url).origin, headers });
    await next();
  };
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i;

/**
 * Keeps pages of other sites from a server that asks for no token: what a browser sends for one names its origin, or,
 * where a name of theirs was pointed at this machine (DNS rebinding), their name as the host.
 *
 * @throws MnemailError("forbidden")
 */
export const refuseForeign: MiddlewareHandler<HttpEnv> = async (c, next) => {
  const url = new URL(c.req.url);
  const open = "without API_TOKENS the server answers this machine only";
  if (!LOOPBACK.test(c.req.header("host") ?? url.host)) {
    throw new MnemailError("forbidden", "host: is not this machine", `${open}: ask 127.0.0.1, or set API_TOKENS`);
  }
  const origin = c.req.header("origin");
  if (origin !== undefined && origin !== url.origin) {
    throw new MnemailError("forbidden", "origin: is another site's", `${open}, and no page of another origin`);
  }
  await next();
};

/**
 * Reads the body of a request as JSON of a schema. No body is an empty object, and is JSON by its type too.
 *
 * @throws MnemailError("input") that says what is wrong; {@link BadRequest} for what is no JSON.
 */
export async function readBody<S extends z.ZodType>(c: Context, schema: S, what: string): Promise<z.output<S>> {
  // What a page of another origin can send without asking is never JSON by its type.
  if (!/^application\/json\b/i.test(c.req.header("content-type") ?? "")) {
    throw new BadRequest(415, "body: expected content-type application/json, of an empty body too");
  }
  const text = await c.req.text();
  let body: unknown = {};
  if (text !== "") {
    try {
      body = JSON.parse(text);
    } catch {
      throw new BadRequest(400, "body: is no JSON");
    }
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.path.map(String).join(".") || "body";
  throw new MnemailError("input", `${what}: ${path}: ${issue?.message ?? "not one"}`);
}

const keySchema = z
  .string()
  .min(1)
  .max(1_100)
  .refine((key) => cleanText(key) === key);

/** A parameter of the path that names something kept. @throws MnemailError("missing") for what nothing can be kept under. */
export function pathKey(c: Context, name: string, what: string): string {
  const key = keySchema.safeParse(c.req.param(name));
  if (key.success) return key.data;
  throw new MnemailError("missing", `${what}: there is none of that id`);
}

/** A request that cannot be read at all. */
export class BadRequest extends Error {
  readonly status: 400 | 413 | 415;

  constructor(status: 400 | 413 | 415, message: string) {
    super(message);
    this.status = status;
  }
}
