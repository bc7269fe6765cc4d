import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { equalities } from "./filter.ts";
import { equal, LIVE, nearest, Parameters, places, type Statement, statement } from "./postgres-statements.ts";
import type { Address, JsonObject, KeptRow, Row, RowScan } from "./row-driver.ts";
import { spaceText, type VectorSpace } from "./vector-space.ts";

const valueSchema = z.custom<JsonObject>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
);

const rowSchema = z.object({
  /** The number of the read it belongs to. */
  op: z.int(),
  /** The number of the get it answers. */
  n: z.coerce.number(),
  prefix: z.string(),
  key: z.string(),
  value: z.unknown(),
  created_at: z.date().nullable(),
  updated_at: z.date().nullable(),
  score: z.number().nullable(),
  /** Changes whenever the row does. */
  version: z.string().nullable(),
});

const rowsSchema = z.array(rowSchema);

/** One row of a read statement. */
export type ReadRow = z.infer<typeof rowSchema>;

/** Everything one batch reads, in one statement and so as of one moment. */
export interface Reads {
  gets: readonly Address[];
  scans: readonly RowScan[];
  listNamespaces: boolean;
  /** The space of the scans' vectors; undefined when none has one that could be compared. */
  space: VectorSpace | undefined;
  /** Whether to look for rows without a vector too, which fill the end of a page. */
  thorough: boolean;
}

/** Numbers of the parts of a read statement that are no scan. */
const [SPACE, NAMESPACES, GETS] = [-3, -2, -1];
const NO_VALUE = "NULL::jsonb AS value, NULL::timestamptz AS created_at";
const UNSCORED = "NULL::float8 AS score, NULL::text AS version";

/** Whether SQL applies the whole of a scan's filter, so that it can also cut the page. */
export function isPushedDown({ filter }: RowScan): boolean {
  return Object.keys(equalities(filter)).length === Object.keys(filter).length;
}

/** Whether a scan is ranked here, by words, rather than by the database. */
export function ranksWords({ ranking }: RowScan): boolean {
  return ranking !== undefined && (ranking.by !== "vector" || ranking.near === undefined);
}

/** The statement for a batch's reads; undefined when there are none. */
export function readStatement({ gets, scans, listNamespaces, space, thorough }: Reads): Statement | undefined {
  const to = new Parameters();
  const parts = scans.map((scan, op) => scanPart(scan, op, { space, thorough }, to));
  if (gets.length > 0) {
    const prefixes = to.add(
      gets.map(({ namespace }) => namespace.join(".")),
      "text[]",
    );
    const keys = to.add(
      gets.map(({ key }) => key),
      "text[]",
    );
    parts.push(`SELECT ${GETS} AS op, g.n, s.prefix, s.key, s.value, s.created_at, s.updated_at, ${UNSCORED}
      FROM unnest(${prefixes}, ${keys}) WITH ORDINALITY AS g (prefix, key, n)
      JOIN store s ON s.prefix = g.prefix AND s.key = g.key WHERE ${LIVE}`);
  }
  if (listNamespaces) {
    // One index lookup for each namespace, not one row for each item.
    parts.push(`SELECT ${NAMESPACES} AS op, 0::bigint AS n, p.prefix, '' AS key, ${NO_VALUE}, NULL::timestamptz AS updated_at, ${UNSCORED}
      FROM (WITH RECURSIVE p (prefix) AS (
        (SELECT prefix FROM store ORDER BY prefix LIMIT 1)
        UNION ALL SELECT (SELECT n.prefix FROM store n WHERE n.prefix > p.prefix ORDER BY n.prefix LIMIT 1) FROM p WHERE p.prefix IS NOT NULL
      ) SELECT prefix FROM p WHERE prefix IS NOT NULL) p
      WHERE EXISTS (SELECT 1 FROM store s WHERE s.prefix = p.prefix AND ${LIVE})`);
  }
  if (space && (thorough || !scans.every(isNearestFirst))) {
    parts.push(`SELECT ${SPACE} AS op, 0::bigint AS n, m.value AS prefix, '' AS key, ${NO_VALUE}, NULL::timestamptz AS updated_at, ${UNSCORED}
      FROM mnemail_meta m WHERE ${isOtherSpace(space, to)} AND EXISTS (SELECT 1 FROM store_vectors)`);
  }
  return parts.length === 0 ? undefined : statement(parts.map((part) => `(${part})`).join("\nUNION ALL\n"), to);
}

/** The condition that another space is in force: then a search by vector finds nothing, and is done again by words. */
function isOtherSpace(space: VectorSpace, to: Parameters): string {
  return `m.name = 'embedding_space' AND m.value <> ${to.add(spaceText(space), "text")}`;
}

/** Whether the rows with a vector are looked at first, and the others only where these do not fill the page. */
export function isNearestFirst(scan: RowScan): boolean {
  return scan.ranking?.near !== undefined && !ranksWords(scan) && Object.keys(scan.filter).length === 0;
}

/** A scan's page; for one that is ranked by words, the addresses and versions of all its rows instead. */
function scanPart(
  scan: RowScan,
  op: number,
  { space, thorough }: Pick<Reads, "space" | "thorough">,
  to: Parameters,
): string {
  const near = space ? scan.ranking?.near : undefined;
  const { cte, inPlace } = places(scan.prefix, to);
  const [offset, limit] = isPushedDown(scan) ? [scan.offset, scan.limit] : [0, null];
  const head = (row: string) => `SELECT ${op} AS op, 0::bigint AS n, ${row}.prefix, ${row}.key`;
  // A bare parameter would make PostgreSQL plan for its value, each time.
  const page = () => `OFFSET (SELECT ${to.add(offset, "bigint")}) LIMIT (SELECT ${to.add(limit, "bigint")})`;
  if (near && space && isNearestFirst(scan) && !thorough) {
    return `WITH RECURSIVE ${cte}
      ${head("d")}, s.value, s.created_at, s.updated_at, 1 - d.distance AS score, NULL::text AS version
      FROM (${nearest(inPlace, near, to)} ORDER BY min(v.distance), v.prefix COLLATE "C", v.key COLLATE "C") d
      CROSS JOIN LATERAL (SELECT s.value, s.created_at, s.updated_at FROM store s
        WHERE s.prefix = d.prefix AND s.key = d.key AND ${LIVE} OFFSET 0) s
      WHERE NOT EXISTS (SELECT 1 FROM mnemail_meta m WHERE ${isOtherSpace(space, to)})
      ORDER BY d.distance, d.prefix COLLATE "C", d.key COLLATE "C" ${page()}`;
  }
  const rows = `WITH RECURSIVE ${cte} ${head("s")}`;
  const from = `FROM place p
    CROSS JOIN LATERAL (SELECT s.*, s.xmin::text AS version FROM store s
      WHERE s.prefix = p.prefix AND ${LIVE} AND ${equal(equalities(scan.filter), to)} OFFSET 0) s
    ${near ? `LEFT JOIN (${nearest(inPlace, near, to)}) d ON d.prefix = s.prefix AND d.key = s.key` : ""} WHERE ${inPlace}`;
  const score = `${near ? "1 - d.distance" : "NULL::float8"} AS score`;
  if (ranksWords(scan)) return `${rows}, ${NO_VALUE}, s.updated_at, ${score}, s.version ${from}`;
  return `${rows}, s.value, s.created_at, s.updated_at, ${score}, NULL::text AS version ${from}
    ORDER BY ${near ? "d.distance NULLS LAST, CASE WHEN d.distance IS NULL THEN s.updated_at END" : "s.updated_at"} DESC, s.prefix COLLATE "C", s.key COLLATE "C" ${page()}`;
}

/** The rows of a read statement by the part they answer. */
export function parseReads(rows: readonly unknown[], reads: Reads) {
  const parsed = rowsSchema.parse(rows);
  const byPart = new Map<number, ReadRow[]>();
  for (const row of parsed) {
    const part = byPart.get(row.op) ?? [];
    if (part.length === 0) byPart.set(row.op, part);
    part.push(row);
  }
  return {
    gets: new Map((byPart.get(GETS) ?? []).map((row) => [row.n - 1, row])),
    scans: reads.scans.map((_, op) => byPart.get(op) ?? []),
    namespaces: (byPart.get(NAMESPACES) ?? []).map(({ prefix }) => prefix.split(".")),
    space: byPart.get(SPACE)?.[0]?.prefix,
  };
}

/** The stored item of a row; undefined when its value is not one that a store writes. */
export function toRow({ prefix, key, value, created_at, updated_at }: ReadRow): Row | undefined {
  const object = valueSchema.safeParse(value);
  if (!object.success || !created_at || !updated_at) return undefined;
  return { namespace: prefix.split("."), key, value: object.data, createdAt: created_at, updatedAt: updated_at };
}

/** As {@link toRow}. @throws MnemailError("store") for a row that cannot be read: it must not be taken for absent. */
export function toRowOrThrow(row: ReadRow): Row {
  const found = toRow(row);
  if (found) return found;
  const name = JSON.stringify([...row.prefix.split("."), row.key]);
  throw new MnemailError("store", `the record ${name} cannot be read`, "it is left as it is");
}

const keptSchema = z.array(
  z.object({
    prefix: z.string(),
    key: z.string(),
    value: z.unknown(),
    created_at: z.date(),
    updated_at: z.date(),
    expires_at: z.date().nullable(),
    ttl_minutes: z.number().nullable(),
    fields: z.array(z.string()),
  }),
);

/** What a copy of a row needs, as columns. */
export function keptColumns(withVectors: boolean): string {
  const vectors = `SELECT field_name FROM store_vectors v WHERE v.prefix = s.prefix AND v.key = s.key UNION`;
  return `s.prefix, s.key, s.value, s.created_at, s.updated_at, s.expires_at, s.ttl_minutes, ARRAY(
    ${withVectors ? vectors : ""} SELECT field_name FROM mnemail_unembedded u WHERE u.prefix = s.prefix AND u.key = s.key
    ORDER BY 1) AS fields`;
}

/** Rows of {@link keptColumns}; those that cannot be read are left out. */
export function parseKept(rows: readonly unknown[]): KeptRow[] {
  return keptSchema.parse(rows).flatMap((row): KeptRow[] => {
    const value = valueSchema.safeParse(row.value);
    if (!value.success) return [];
    const { prefix, key, created_at, updated_at, expires_at, ttl_minutes, fields } = row;
    return [
      {
        ...{ namespace: prefix.split("."), key, value: value.data, fields },
        ...{ createdAt: created_at, updatedAt: updated_at, expiresAt: expires_at, ttlMinutes: ttl_minutes },
      },
    ];
  });
}
