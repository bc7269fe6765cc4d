import { z } from "zod";
import { MnemailError } from "../errors.ts";

/** Vectors can be compared within one space only: those of one embedding model, of one length. */
export interface VectorSpace {
  model: string;
  dimensions: number;
}

const spaceSchema = z.object({ model: z.string(), dimensions: z.int().positive() });

/** A space as the SQL stores keep it; equal spaces have equal texts. */
export function spaceText({ model, dimensions }: VectorSpace): string {
  return JSON.stringify({ model, dimensions });
}

/** The space of {@link spaceText}. */
export function parseSpace(text: string): VectorSpace {
  return spaceSchema.parse(JSON.parse(text));
}

/** What tells the space of kept vectors from another one, as in "vectors of …": the models, or their lengths. */
export function differenceOf(kept: VectorSpace, own: { model: string; dimensions?: number }): string {
  if (kept.model !== own.model) return `the embedding model "${kept.model}", not of "${own.model}"`;
  return `${kept.dimensions} dimensions, and the embedding model "${own.model}" now answers with ${own.dimensions}`;
}

/**
 * Whether vectors of one space can be kept beside those of another.
 *
 * @throws MnemailError("store") when one model gave vectors of two lengths: something is wrong with it.
 */
export function isComparable(place: string, kept: VectorSpace, offered: VectorSpace): boolean {
  if (kept.model !== offered.model) return false;
  if (kept.dimensions === offered.dimensions) return true;
  throw new MnemailError(
    "store",
    `${place}: the embedding model "${offered.model}" answered with ${offered.dimensions} dimensions, and the vectors kept have ${kept.dimensions}`,
    "nothing was changed; set the model that made them, or run `mnemail memory reindex`",
  );
}
