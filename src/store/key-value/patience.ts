import { setTimeout as pause } from "node:timers/promises";
import type { MnemailError } from "../../errors.ts";

const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 1_000;

/** How a server on a network is waited for. */
export interface Waiting {
  /** How long a server that is away is waited for, in milliseconds. */
  retryMs: number;
  /** Whether the server is away, so that the same may work in a moment. */
  isAway(error: unknown): boolean;
  /** One line for people; `often` says how often it was tried, or nothing. */
  explain(error: unknown, often: string): MnemailError;
}

/**
 * Makes what runs a call again, for as long as `retryMs` says, while the server is away. After it was given up, a call
 * is tried once only for as long again: an email makes several calls, of which only the first waits for the server.
 */
export function createPatience({ retryMs, isAway, explain }: Waiting): <T>(run: () => Promise<T>) => Promise<T> {
  let givenUpAt = Number.NEGATIVE_INFINITY;
  return async (run) => {
    const started = Date.now();
    const isGivenUp = started - givenUpAt < retryMs;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const result = await run();
        givenUpAt = Number.NEGATIVE_INFINITY;
        return result;
      } catch (error) {
        const delay = Math.min(FIRST_RETRY_MS * 2 ** (attempt - 1), LONGEST_RETRY_MS);
        const away = isAway(error);
        if (!away || isGivenUp || Date.now() + delay > started + retryMs) {
          if (away && !isGivenUp) givenUpAt = Date.now();
          const seconds = ((Date.now() - started) / 1_000).toFixed(1);
          throw explain(error, attempt > 1 ? ` (tried ${attempt} times in ${seconds} s)` : "");
        }
        await pause(delay);
      }
    }
  };
}
