import { MnemailError } from "../errors.ts";
import type { Address, KeptPage, KeptRow, RowWrite } from "./row-driver.ts";

const FIRST = new Date("0000-01-01T00:00:00.000Z");
const LAST = new Date("9999-12-31T23:59:59.999Z");
const MINUTE_MS = 60_000;
const PAGE = 500;

/** When a row was made, was changed and is over. */
export type RowTimes = Pick<KeptRow, "createdAt" | "updatedAt" | "expiresAt" | "ttlMinutes">;

/** Whether the time of a row is not over. */
export function isLive({ expiresAt }: { expiresAt: Date | null }): boolean {
  return expiresAt === null || expiresAt.getTime() > Date.now();
}

/** The times that a write gives its row, where `before` is what it replaces: its time of creation stays. */
export function timesOfWrite({ ttlMinutes, kept }: RowWrite, before: RowTimes | undefined, now: Date): RowTimes {
  if (kept) return kept;
  const expiresAt = ttlMinutes === undefined ? null : new Date(now.getTime() + ttlMinutes * MINUTE_MS);
  const createdAt = before && isLive(before) ? before.createdAt : now;
  return { createdAt, updatedAt: now, expiresAt, ttlMinutes: ttlMinutes ?? null };
}

/** Rows ordered by namespace and key, in pages; what is unreadable between them counts on the first. */
export function* pagesOf(rows: readonly KeptRow[], unreadable = 0): Generator<KeptPage> {
  const sorted = [...rows].sort(byAddressBytes);
  if (sorted.length === 0 && unreadable > 0) yield { rows: [], unreadable };
  for (let at = 0; at < sorted.length; at += PAGE) {
    yield { rows: sorted.slice(at, at + PAGE), unreadable: at === 0 ? unreadable : 0 };
  }
}

/** By UTF-8 bytes, as the databases order text. */
export function byAddressBytes(a: Address, b: Address): number {
  const order = Buffer.compare(Buffer.from(a.namespace.join(".")), Buffer.from(b.namespace.join(".")));
  return order || Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
}

/** @throws MnemailError("input") for times that are none, or of no year that has four digits: text could not keep them. */
export function refuseStrangeTimes({ createdAt, updatedAt, expiresAt }: Omit<RowTimes, "ttlMinutes">): void {
  for (const time of [createdAt, updatedAt, expiresAt]) {
    if (!time || (time >= FIRST && time <= LAST)) continue;
    const seen = Number.isNaN(time.getTime()) ? "none" : time.toISOString();
    throw new MnemailError("input", `a time of an item: saw ${seen}`, "expected one of the years 0 to 9999");
  }
}
