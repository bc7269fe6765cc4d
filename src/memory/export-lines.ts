import { createHash } from "node:crypto";
import { z } from "zod";
import type { JsonObject, KeptRow } from "../store/row-driver.ts";
import { canonicalJson } from "./canonical-json.ts";

/** The version of the file format below; a reader refuses newer ones. */
export const EXPORT_VERSION = 1;

/** The first line of an export. Without a user it holds the items of all, under their whole namespaces. */
export const headerSchema = z.object({ mnemail_export: z.int().min(1), user: z.string().optional() });

const time = z
  .string()
  .transform((text) => new Date(text))
  .refine((date) => !Number.isNaN(date.getTime()), { message: "expected a time such as 2026-03-06T17:00:00.000Z" });

/** One item. `namespace` is below one of the user's roots, or whole in an export of all users. Times in UTC. */
export const itemSchema = z.object({
  root: z.enum(["prompts", "memory"]).optional(),
  namespace: z.array(z.string()),
  key: z.string(),
  value: z.custom<JsonObject>(isObject, { message: "expected an object" }),
  created_at: time,
  updated_at: time,
  expires_at: time.nullable().default(null),
  ttl_minutes: z.number().nullable().default(null),
  fields: z.array(z.string()),
});

/** The last line: how many items there are, and a checksum of all bytes before it. */
export const footerSchema = z.object({ items: z.int().min(0), sha256_of_all: z.string() });

/** Where an item lies, as its line says it. */
export type ItemPlace = Pick<z.infer<typeof itemSchema>, "root" | "namespace">;

/** A line with its checksum: the SHA-256 of its canonical JSON without it. */
export function sealLine(fields: JsonObject): string {
  return `${canonicalJson({ ...fields, sha256: sha256(canonicalJson(fields)) })}\n`;
}

/** The fields of a sealed line; undefined when its checksum is not theirs or it is no JSON object. */
export function unsealLine(line: string): JsonObject | undefined {
  const parsed = parseObject(line);
  if (!parsed) return undefined;
  const { sha256: seal, ...fields } = parsed;
  return seal === sha256(canonicalJson(fields)) ? fields : undefined;
}

/** A text as a JSON object; undefined when it is something else. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The line of one item. */
export function itemLine(row: KeptRow, { root, namespace }: ItemPlace): string {
  return sealLine({
    ...(root === undefined ? {} : { root }),
    namespace,
    key: row.key,
    value: row.value,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
    ...(row.expiresAt === null ? {} : { expires_at: row.expiresAt.toISOString() }),
    ...(row.ttlMinutes === null ? {} : { ttl_minutes: row.ttlMinutes }),
    // Databases order text each in their own way.
    fields: [...row.fields].sort(),
  });
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
