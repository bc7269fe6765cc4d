import { z } from "zod";
import { type RowTimes, refuseStrangeTimes } from "../kept-rows.ts";
import type { Address, FieldVector, JsonObject, KeptRow } from "../row-driver.ts";
import { spaceText, type VectorSpace } from "../vector-space.ts";
import { rowKey } from "./keys.ts";

/** A row as a place keeps it, with the space of its vectors. */
export interface PlacedRow extends KeptRow {
  /** Bytes of float32, little endian, in base64; null where the field waits for its vector. */
  vectors: Record<string, string | null>;
  /** As {@link spaceText}; null where it has no vectors. */
  space: string | null;
}

const time = z.iso.datetime().transform((text) => new Date(text));
const rowSchema = z.object({
  namespace: z.array(z.string()).min(1),
  key: z.string(),
  value: z.custom<JsonObject>((value) => typeof value === "object" && value !== null && !Array.isArray(value)),
  created_at: time,
  updated_at: time,
  expires_at: time.nullable(),
  ttl_minutes: z.number().nullable(),
  // A record of zod's would let go of a field that is named `__proto__`.
  vectors: z.custom<Record<string, string | null>>(isVectors),
  space: z.string().nullable(),
});

/**
 * A row as text: JSON that people and other programs can read. Each row says which space its vectors are of, so that
 * another space comes into force by one change, and none is ever taken for one of another.
 *
 * @throws RangeError for a time that is none, or that could not be read again.
 */
export function rowText(
  { namespace, key, value }: Address & { value: JsonObject },
  { createdAt, updatedAt, expiresAt, ttlMinutes }: RowTimes,
  vectors: readonly FieldVector[],
  space: VectorSpace | undefined,
): string {
  refuseStrangeTimes({ createdAt, updatedAt, expiresAt });
  const kept = vectors.map(({ field, embedding }): [string, string | null] => [
    field,
    embedding && space ? toBase64(embedding) : null,
  ]);
  const row: z.input<typeof rowSchema> = {
    namespace,
    key,
    value,
    created_at: createdAt.toISOString(),
    updated_at: updatedAt.toISOString(),
    expires_at: expiresAt?.toISOString() ?? null,
    ttl_minutes: ttlMinutes,
    vectors: Object.fromEntries(kept),
    space: space && kept.some(([, vector]) => vector !== null) ? spaceText(space) : null,
  };
  return JSON.stringify(row);
}

/** The row of {@link rowText} that belongs under a key; undefined for any other text, such as of a row that was copied. */
export function parseRowText(key: string, text: string): PlacedRow | undefined {
  try {
    const row = rowSchema.parse(JSON.parse(text));
    const { created_at: createdAt, updated_at: updatedAt, expires_at: expiresAt, ttl_minutes: ttlMinutes } = row;
    if (rowKey(row) !== key) return undefined;
    const { namespace, value, vectors, space } = row;
    const fields = Object.keys(vectors).sort();
    return { namespace, key: row.key, value, createdAt, updatedAt, expiresAt, ttlMinutes, fields, vectors, space };
  } catch {
    return undefined;
  }
}

/** The vectors of a row that can be compared in a space. */
export function vectorsOf({ vectors, space }: PlacedRow, wanted: VectorSpace): Float32Array[] {
  if (space !== spaceText(wanted)) return [];
  return Object.values(vectors).flatMap((text) => {
    const bytes = Buffer.from(text ?? "", "base64");
    // Copied, since the numbers of an array have to lie at multiples of their length.
    return bytes.length === wanted.dimensions * Float32Array.BYTES_PER_ELEMENT
      ? [new Float32Array(new Uint8Array(bytes).buffer)]
      : [];
  });
}

/** How many fields of a row wait for a vector of a space. */
export function waitingFields({ vectors, space, fields }: PlacedRow, wanted: VectorSpace | undefined): number {
  if (wanted === undefined || space !== spaceText(wanted)) return fields.length;
  return Object.values(vectors).filter((vector) => vector === null).length;
}

function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}

function isVectors(vectors: unknown): boolean {
  if (typeof vectors !== "object" || vectors === null || Array.isArray(vectors)) return false;
  return Object.values(vectors).every((each) => each === null || typeof each === "string");
}
