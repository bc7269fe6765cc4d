import { z } from "zod";
import { OURS, type VectorIndex, type Where } from "./vector-index.ts";
import { chunksOf, type Opening, OtherServer, refuseOtherDimensions, withMethods } from "./vector-package.ts";

/** Records of one call; Chroma takes some 5,000. */
const CHUNK = 1_000;

interface Collection {
  upsert(records: { ids: string[]; embeddings: number[][]; metadatas: object[] }): Promise<unknown>;
  query(query: { queryEmbeddings: number[][]; nResults: number; where: object; include: string[] }): Promise<unknown>;
  get(query: { where?: object; limit: number; offset?: number; include: string[] }): Promise<unknown>;
  delete(what: { ids: string[] }): Promise<unknown>;
}

interface Client {
  heartbeat(): Promise<unknown>;
  getCollection(which: { name: string; embeddingFunction: object }): Promise<unknown>;
  getOrCreateCollection(which: { name: string; embeddingFunction: object; configuration: object }): Promise<unknown>;
}

type ClientClass = new (options: {
  host: string;
  port: number;
  ssl: boolean;
  headers: Record<string, string>;
}) => Client;

const packageSchema = z.object({ ChromaClient: withMethods<ClientClass>("ChromaClient of chromadb") });
const collectionSchema = withMethods<Collection>("collection of chromadb", "upsert", "query", "get", "delete");
const configured = z.object({ configuration: z.object({ hnsw: z.object({ space: z.string() }).nullish() }) });
const idsSchema = z.object({ ids: z.array(z.string()) });
const vectorsSchema = z.object({ embeddings: z.array(z.array(z.number())) });
const foundSchema = z.object({
  metadatas: z.tuple([z.array(z.unknown())]),
  distances: z.tuple([z.array(z.number().nullable())]),
});
/** Denser than by default: what is near must be found among many that are all as far. */
const CONFIGURATION = { hnsw: { space: "cosine", ef_construction: 400, ef_search: 1_000, max_neighbors: 64 } };
/** The package warns of a collection that embeds nothing; this one is given vectors. */
const NO_EMBEDDINGS = { name: "none", generate: () => Promise.reject(new Error("vectors are given")) };

/** Vectors in a collection of a Chroma server, which is made by the first of them: by the package `chromadb`. */
export async function openChroma({ place, apiKey, importPackage }: Opening): Promise<VectorIndex> {
  const { ChromaClient } = packageSchema.parse(await importPackage("chromadb"));
  const { hostname, port, protocol } = place.server ?? new URL("http://127.0.0.1:8000");
  const ssl = protocol === "https:";
  const headers: Record<string, string> = apiKey === undefined ? {} : { "x-chroma-token": apiKey };
  const client = new ChromaClient({ host: hostname, port: Number(port || (ssl ? 443 : 80)), ssl, headers });
  const which = { name: place.collection, embeddingFunction: NO_EMBEDDINGS };
  let opened: Collection | undefined;
  let held: number | undefined;

  const parse = (found: unknown) => {
    const space = configured.parse(found).configuration.hnsw?.space ?? "cosine";
    if (space !== "cosine")
      throw new Error(`the collection compares by ${space}; one that compares by cosine is needed`);
    opened = collectionSchema.parse(found);
    return opened;
  };
  const existing = async (): Promise<Collection | undefined> => {
    if (opened) return opened;
    try {
      return parse(await client.getCollection(which));
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "ChromaNotFoundError") throw error;
      await expectChroma();
      return undefined;
    }
  };
  /** Many a server answers 404. */
  const expectChroma = async () => {
    const beat = await client.heartbeat().catch((error: unknown) => {
      if (!(error instanceof Error) || error.name !== "ChromaNotFoundError") throw error;
    });
    if (typeof beat !== "number") throw new OtherServer("Chroma");
  };
  /** What was opened may be gone: then it is looked for once more. */
  const using = async <T>(none: T, use: (collection: Collection) => Promise<T>): Promise<T> => {
    const collection = await existing();
    if (!collection) return none;
    try {
      return await use(collection);
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "ChromaNotFoundError") throw error;
      [opened, held] = [undefined, undefined];
      const again = await existing();
      return again ? use(again) : none;
    }
  };
  const ids = (where: object) =>
    using<string[]>([], async (collection) => {
      const found: string[] = [];
      for (;;) {
        const page = await collection.get({ where, limit: CHUNK, offset: found.length, include: [] });
        const { ids } = idsSchema.parse(page);
        found.push(...ids);
        if (ids.length < CHUNK) return found;
      }
    });
  const dimensions = () =>
    using<number | undefined>(undefined, async (collection) => {
      if (held !== undefined) return held;
      const { embeddings } = vectorsSchema.parse(await collection.get({ limit: 1, include: ["embeddings"] }));
      held = embeddings[0]?.length;
      return held;
    });

  return {
    name: place.name,
    reach: 10_000,
    dimensions,
    async add(vectors) {
      const offered = vectors[0]?.vector.length ?? 0;
      refuseOtherDimensions(place.name, (await dimensions()) ?? offered, offered);
      if (!opened) parse(await client.getOrCreateCollection({ ...which, configuration: CONFIGURATION }));
      for (const chunk of chunksOf(vectors, CHUNK)) {
        const embeddings = chunk.map(({ vector }) => [...vector]);
        const metadatas = chunk.map(({ about }) => about);
        await opened?.upsert({ ids: chunk.map(({ id }) => id), embeddings, metadatas });
      }
    },
    remove: (ids) =>
      using(undefined, async (collection) => {
        for (const chunk of chunksOf(ids, CHUNK)) await collection.delete({ ids: chunk });
      }),
    search: (near, limit, where) =>
      using([], async (collection) => {
        const query = { queryEmbeddings: [[...near]], nResults: limit, include: ["metadatas", "distances"] };
        const found = foundSchema.parse(await collection.query({ ...query, where: filterOf(where) }));
        const [distances] = found.distances;
        return found.metadatas[0].map((about, i) => ({ about, score: 1 - (distances[i] ?? Number.NaN) }));
      }),
    find: (where) => ids(filterOf(where)),
    list: () => ids(filterOf(OURS)),
    close: async () => {},
  };
}

function filterOf({ name, values }: Where): object {
  return { [name]: { $in: [...values] } };
}
