import { setTimeout as pause } from "node:timers/promises";
import type { MnemailError } from "../../errors.ts";

const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 1_000;
/** How long one try may take after a server was given up. */
const SHORT_MS = 1_000;

/** Of a call that is a change, people are told what may have become of it. */
export type CallKind = "change" | undefined;

/** How a server on a network is waited for. */
export interface Waiting {
  /** How long a server that is away is waited for, in milliseconds. */
  retryMs: number;
  /** Whether the server is away, so that the same may work in a moment. */
  isAway(error: unknown): boolean;
  /** One line for people; `often` says how often it was tried, or nothing. */
  explain(error: unknown, often: string, kind?: CallKind): MnemailError;
}

/**
 * Makes what runs a call again, for as long as `retryMs` says, while the server is away. After it was given up, a call
 * is tried once and for a second only, for as long again: an email makes several calls, of which only the first waits for
 * the server. This ends even if nothing works, since what takes longer than a second has to work again some time.
 *
 * A call gets a function through which everything that it waits for has to go, and which fails when it takes too long.
 */
export function createPatience({
  retryMs,
  isAway,
  explain,
}: Waiting): <T>(run: (inTime: InTime) => Promise<T>, kind?: CallKind) => Promise<T> {
  let givenUpAt = Number.NEGATIVE_INFINITY;
  return async (run, kind) => {
    const started = Date.now();
    const isGivenUp = started - givenUpAt < retryMs;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const result = await run(isGivenUp ? inShortTime : (answer) => answer);
        givenUpAt = Number.NEGATIVE_INFINITY;
        return result;
      } catch (error) {
        const delay = Math.min(FIRST_RETRY_MS * 2 ** (attempt - 1), LONGEST_RETRY_MS);
        const away = isAway(error);
        if (!away || isGivenUp || Date.now() + delay > started + retryMs) {
          if (away && !isGivenUp) givenUpAt = Date.now();
          const seconds = ((Date.now() - started) / 1_000).toFixed(1);
          throw explain(error, attempt > 1 ? ` (tried ${attempt} times in ${seconds} s)` : "", kind);
        }
        await pause(delay);
      }
    }
  };
}

/** Waits for an answer, or for a second where there is little hope: then it fails as both kinds of servers time out. */
export type InTime = <T>(answer: Promise<T>) => Promise<T>;

async function inShortTime<T>(answer: Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = pause(SHORT_MS, undefined, { signal: over.signal }).then(() => {
    throw Object.assign(new Error("Command timed out"), { name: "TimeoutError" });
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    over.abort();
  }
}

/** What is said of a call whose answer did not come. */
export function outcomeOf(kind: CallKind): string {
  return kind === "change" ? "; the change under way may have been made or not" : "";
}
