import type { ContentfulStatusCode } from "hono/utils/http-status";
import { type ErrorCode, MnemailError, renderProblems } from "../errors.ts";

/** The HTTP status of each kind of failure. */
export const STATUS = {
  usage: 422,
  input: 422,
  missing: 404,
  conflict: 409,
  expired: 410,
  unauthorized: 401,
  forbidden: 403,
  limit: 429,
  model: 502,
  store: 503,
  calendar: 500,
  config: 500,
} as const satisfies Record<ErrorCode, ContentfulStatusCode>;

/** What a request that failed is told, in every reply the same. */
export interface ErrorBody {
  error: { code: ErrorCode | "internal"; message: string; hint: string | null };
}

/** Makes the body of a failed reply. */
export function errorBody(code: ErrorBody["error"]["code"], message: string, hint?: string): ErrorBody {
  return { error: { code, message, hint: hint ?? null } };
}

/** A failure as a reply; what is no failure of ours is not told to strangers. */
export function renderFailure(error: unknown): { status: ContentfulStatusCode; body: ErrorBody } {
  if (!(error instanceof MnemailError)) {
    return { status: 500, body: errorBody("internal", "something failed; the server's log says what") };
  }
  const [message = "", ...more] = renderProblems(new MnemailError(error.code, error.message));
  return { status: STATUS[error.code], body: errorBody(error.code, [message, ...more].join("; "), error.hint) };
}
