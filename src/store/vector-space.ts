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

/** The place of vectors that are kept beside the documents. */
export const WITH_DOCUMENTS = "the documents";

/** The model of a space whose vectors are in another place than a store ranks by; no vector is ever compared with it. */
export function modelIn(place: string, { model, dimensions }: VectorSpace): string {
  return `${model} (${dimensions} dimensions in ${place})`;
}

/** The space of {@link modelIn} and its place; undefined for one whose vectors are where the store ranks by them. */
export function elsewhereOf({ model: text }: VectorSpace): (VectorSpace & { place: string }) | undefined {
  const [, model, dimensions, place] = /^(.*) \((\d+) dimensions in (.*)\)$/s.exec(text) ?? [];
  return model === undefined || place === undefined ? undefined : { model, dimensions: Number(dimensions), place };
}

/** Why a store with embeddings cannot rank by the vectors that are kept, and what makes it, in one line for people. */
export function otherVectors(kept: VectorSpace, own: { model: string; dimensions?: number }): string {
  const words = "it is searched by words alone until";
  const reindex = "`mnemail memory reindex`";
  const place = elsewhereOf(kept)?.place;
  if (place === WITH_DOCUMENTS)
    return `the vectors of memory are with its documents, not in the vector database: ${words} ${reindex}, or without VECTOR_URL`;
  if (place !== undefined)
    return `the vectors of memory are in ${place}: ${words} VECTOR_URL is set to that, or ${reindex}`;
  const difference =
    kept.model === own.model
      ? `${kept.dimensions} dimensions, and the embedding model "${own.model}" now answers with ${own.dimensions}`
      : `the embedding model "${kept.model}", not of "${own.model}"`;
  return `memory holds vectors of ${difference}: ${words} ${reindex}`;
}

/** A space for people, such as `the model "m"`, with the place of its vectors where that is another one. */
export function spaceForPeople(space: VectorSpace): string {
  const elsewhere = elsewhereOf(space);
  return elsewhere ? `vectors of the model "${elsewhere.model}" in ${elsewhere.place}` : `the model "${space.model}"`;
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
