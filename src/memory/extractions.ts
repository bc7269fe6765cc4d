import type { PutOperation } from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import { decodeUserId, type UserNamespaces, userNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import type { StoreAccess } from "./access.ts";

const NAMESPACES_PAGE = 1_000;

const jobSchema = z.looseObject({ at: z.string(), attempts: z.int().min(0) });

/** An email that is done and whose facts are still to be extracted. `stored` is what its end expects to find. */
export interface ExtractionJob {
  emailId: string;
  attempts: number;
  at: string;
  stored: Record<string, unknown>;
}

/** The put that queues an email; it belongs into the batch that records the decision, so that a crash loses neither. */
export function extractionPut(at: UserNamespaces, emailId: string, time: string): PutOperation {
  return { namespace: at.extractions, key: emailId, value: { at: time, attempts: 0 }, index: false };
}

/**
 * The queue of background extraction. It is in the store: what was queued is there after a crash, and whoever finishes
 * a job first, finishes it.
 *
 * Methods throw MnemailError("store") when the store fails.
 */
export class Extractions {
  readonly #access: StoreAccess;

  constructor(access: StoreAccess) {
    this.#access = access;
  }

  /** The jobs of a user, oldest first. */
  async waiting(userId: string): Promise<ExtractionJob[]> {
    const items = await this.#access.all(userNamespaces(userId).extractions);
    return items
      .flatMap(({ key, value }) => {
        const job = jobSchema.safeParse(value).data;
        return job ? [{ emailId: key, attempts: job.attempts, at: job.at, stored: value }] : [];
      })
      .sort((a, b) => (a.at < b.at ? -1 : Number(a.at > b.at)));
  }

  /** The users for whom jobs wait; a store that keeps empty namespaces also names those for whom none does. */
  async users(): Promise<string[]> {
    const found: string[] = [];
    for (let offset = 0; ; offset += NAMESPACES_PAGE) {
      const [page] = await this.#access.batch([
        { matchConditions: [{ matchType: "suffix", path: ["extractions"] }], limit: NAMESPACES_PAGE, offset },
      ]);
      for (const [root, label, kind, ...more] of page) {
        if (root === "email_assistant" && label !== undefined && kind === "extractions" && more.length === 0) {
          found.push(decodeUserId(label));
        }
      }
      if (page.length < NAMESPACES_PAGE) return found;
    }
  }

  /** Ends a job with what it found, all or nothing; false when somebody else did, and nothing is written. */
  async finish(userId: string, { emailId, stored }: ExtractionJob, puts: readonly ConditionalPut[]): Promise<boolean> {
    const end = { namespace: userNamespaces(userId).extractions, key: emailId, value: null, expected: stored };
    return this.#access.putIf([...puts, end]);
  }

  /** Counts a failed attempt, and writes what else is given, unless somebody else ended the job or counted. */
  async fail(
    userId: string,
    { emailId, stored, attempts }: ExtractionJob,
    puts: readonly ConditionalPut[] = [],
  ): Promise<void> {
    const value = { ...stored, attempts: attempts + 1 };
    const { extractions: namespace } = userNamespaces(userId);
    await this.#access.putIf([...puts, { namespace, key: emailId, value, expected: stored, index: false }]);
  }
}
