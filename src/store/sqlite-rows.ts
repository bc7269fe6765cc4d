import { z } from "zod";
import type { JsonObject, KeptRow, Row } from "./row-driver.ts";

/** The time of a statement, to the millisecond, as text that orders as time does. */
export const NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')";
/** The condition that hides rows whose time is over. */
export const LIVE = "(expires_at IS NULL OR julianday(expires_at) > julianday('now'))";
/**
 * The condition that a prefix lies at or below the one given, by whole labels, with its parameters. '/' follows '.' in
 * ASCII, so the range holds exactly the prefixes that continue with a whole label. Everything lies below no label; a
 * condition that had both cases in it would make SQLite read the rows of all users.
 */
export function below(prefix: readonly string[], column = "prefix"): { sql: string; parameters: string[] } {
  if (prefix.length === 0) return { sql: "TRUE", parameters: [] };
  const text = prefix.join(".");
  const sql = `(${column} = ? OR (${column} > ? || '.' AND ${column} < ? || '/'))`;
  return { sql, parameters: [text, text, text] };
}

/** Columns that {@link parseRow} reads. */
export const ROW_COLUMNS = "prefix, key, value, created_at, updated_at";

const blob = z.instanceof(ArrayBuffer).or(z.instanceof(Uint8Array));
const rowSchema = z.tuple([z.string(), z.string(), z.union([z.string(), blob]), z.string(), z.string()]);
const valueSchema = z.custom<JsonObject>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
);

/** @throws when the row is not one that LangGraph stores write. */
export function parseRow(row: unknown): Row {
  const [prefix, key, value, createdAt, updatedAt] = rowSchema.parse(row);
  // Python writes JSON as bytes, which SQLite keeps as a BLOB whatever the column says.
  const text = typeof value === "string" ? value : new TextDecoder().decode(value);
  return {
    namespace: prefix.split("."),
    key,
    value: valueSchema.parse(JSON.parse(text)),
    createdAt: toDate(createdAt),
    updatedAt: toDate(updatedAt),
  };
}

/** As {@link parseRow}; undefined for a row that cannot be read: one bad record must not hide the others. */
export function tryParseRow(row: unknown): Row | undefined {
  try {
    return parseRow(row);
  } catch {
    return undefined;
  }
}

/** Columns that {@link tryParseKept} reads. */
export const KEPT_COLUMNS = `${ROW_COLUMNS}, expires_at, ttl_minutes, (
  SELECT json_group_array(field_name) FROM (
    SELECT field_name FROM store_vectors v WHERE v.prefix = store.prefix AND v.key = store.key
    UNION SELECT field_name FROM mnemail_unembedded u WHERE u.prefix = store.prefix AND u.key = store.key
    ORDER BY field_name))`;

const fieldsSchema = z.array(z.string());
const keptSchema = z.tuple([z.string().nullable(), z.number().nullable(), z.string()]);

/** A row with what a copy of it needs; undefined when it cannot be read. */
export function tryParseKept(columns: unknown): KeptRow | undefined {
  if (!Array.isArray(columns)) return undefined;
  const row = tryParseRow(columns.slice(0, 5));
  const kept = keptSchema.safeParse(columns.slice(5));
  if (!row || !kept.success) return undefined;
  const [expiresAt, ttlMinutes, fields] = kept.data;
  return {
    ...row,
    expiresAt: expiresAt === null ? null : toDate(expiresAt),
    ttlMinutes,
    fields: fieldsSchema.parse(JSON.parse(fields)),
  };
}

/** SQLite's timestamps are in UTC and do not say so. */
function toDate(text: string): Date {
  return new Date(/[zZ]|[+-]\d\d:\d\d$/.test(text) ? text : `${text.replace(" ", "T")}Z`);
}

/** A date as {@link NOW} writes it. */
export function toTimestamp(date: Date): string {
  return date.toISOString().replace("T", " ").replace("Z", "");
}

/** A vector as SQLite keeps it; undefined for bytes that are none. */
export function toVector(bytes: unknown): Float32Array | undefined {
  const parsed = blob.safeParse(bytes);
  if (!parsed.success || parsed.data.byteLength % Float32Array.BYTES_PER_ELEMENT !== 0) return undefined;
  const { data } = parsed;
  // The cast of a Uint8Array's buffer would need it to be aligned.
  return new Float32Array(data instanceof Uint8Array ? new Uint8Array(data).buffer : data);
}
