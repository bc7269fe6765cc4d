import type { VectorStoreInterface } from "@langchain/core/vectorstores";
import type { VectorIndex, Where } from "./vector-index.ts";
import { OURS, parseAbout } from "./vector-index.ts";

/** What LangChain's interface leaves to each vector store. */
export interface VectorStoreTraits {
  /** The store for people; other vectors are under another name. */
  name: string;
  /** The store's own form of a filter. */
  filter(where: Where): object | string;
  /** The cosine similarity that a score means; the score itself by default. */
  similarity?(score: number): number;
  /** The most that one search can find; no bound by default. */
  reach?: number;
}

/** The methods of a LangChain.js `VectorStore` that are used. */
export type LangChainVectors = Pick<VectorStoreInterface, "addVectors" | "delete" | "similaritySearchVectorWithScore">;

/** Vectors in any LangChain.js `VectorStore` that takes ids and can filter by texts that are kept beside a vector. */
export function createVectorIndex(store: LangChainVectors, traits: VectorStoreTraits): VectorIndex {
  const reach = traits.reach ?? Number.MAX_SAFE_INTEGER;
  const similarity = traits.similarity ?? ((score) => score);
  let known: number | undefined;
  const search: VectorIndex["search"] = async (near, limit, where) => {
    const found = await store.similaritySearchVectorWithScore([...near], limit, traits.filter(where));
    return found.map(([{ metadata }, score]) => ({ about: metadata, score: similarity(score) }));
  };
  const find = async (where: Where, dimensions = known) => {
    if (dimensions === undefined) return [];
    // There is no other way to list: any vector will do, since all that pass are wanted.
    const near = Float32Array.from({ length: dimensions }, (_, i) => Number(i === 0));
    for (let limit = Math.min(1_000, reach); ; limit = Math.min(limit * 8, reach)) {
      const hits = await search(near, limit, where);
      if (hits.length >= limit && limit < reach) continue;
      return hits.flatMap(({ about }) => parseAbout(about)?.id ?? []);
    }
  };
  const list = async (dimensions = known) => (dimensions === undefined ? undefined : find(OURS, dimensions));
  return {
    ...{ name: traits.name, reach, search, find },
    ...(traits.reach === undefined ? { list } : {}),
    dimensions: async () => undefined,
    async add(vectors) {
      known = vectors[0]?.vector.length;
      const ids = vectors.map(({ id }) => id);
      const documents = vectors.map(({ id, about }) => ({ id, pageContent: "", metadata: about }));
      await store.addVectors(
        vectors.map(({ vector }) => [...vector]),
        documents,
        { ids },
      );
    },
    async remove(ids) {
      if (ids.length > 0) await store.delete({ ids: [...ids] });
    },
    close: async () => {},
  };
}
