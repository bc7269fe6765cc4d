import { z } from "zod";
import { MnemailError } from "../../errors.ts";
import { createVectorIndex, type LangChainVectors } from "./langchain-index.ts";
import type { VectorIndex, Where } from "./vector-index.ts";
import { type Opening, refuseOtherDimensions, withMethods } from "./vector-package.ts";

/** The part of an index that is ours alone. */
const NAMESPACE = "mnemail";
const PAGE = 100;
/** Answers have at most 4 MB. */
const REACH = 1_000;

interface Index {
  query(query: { vector: number[]; topK: number; filter: object; includeMetadata: boolean }): Promise<unknown>;
  listPaginated(page: { limit: number; paginationToken?: string }): Promise<unknown>;
}

interface Client {
  describeIndex(name: string): Promise<unknown>;
  index(name: string, host: string): unknown;
}

type ClientClass = new (options: { apiKey: string; controllerHostUrl?: string }) => unknown;
type StoreClass = new (
  embeddings: object,
  options: { pineconeIndex: unknown; namespace: string; maxRetries: number },
) => unknown;

const clientPackage = z.object({ Pinecone: withMethods<ClientClass>("Pinecone of @pinecone-database/pinecone") });
const storePackage = z.object({ PineconeStore: withMethods<StoreClass>("PineconeStore of @langchain/pinecone") });
const clientSchema = withMethods<Client>("Pinecone of @pinecone-database/pinecone", "describeIndex", "index");
const spaces = withMethods<{ namespace(name: string): unknown }>("index of @pinecone-database/pinecone", "namespace");
const indexSchema = withMethods<Index>("index of @pinecone-database/pinecone", "query", "listPaginated");
const storeSchema = withMethods<LangChainVectors>("PineconeStore of @langchain/pinecone", "addVectors", "delete");
const describedSchema = z.object({ dimension: z.int(), metric: z.string(), host: z.string() });
const matchesSchema = z.object({
  matches: z.array(z.object({ id: z.string(), score: z.number().optional(), metadata: z.unknown() })),
});
const listedSchema = z.object({
  vectors: z.array(z.object({ id: z.string() })).default([]),
  pagination: z.object({ next: z.string().optional() }).optional(),
});

interface Opened {
  index: Index;
  store: VectorIndex;
  dimensions: number;
}

/**
 * Vectors in an index of Pinecone that is there already, in a namespace of their own: by LangChain's store and its
 * client. Searches go to the client, since the store leaves out what is not like the query at all (score 0), and so
 * does not tell when there are no more.
 */
export async function openPinecone({ place, apiKey, importPackage }: Opening): Promise<VectorIndex> {
  const { PineconeStore } = storePackage.parse(await importPackage("@langchain/pinecone"));
  const { Pinecone } = clientPackage.parse(await importPackage("@pinecone-database/pinecone"));
  if (apiKey === undefined) {
    throw new MnemailError("config", `${place.name}: it cannot be used without a key`, "set PINECONE_API_KEY");
  }
  const controller = place.server && { controllerHostUrl: place.server.origin };
  const client = clientSchema.parse(new Pinecone({ apiKey, ...controller }));
  let opened: Opened | undefined;

  const open = async (): Promise<Opened> => {
    if (opened) return opened;
    const described = await client.describeIndex(place.collection).catch((error: unknown) => {
      if (!(error instanceof Error) || !/NotFound/.test(error.name)) throw error;
      const hint = "make one of the dimensions of the embedding model, metric cosine, in Pinecone's console";
      throw new MnemailError("store", `${place.name}: there is no such index`, hint, { cause: error });
    });
    const { dimension, metric, host } = describedSchema.parse(described);
    if (metric !== "cosine") throw new Error(`the index compares by ${metric}; one that compares by cosine is needed`);
    const pineconeIndex = client.index(place.collection, host);
    const options = { pineconeIndex, namespace: NAMESPACE, maxRetries: 1 };
    const store = createVectorIndex(storeSchema.parse(new PineconeStore({}, options)), {
      ...{ name: place.name, filter: filterOf },
    });
    const index = indexSchema.parse(spaces.parse(pineconeIndex).namespace(NAMESPACE));
    opened = { index, store, dimensions: dimension };
    return opened;
  };
  const query = async (near: readonly number[], topK: number, where: Where, includeMetadata: boolean) => {
    const { index } = await open();
    const answer = await index.query({ vector: [...near], topK, filter: filterOf(where), includeMetadata });
    return matchesSchema.parse(answer).matches;
  };

  return {
    name: place.name,
    reach: REACH,
    dimensions: async () => (await open()).dimensions,
    async add(vectors) {
      const { store, dimensions } = await open();
      for (const { vector } of vectors) refuseOtherDimensions(place.name, dimensions, vector.length);
      await store.add(vectors);
    },
    remove: async (ids) => (await open()).store.remove(ids),
    async search(near, limit, where) {
      const matches = await query([...near], limit, where, true);
      return matches.map(({ metadata, score }) => ({ about: metadata, score: score ?? Number.NaN }));
    },
    async find(where) {
      const { dimensions } = await open();
      const any = Array.from({ length: dimensions }, (_, i) => Number(i === 0));
      return (await query(any, REACH, where, false)).map(({ id }) => id);
    },
    async list() {
      const { index } = await open();
      const ids: string[] = [];
      for (let next: string | undefined = ""; next !== undefined; ) {
        const page: unknown = await index.listPaginated({ limit: PAGE, ...(next ? { paginationToken: next } : {}) });
        const { vectors, pagination } = listedSchema.parse(page);
        ids.push(...vectors.map(({ id }) => id));
        next = pagination?.next || undefined;
      }
      return ids;
    },
    close: async () => {},
  };
}

function filterOf({ name, values }: Where): object {
  return { [name]: { $in: [...values] } };
}
