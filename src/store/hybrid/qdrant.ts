import { z } from "zod";
import { createVectorIndex, type LangChainVectors } from "./langchain-index.ts";
import { OURS, type VectorIndex, type Where } from "./vector-index.ts";
import { type Opening, OtherServer, refuseOtherDimensions, withMethods } from "./vector-package.ts";

const PAGE = 1_000;
const TIMEOUT_MS = 10_000;
/** What is filtered by has an index, which a collection may demand; namespaces of Mnemail have three labels. */
const FILTERED = ["made_by", "version", "prefix_1", "prefix_2", "prefix_3", "prefix_4"];

interface Client {
  getCollection(name: string): Promise<unknown>;
  createCollection(name: string, config: object): Promise<unknown>;
  createPayloadIndex(name: string, index: object): Promise<unknown>;
  scroll(name: string, query: object): Promise<unknown>;
}

type ClientClass = new (options: {
  url: string;
  port: number;
  headers: Record<string, string>;
  timeout: number;
  checkCompatibility: boolean;
}) => unknown;
type StoreClass = new (embeddings: object, options: { client: Client; collectionName: string }) => unknown;

const clientPackage = z.object({ QdrantClient: withMethods<ClientClass>("QdrantClient of @qdrant/js-client-rest") });
const storePackage = z.object({ QdrantVectorStore: withMethods<StoreClass>("QdrantVectorStore of @langchain/qdrant") });
const clientSchema = withMethods<Client>(
  "QdrantClient of @qdrant/js-client-rest",
  ...["getCollection", "createCollection", "createPayloadIndex", "scroll"],
);
const storeSchema = withMethods<LangChainVectors>(
  "QdrantVectorStore of @langchain/qdrant",
  ...["addVectors", "delete", "similaritySearchVectorWithScore"],
);
const collectionSchema = z.object({
  config: z.object({ params: z.object({ vectors: z.object({ size: z.int(), distance: z.string() }) }) }),
});
const scrolledSchema = z.object({
  points: z.array(z.object({ id: z.string().or(z.number()) })),
  next_page_offset: z.unknown().nullish(),
});

/** Vectors in a collection of a Qdrant server, which is made by the first of them: by LangChain's store and its client. */
export async function openQdrant({ place, apiKey, importPackage }: Opening): Promise<VectorIndex> {
  const { QdrantVectorStore } = storePackage.parse(await importPackage("@langchain/qdrant"));
  const { QdrantClient } = clientPackage.parse(await importPackage("@qdrant/js-client-rest"));
  const server = place.server ?? new URL("http://127.0.0.1:6333");
  // The client's own option for it warns on the console where there is no TLS.
  const headers: Record<string, string> = apiKey === undefined ? {} : { "api-key": apiKey };
  const options = { headers, timeout: TIMEOUT_MS, checkCompatibility: false };
  // A port that a URL has by default would become Qdrant's own.
  const port = Number(server.port || (server.protocol === "https:" ? 443 : 80));
  const client = clientSchema.parse(new QdrantClient({ ...options, url: server.origin, port }));
  const { collection } = place;
  const store = storeSchema.parse(new QdrantVectorStore({}, { client, collectionName: collection }));
  const index = createVectorIndex(store, { name: place.name, filter: filterOf, reach: 10_000 });
  let held: number | undefined;

  const dimensions = async (): Promise<number | undefined> => {
    if (held !== undefined) return held;
    try {
      const { vectors } = collectionSchema.parse(await client.getCollection(collection)).config.params;
      if (vectors.distance !== "Cosine") {
        throw new Error(`the collection compares by ${vectors.distance}; one that compares by Cosine is needed`);
      }
      held = vectors.size;
      return held;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      if (!qdrantsOwn.safeParse(error).success) throw new OtherServer("Qdrant");
      return undefined;
    }
  };
  const create = async (size: number) => {
    try {
      await client.createCollection(collection, { vectors: { size, distance: "Cosine" } });
    } catch (error) {
      // Another process may have been first.
      if ((await dimensions()) === undefined) throw error;
    }
    for (const name of FILTERED) {
      await client.createPayloadIndex(collection, {
        ...{ field_name: `metadata.${name}`, field_schema: "keyword", wait: true },
      });
    }
  };
  /** A collection that was removed since is no collection. */
  const using = async <T>(none: T, use: () => Promise<T>): Promise<T> => {
    if ((await dimensions()) === undefined) return none;
    try {
      return await use();
    } catch (error) {
      if (!isNotFound(error)) throw error;
      held = undefined;
      return none;
    }
  };
  const find = (where: Where) =>
    using<string[]>([], async () => {
      const ids: string[] = [];
      const query = { filter: filterOf(where), limit: PAGE, with_payload: false, with_vector: false };
      for (let offset: unknown; offset !== null; ) {
        const page = await client.scroll(collection, { ...query, ...(offset === undefined ? {} : { offset }) });
        const { points, next_page_offset } = scrolledSchema.parse(page);
        ids.push(...points.map(({ id }) => String(id)));
        offset = next_page_offset ?? null;
      }
      return ids;
    });

  return {
    ...index,
    dimensions,
    async add(vectors) {
      const offered = vectors[0]?.vector.length ?? 0;
      refuseOtherDimensions(place.name, (await dimensions()) ?? offered, offered);
      if (held === undefined) await create(offered);
      await index.add(vectors);
    },
    remove: (ids) => using(undefined, () => index.remove(ids)),
    search: (near, limit, where) => using([], () => index.search(near, limit, where)),
    find,
    list: () => find(OURS),
  };
}

function filterOf({ name, values }: Where): object {
  return { must: [{ key: `metadata.${name}`, match: { any: [...values] } }] };
}

/** An error as Qdrant itself words it: many a server answers 404. */
const qdrantsOwn = z.object({ data: z.object({ status: z.object({ error: z.string() }) }) });
const failure = z.object({ status: z.number().optional().catch(undefined), message: z.string().catch("") });

function isNotFound(error: unknown): boolean {
  const { status, message } = failure.catch({ status: undefined, message: "" }).parse(error);
  return status === 404 || /\b404\b/.test(message);
}
