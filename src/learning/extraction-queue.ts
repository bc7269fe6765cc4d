import { AsyncLocalStorage } from "node:async_hooks";
import { addUsage, NO_USAGE, type Usage } from "../meter.ts";
import type { Extracted } from "./extract.ts";

/** After a failure another email would only fail too; a process tries again after so long. */
const RETRY_MS = 10 * 60_000;

/** What background extraction did since it was last asked. */
export interface ExtractionTotals {
  emails: number;
  found: number;
  failed: number;
  usage: Usage;
}

/** Background extraction within one process. */
export interface ExtractionQueue {
  /** Begins to work off what waits for a user, unless that is being done. Returns at once. */
  start(userId: string): void;
  /** Waits until nothing is being worked off, and tells what was done since the last time. */
  idle(): Promise<ExtractionTotals>;
  /** Ends after the email in hand; what waits is there for the next process. */
  stop(): Promise<void>;
}

/**
 * Works off queues of extraction beside everything else, one email at a time. It runs apart from who starts it: what it
 * costs is not counted to the email that was handled, and a model's tokens do not stream into that email's run.
 */
export function createExtractionQueue(
  extract: (userId: string, isDue: (emailId: string) => boolean) => AsyncIterable<Extracted>,
  warn: (line: string) => void,
): ExtractionQueue {
  const apart = AsyncLocalStorage.snapshot();
  const waiting = new Set<string>();
  const failedAt = new Map<string, number>();
  let totals: ExtractionTotals = nothing();
  let working: Promise<void> | undefined;
  let isStopped = false;

  const work = async () => {
    for (const userId of waiting) {
      // Queued anew from here on, a user comes again at the end.
      waiting.delete(userId);
      try {
        const keyOf = (emailId: string) => JSON.stringify([userId, emailId]);
        const isDue = (emailId: string) => Date.now() - (failedAt.get(keyOf(emailId)) ?? 0) > RETRY_MS;
        for await (const { emailId, found, usage, error } of extract(userId, isDue)) {
          totals = {
            emails: totals.emails + 1,
            found: totals.found + found,
            failed: totals.failed + (error === undefined ? 0 : 1),
            usage: addUsage(totals.usage, usage),
          };
          if (error !== undefined) {
            failedAt.set(keyOf(emailId), Date.now());
            warn(`facts of ${emailId} are not extracted: ${error}`);
          }
          if (isStopped) return;
        }
      } catch (error) {
        warn(`facts of emails are not extracted: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };

  const start = (userId: string) => {
    if (isStopped) return;
    waiting.add(userId);
    working ??= apart(() =>
      work().finally(() => {
        working = undefined;
        // Somebody may have come between the end of the work and this.
        const [next] = waiting;
        if (next !== undefined) start(next);
      }),
    );
  };

  return {
    start,
    async idle() {
      while (working) await working;
      const done = totals;
      totals = nothing();
      return done;
    },
    async stop() {
      isStopped = true;
      await working;
    },
  };
}

function nothing(): ExtractionTotals {
  return { emails: 0, found: 0, failed: 0, usage: { ...NO_USAGE } };
}
