import { z } from "zod";
import type { RowHealth } from "./row-driver.ts";
import { LIVE } from "./sqlite-rows.ts";
import type { VectorSpace } from "./vector-space.ts";

const SHOWN_FAULTS = 3;

/** What a SQLite store says about itself: counts of all users, and problems with what to do. */
export function readSqliteHealth(all: (sql: string) => unknown[], space: VectorSpace | undefined): RowHealth {
  const number = (sql: string) => z.tuple([z.tuple([z.coerce.number()])]).parse(all(sql))[0][0];
  const text = (sql: string) => z.tuple([z.tuple([z.string()])]).parse(all(sql))[0][0];
  const problem = (holds: boolean, what: string, hint: string) => (holds ? [{ problem: what, hint }] : []);
  const faults = z
    .array(z.tuple([z.string()]))
    .parse(all("PRAGMA quick_check"))
    .flat();
  const orphans = number(`SELECT count(*) FROM store_vectors v
    WHERE NOT EXISTS (SELECT 1 FROM store s WHERE s.prefix = v.prefix AND s.key = v.key)`);
  const unreadable = number(`SELECT count(*) FROM store WHERE CASE WHEN typeof(value) <> 'text' THEN FALSE
    WHEN json_valid(value) THEN json_type(value) <> 'object' ELSE TRUE END`);
  const others = space
    ? number(`SELECT count(*) FROM store_vectors WHERE length(embedding) <> ${space.dimensions * 4}`)
    : 0;
  return {
    engine: `SQLite ${text("SELECT sqlite_version()")}`,
    schemaVersion: number("SELECT value FROM mnemail_meta WHERE name = 'schema_version'"),
    space,
    items: number("SELECT count(*) FROM store"),
    vectors: number("SELECT count(*) FROM store_vectors"),
    unembedded: number("SELECT count(*) FROM mnemail_unembedded"),
    expired: number(`SELECT count(*) FROM store WHERE NOT ${LIVE}`),
    problems: [
      ...problem(
        faults[0] !== "ok",
        `the file is damaged: ${faults.slice(0, SHOWN_FAULTS).join("; ")}`,
        "restore a backup; until then change nothing",
      ),
      ...problem(orphans > 0, `${orphans} vectors have no item`, "run `mnemail memory sweep`"),
      ...problem(unreadable > 0, `${unreadable} items cannot be read`, "see docs/operations.md, Repair"),
      ...problem(
        others > 0,
        `${others} vectors have other dimensions than ${space?.dimensions}`,
        "put these items again",
      ),
    ],
  };
}
