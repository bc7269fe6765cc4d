/** The closed set of reasons for which Mnemail stops, used to choose exit codes and to route failures. */
export const ERROR_CODES = [
  "usage",
  "config",
  "input",
  "missing",
  "conflict",
  "expired",
  "unauthorized",
  "forbidden",
  "store",
  "model",
  "calendar",
  "limit",
] as const;

/** One of {@link ERROR_CODES}. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/**
 * The one error type a user of Mnemail meets: a code to branch on, one line that names the input and what
 * was expected, and a hint that says what to do about it.
 */
export class MnemailError extends Error {
  override readonly name = "MnemailError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, hint?: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}

/** One line for people: the message and, where there is one, the hint. Never a stack trace. */
export function renderError(error: unknown): string {
  return renderProblems(error).join("; ");
}

/** The lines of an error, one for each problem it reports; most report one. */
export function renderProblems(error: unknown): string[] {
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof MnemailError && error.hint ? ` (${error.hint})` : "";
  const lines = error instanceof MnemailError ? message.split("\n") : [message];
  return lines.map((line, i) => `${line}${i === lines.length - 1 ? hint : ""}`.replace(/\s+/g, " ").trim());
}
