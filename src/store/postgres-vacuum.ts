import type pg from "pg";
import { z } from "zod";

/** A role that may not, and a statement that took longer than the configuration lets it. */
const REFUSED = new Set(["42501", "57014"]);

const namesSchema = z.array(z.object({ name: z.string() }));
const failureSchema = z.object({ code: z.string(), message: z.string() });

/**
 * Has PostgreSQL take the rows that were deleted out of those of the tables that are there. Its write-ahead log, and
 * the bytes of a page that nothing uses any more, are its own affair. Returns what it refused, in lines for people.
 *
 * @throws what `pg` throws.
 */
export async function vacuumTables(pool: pg.Pool, tables: readonly string[]): Promise<string[]> {
  const client = await pool.connect();
  const refusals: string[] = [];
  const onNotice = ({ message, severity }: { message?: string | undefined; severity?: string | undefined }) => {
    if (severity === "WARNING" && message !== undefined) refusals.push(message);
  };
  client.on("notice", onNotice);
  let broken = true;
  try {
    const { rows } = await client.query(
      "SELECT quote_ident(name) AS name FROM unnest($1::text[]) AS t (name) WHERE to_regclass(quote_ident(name)) IS NOT NULL",
      [tables],
    );
    const names = namesSchema.parse(rows).map(({ name }) => name);
    if (names.length > 0) await client.query(`VACUUM ${names.join(", ")}`);
    broken = false;
  } catch (error) {
    const failure = failureSchema.safeParse(error).data;
    if (!failure || !REFUSED.has(failure.code)) throw error;
    broken = false;
    refusals.push(failure.message);
  } finally {
    client.off("notice", onNotice);
    client.release(broken);
  }
  const later = "deleted rows stay in PostgreSQL's files until its next vacuum";
  return refusals.map((refusal) => `${refusal}: ${later}`);
}
