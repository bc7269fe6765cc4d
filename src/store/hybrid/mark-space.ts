import type { VectorSpace } from "../vector-space.ts";

/**
 * What the documents keep in the place of a vector that is in the vector database. As vectors of a space of their own
 * they are taken away, counted and waited for like others, and a store that is opened without the vector database
 * finds that they are not of its model.
 */
export const MARK = Float32Array.of(1);

/** The space of the marks of vectors of `space` in a vector database. */
export function markSpace({ model, dimensions }: VectorSpace, database: string): VectorSpace {
  return { model: `${model} (${dimensions} dimensions in ${database})`, dimensions: MARK.length };
}

/** The space that marks stand for; that of real vectors, or of marks for another database, is named as none of ours. */
export function spaceOfMarks(kept: VectorSpace, database: string): VectorSpace {
  const [, model, dimensions, where] = /^(.*) \((\d+) dimensions in (.*)\)$/s.exec(kept.model) ?? [];
  if (model === undefined || kept.dimensions !== MARK.length) {
    return { model: `${kept.model}, kept with the documents`, dimensions: kept.dimensions };
  }
  return { model: where === database ? model : `${model} in ${where}`, dimensions: Number(dimensions) };
}
