import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { userNamespaces } from "../store/namespaces.ts";
import type { JsonObject } from "../store/row-driver.ts";
import type { StoreAccess } from "./access.ts";

/** A lease that is not renewed for so long is void; a process on another machine may have died. */
const LEASE_MS = 60_000;
const RENEW_MS = 20_000;
const POLL_MS = 100;
/** Longer than an email takes, the retries of a slow model included. */
const PATIENCE_MS = 600_000;

/** Turns at threads: see {@link ThreadLeases}. */
export interface Turns {
  hold<T>(userId: string, threadId: string, run: () => Promise<T>, options?: { patienceMs?: number }): Promise<T>;
  holdIfFree<T>(userId: string, threadId: string, run: () => Promise<T>): Promise<{ result: T } | undefined>;
}

/** A lease is of a process, which a power cut ends too. */
const FLEETING = { fleeting: true };

const leaseSchema = z.object({ holder: z.string(), host: z.string(), pid: z.int(), until: z.iso.datetime() });
type Lease = z.infer<typeof leaseSchema>;

/**
 * Who is at work on a thread. LangGraph's checkpointers let two runs of one thread write over each other, and the later
 * checkpoint wins: an email or an approval would be lost. So runs of a thread take turns, in a process and between
 * processes, by a lease in the store. One of a process of this machine that is gone is void at once.
 *
 * On a store without conditional puts turns are taken within one process only. Methods throw MnemailError("store") when the
 * store fails.
 */
export class ThreadLeases implements Turns {
  readonly #access: StoreAccess;
  readonly #working = new Set<string>();

  constructor(access: StoreAccess) {
    this.#access = access;
  }

  /**
   * Runs something while nobody else is at work on a thread of the user, after waiting for whoever is.
   *
   * @throws MnemailError("conflict") where that takes longer than `patienceMs`, ten minutes by default.
   */
  async hold<T>(
    userId: string,
    threadId: string,
    run: () => Promise<T>,
    { patienceMs = PATIENCE_MS }: { patienceMs?: number } = {},
  ): Promise<T> {
    return this.#access.inTurn(`thread ${userId} ${threadId}`, async () => {
      const late = Date.now() + patienceMs;
      for (;;) {
        const held = await this.#attempt(userId, threadId, run);
        if (held) return held.result;
        if (Date.now() > late) {
          throw new MnemailError("conflict", `thread ${threadId}: another process is at work on it`, "try again later");
        }
        await pause(POLL_MS);
      }
    });
  }

  /** As `hold`, or undefined without running anything where somebody is at work. */
  async holdIfFree<T>(userId: string, threadId: string, run: () => Promise<T>): Promise<{ result: T } | undefined> {
    if (this.#working.has(`${userId} ${threadId}`)) return undefined;
    return this.#access.inTurn(`thread ${userId} ${threadId}`, () => this.#attempt(userId, threadId, run));
  }

  async #attempt<T>(userId: string, threadId: string, run: () => Promise<T>): Promise<{ result: T } | undefined> {
    const place = { namespace: userNamespaces(userId).leases, key: threadId, index: false as const };
    let lease = this.#newLease();
    const put = (value: Lease | null, expected: JsonObject | null) =>
      this.#access.putIf([{ ...place, value, expected }], FLEETING);
    if (!(await put(lease, null))) {
      const [item] = await this.#access.batch([{ namespace: place.namespace, key: threadId }]);
      if (item && !this.#isVoid(leaseSchema.safeParse(item.value).data)) return undefined;
      if (!(await put(lease, item?.value ?? null))) return undefined;
    }
    HELD_HERE.add(lease.holder);
    this.#working.add(`${userId} ${threadId}`);
    let renewing = Promise.resolve();
    const renew = setInterval(() => {
      const next = { ...lease, until: untilFrom(Date.now()) };
      renewing = put(next, lease)
        .then((isKept) => {
          if (isKept) lease = next;
        })
        .catch(() => {});
    }, RENEW_MS).unref();
    try {
      return { result: await run() };
    } finally {
      clearInterval(renew);
      await renewing;
      HELD_HERE.delete(lease.holder);
      this.#working.delete(`${userId} ${threadId}`);
      // A store that is away frees the thread when the lease ends.
      await put(null, lease).catch(() => {});
    }
  }

  #newLease(): Lease {
    return { holder: randomUUID(), host: hostname(), pid: process.pid, until: untilFrom(Date.now()) };
  }

  #isVoid(lease: Lease | undefined): boolean {
    if (!lease || Date.parse(lease.until) < Date.now()) return true;
    if (lease.host !== hostname()) return false;
    return lease.pid === process.pid ? !HELD_HERE.has(lease.holder) : !isAlive(lease.pid);
  }
}

/** The holders of this process, of all its assistants: a lease of its pid that is not among them is of an earlier life. */
const HELD_HERE = new Set<string>();

function untilFrom(now: number): string {
  return new Date(now + LEASE_MS).toISOString();
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's process may not be signalled, and is there.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
