import { cleanText, oneLine } from "./email.ts";
import { type ErrorCode, MnemailError, renderError } from "./errors.ts";

/** The failures whose messages we word ourselves, a stranger's text only within quotation marks. */
const WORDED: readonly ErrorCode[] = ["config", "store", "model", "limit"];

/**
 * An error without a stranger's text: its code, the line of ours that threw it, and what lies behind it by name and code.
 * A message is shown where it is of our own words, without what it quotes; `isOpen` shows it as it is.
 */
export function describeError(error: unknown, { isOpen }: { isOpen: boolean }): Record<string, unknown> {
  const { name, message, stack, cause } = error instanceof Error ? error : new Error(renderOther(error));
  const code = error instanceof MnemailError ? error.code : codeOf(error);
  const worded = error instanceof MnemailError && WORDED.includes(error.code) ? error : undefined;
  return {
    ...(PLAIN.test(name) ? { name } : {}),
    ...(code === undefined ? {} : { code }),
    ...(isOpen
      ? { message: error instanceof Error ? renderError(error) : message }
      : worded
        ? { message: withoutQuotes(worded) }
        : {}),
    ...placeOf(stack, message),
    ...(cause === undefined ? {} : { cause: { ...causeOf(cause) } }),
  };
}

/** What is thrown need be no error, and need not become a string. */
function renderOther(error: unknown): string {
  return typeof error === "string" ? error : `threw a value of type ${typeof error}`;
}

const PLAIN = /^[A-Za-z]{0,40}(?:Error|Exception)$/;
const ERROR_CODE = /^(?:E[A-Z]{2,15}|SQLITE_[A-Z]{2,15}|[0-9][0-9A-Z]{4})$/;

function causeOf(cause: unknown): Record<string, unknown> {
  const name = cause instanceof Error && PLAIN.test(cause.name) ? { name: cause.name } : {};
  const code = codeOf(cause);
  const status = typeof cause === "object" && cause !== null && "status" in cause ? cause.status : undefined;
  return { ...name, ...(code === undefined ? {} : { code }), ...(typeof status === "number" ? { status } : {}) };
}

/** The code of an error of Node, SQLite or PostgreSQL. */
function codeOf(error: unknown): string | undefined {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" && ERROR_CODE.test(code) ? code : undefined;
}

const FRAME = /^\s+at .*?((?:src|dist|node_modules)\/[\w./@-]+:\d+):\d+\)?$/gm;

/**
 * The line of ours that the error went through first. The message stands at the beginning of a stack, and could hold lines
 * that look alike.
 */
function placeOf(stack: string | undefined, message: string): { at?: string } {
  const at = stack?.indexOf(message) ?? -1;
  const frames = at < 0 ? "" : (stack ?? "").slice(at + message.length);
  const places = [...frames.matchAll(FRAME)].map(([, place]) => place);
  const place = places.find((each) => !each?.startsWith("node_modules/"));
  return place === undefined ? {} : { at: place };
}

/** A message of ours without the texts it quotes and without the words of what caused it, unless these are ours too. */
function withoutQuotes({ message, cause }: MnemailError): string {
  const foreign = cause instanceof Error && !(cause instanceof MnemailError) ? oneLine(cleanText(cause.message)) : "";
  const own = oneLine(cleanText(message));
  return (
    (foreign === "" ? own : own.replaceAll(foreign, "…"))
      .replace(/"(?:[^"\\]|\\.)*"/g, "…")
      // What follows a mark that stands alone may be quoted.
      .replace(/".*$/s, "…")
  );
}
