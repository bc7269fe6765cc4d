import { z } from "zod";
import { MnemailError } from "../../errors.ts";
import { OURS, type VectorIndex, type Where } from "./vector-index.ts";
import { chunksOf, type Opening, refuseOtherDimensions, withMethods } from "./vector-package.ts";

/** A server answers at most so many, as it is set up by default. */
const REACH = 10_000;
const CHUNK = 500;
const TIMEOUT_S = 10;
const ABOUT = ["vector_id", "version", "space", "namespace", "key"];
/** Texts that are compared whole; namespaces of Mnemail have three labels. */
const PROPERTIES = [...ABOUT, "made_by", "field", "prefix_1", "prefix_2", "prefix_3", "prefix_4"];

interface Collection {
  filter: {
    byId(): { containsAny(ids: string[]): unknown };
    byProperty(name: string): { containsAny(values: string[]): unknown };
  };
  data: {
    insertMany(objects: { id: string; properties: object; vectors: number[] }[]): Promise<unknown>;
    deleteMany(filter: unknown): Promise<unknown>;
  };
  query: {
    nearVector(vector: number[], options: object): Promise<unknown>;
    fetchObjects(options: object): Promise<unknown>;
  };
  iterator(options: object): AsyncIterable<unknown>;
}

interface Client {
  collections: {
    exists(name: string): Promise<boolean>;
    createFromSchema(schema: object): Promise<unknown>;
    get(name: string): unknown;
  };
  isLive(): Promise<boolean>;
  close(): Promise<void>;
}

interface Package {
  connectToCustom(options: object): Promise<unknown>;
  ApiKey: new (key: string) => object;
}

const packageSchema = z.object({ default: withMethods<Package>("weaviate-client", "connectToCustom", "ApiKey") });
const clientSchema = withMethods<Client>("client of weaviate-client", "isLive", "close");
const collectionSchema = withMethods<Collection>("collection of weaviate-client", "iterator");
const insertedSchema = z.object({
  hasErrors: z.boolean(),
  errors: z.record(z.string(), z.object({ message: z.string() })),
});
const objectsSchema = z.object({
  objects: z.array(
    z.object({
      uuid: z.string(),
      properties: z.unknown(),
      metadata: z.object({ distance: z.number().optional() }).optional(),
    }),
  ),
});
const vectorsSchema = z.object({ objects: z.array(z.object({ vectors: z.record(z.string(), z.array(z.number())) })) });
const listedSchema = z.object({
  uuid: z.string(),
  properties: z.object({ made_by: z.string() }).optional().catch(undefined),
});

/**
 * Vectors in a collection of a Weaviate server, which is made by the first of them: by its client. LangChain's store on
 * it prints to stdout at each import and fetches every vector that it finds.
 */
export async function openWeaviate({ place, apiKey, importPackage }: Opening): Promise<VectorIndex> {
  const { default: weaviate } = packageSchema.parse(await importPackage("weaviate-client"));
  const server = place.server ?? new URL("http://127.0.0.1:8080");
  const secure = server.protocol === "https:";
  // As Weaviate's cloud has it, and as its server has it by default.
  const [grpcHost, grpcPort] = (
    place.grpc ?? (secure ? `grpc-${server.hostname}:443` : `${server.hostname}:50051`)
  ).split(":");
  const options = {
    ...{ httpHost: server.hostname, httpPort: Number(server.port || (secure ? 443 : 80)), httpSecure: secure },
    ...{ grpcHost, grpcPort: Number(grpcPort ?? 50_051), grpcSecure: secure },
    timeout: { init: TIMEOUT_S, query: TIMEOUT_S, insert: TIMEOUT_S },
    ...(apiKey === undefined ? {} : { authCredentials: new weaviate.ApiKey(apiKey) }),
  };
  let connected: Client | undefined;
  let known: Collection | undefined;
  let held: number | undefined;

  /** It has two addresses, and only one of them is always in the URL. */
  const explain = (error: unknown): never => {
    if (!(error instanceof Error) || !/GRPCUnavailable|grpc\.health/i.test(`${error.name} ${error.message}`))
      throw error;
    const what = `${place.name}: there is no connection to its gRPC at ${grpcHost}:${grpcPort ?? "50051"}`;
    const hint = "open that port, or name its address in VECTOR_URL: weaviate://HOST:PORT/Class?grpc=HOST:PORT";
    throw new MnemailError("store", what, hint, { cause: error });
  };
  const connect = async () => {
    connected ??= clientSchema.parse(await weaviate.connectToCustom(options).catch(explain));
    // The client itself would try for half a minute, and print each attempt.
    if (!(await connected.isLive())) throw new Error("failed to connect");
    return connected;
  };
  const existing = async (): Promise<Collection | undefined> => {
    const { collections } = await connect();
    if (known) return known;
    if (await collections.exists(place.collection)) known = collectionSchema.parse(collections.get(place.collection));
    return known;
  };
  const create = async (): Promise<Collection> => {
    const { collections } = await connect();
    const text = { dataType: ["text"], tokenization: "field", indexFilterable: true, indexSearchable: false };
    const schema = {
      ...{ class: place.collection, vectorizer: "none", vectorIndexConfig: { distance: "cosine" } },
      properties: PROPERTIES.map((name) => ({ name, ...text })),
    };
    try {
      await collections.createFromSchema(schema);
    } catch (error) {
      // Another process may have been first.
      if (!(await collections.exists(place.collection))) throw error;
    }
    known = collectionSchema.parse(collections.get(place.collection));
    return known;
  };
  const dimensions = async (): Promise<number | undefined> => {
    const collection = held === undefined ? await existing() : undefined;
    if (!collection) return held;
    const first = vectorsSchema.parse(await collection.query.fetchObjects({ limit: 1, includeVector: true }));
    held = Object.values(first.objects[0]?.vectors ?? {})[0]?.length;
    return held;
  };

  return {
    name: place.name,
    reach: REACH,
    dimensions,
    async add(vectors) {
      const offered = vectors[0]?.vector.length ?? 0;
      refuseOtherDimensions(place.name, (await dimensions()) ?? offered, offered);
      const collection = (await existing()) ?? (await create());
      for (const chunk of chunksOf(vectors, CHUNK)) {
        const objects = chunk.map(({ id, vector, about }) => ({ id, properties: about, vectors: [...vector] }));
        const { hasErrors, errors } = insertedSchema.parse(await collection.data.insertMany(objects));
        if (hasErrors) throw new Error(Object.values(errors)[0]?.message ?? "vectors were refused");
      }
    },
    async remove(ids) {
      const collection = await existing();
      for (const chunk of collection ? chunksOf(ids, CHUNK) : []) {
        await collection?.data.deleteMany(collection.filter.byId().containsAny(chunk));
      }
    },
    async search(near, limit, where) {
      const collection = await existing();
      if (!collection) return [];
      const shape = { returnMetadata: ["distance"], returnProperties: ABOUT };
      const filters = filterOf(collection, where);
      const found = await collection.query.nearVector([...near], { filters, limit, ...shape });
      const { objects } = objectsSchema.parse(found);
      return objects.map(({ properties, metadata }) => ({
        about: properties,
        score: 1 - (metadata?.distance ?? Number.NaN),
      }));
    },
    async find(where) {
      const collection = await existing();
      if (!collection) return [];
      const query = { filters: filterOf(collection, where), limit: REACH, returnProperties: ["made_by"] };
      return objectsSchema.parse(await collection.query.fetchObjects(query)).objects.map(({ uuid }) => uuid);
    },
    async list() {
      const collection = await existing();
      const ids: string[] = [];
      for await (const each of collection?.iterator({ returnProperties: ["made_by"] }) ?? []) {
        const { uuid, properties } = listedSchema.parse(each);
        if (OURS.values.includes(properties?.made_by ?? "")) ids.push(uuid);
      }
      return ids;
    },
    async close() {
      await connected?.close();
    },
  };
}

function filterOf({ filter }: Collection, { name, values }: Where): unknown {
  return filter.byProperty(name).containsAny([...values]);
}
