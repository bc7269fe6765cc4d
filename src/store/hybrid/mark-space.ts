import { elsewhereOf, modelIn, type VectorSpace, WITH_DOCUMENTS } from "../vector-space.ts";

/**
 * What the documents keep in the place of a vector that is in the vector database. As vectors of a space of their own
 * they are taken away, counted and waited for like others, and a store that is opened without the vector database
 * finds that they are not of its model.
 */
export const MARK = Float32Array.of(1);

/** The space of the marks of vectors of `space` in a vector database. */
export function markSpace(space: VectorSpace, database: string): VectorSpace {
  return { model: modelIn(database, space), dimensions: MARK.length };
}

/** The space that marks stand for; that of real vectors, or of marks for another database, is one of elsewhere. */
export function spaceOfMarks(kept: VectorSpace, database: string): VectorSpace {
  const marked = kept.dimensions === MARK.length ? elsewhereOf(kept) : undefined;
  if (!marked) return { model: modelIn(WITH_DOCUMENTS, kept), dimensions: kept.dimensions };
  const { model, dimensions, place } = marked;
  return { model: place === database ? model : kept.model, dimensions };
}
