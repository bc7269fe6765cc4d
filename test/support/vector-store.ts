import { Document, type DocumentInterface } from "@langchain/core/documents";
import { VectorStore } from "@langchain/core/vectorstores";
import { createVectorIndex } from "../../src/store/hybrid/langchain-index.ts";
import type { VectorIndex, Where } from "../../src/store/hybrid/vector-index.ts";

/** A LangChain.js vector store in the memory of this process: exact, cosine similarity, vectors of any length. */
export class ProcessVectorStore extends VectorStore {
  declare FilterType: Where;
  readonly kept = new Map<string, { vector: number[]; document: DocumentInterface }>();

  constructor() {
    const none = () => Promise.reject(new Error("this store is given vectors, not texts"));
    super({ embedDocuments: none, embedQuery: none }, {});
  }

  _vectorstoreType(): string {
    return "process";
  }

  addDocuments(): Promise<string[]> {
    return Promise.reject(new Error("this store is given vectors, not texts"));
  }

  async addVectors(
    vectors: number[][],
    documents: DocumentInterface[],
    options: { ids?: string[] } = {},
  ): Promise<string[]> {
    const ids = options.ids ?? documents.map(({ id }) => id ?? crypto.randomUUID());
    for (const [i, id] of ids.entries()) {
      const { pageContent = "", metadata = {} } = documents[i] ?? {};
      this.kept.set(id, { vector: [...(vectors[i] ?? [])], document: new Document({ id, pageContent, metadata }) });
    }
    return ids;
  }

  override async delete({ ids }: { ids: string[] }): Promise<void> {
    for (const id of ids) this.kept.delete(id);
  }

  async similaritySearchVectorWithScore(
    query: number[],
    k: number,
    filter?: Where,
  ): Promise<[DocumentInterface, number][]> {
    return [...this.kept.values()]
      .filter(({ vector, document }) => {
        const value: unknown = filter && document.metadata[filter.name];
        return vector.length === query.length && (!filter || filter.values.some((each) => each === value));
      })
      .map(({ vector, document }): [DocumentInterface, number] => [document, cosine(vector, query)])
      .sort(([, a], [, b]) => b - a)
      .slice(0, k);
  }
}

/** Vectors in such a store. */
export function processVectors(store = new ProcessVectorStore()): VectorIndex {
  return createVectorIndex(store, { name: "a vector store in process", filter: (where) => where });
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]) => x.reduce((sum, each, i) => sum + each * (y[i] ?? 0), 0);
  const lengths = Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b));
  return lengths === 0 ? 0 : dot(a, b) / lengths;
}
