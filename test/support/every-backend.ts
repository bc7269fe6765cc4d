import { randomBytes } from "node:crypto";
import { temporaryFolder } from "./assistant.ts";
import { externalPostgres, startPglite, startPostgres, type TestDatabase } from "./postgres.ts";
import { startRedis } from "./redis.ts";
import { startLoopbackS3 } from "./s3.ts";
import { startChroma } from "./vector-servers/chroma.ts";
import { hasVectorPackages } from "./vector-servers/packages.ts";
import { startPinecone } from "./vector-servers/pinecone.ts";
import { startQdrant } from "./vector-servers/qdrant.ts";
import { startWeaviate } from "./vector-servers/weaviate.ts";

/** The dimensions of the stand-in's vectors. */
const DIMENSIONS = 256;
/** How many places one index that has to be made beforehand is enough for. */
const INDEXES = 200;

/** An empty place to keep memory in, as a user sets it. */
export interface BackendPlace {
  storeUrl: string;
  vectorUrl?: string;
}

/** A kind of place in which memory can be kept. */
export interface Backend {
  /** For the names of tests. */
  name: string;
  /** Without a database of its own it is another place at each call; with one it is the same, emptied. */
  newPlace(): Promise<BackendPlace>;
}

/** All the backends of this machine. */
export interface Backends extends AsyncDisposable {
  list: Backend[];
  /** The settings that all of them need beside their URLs: keys, and the server of S3. */
  environment: Record<string, string>;
  /** What no command may ever print. */
  secrets: string[];
}

/** Starts every backend that this machine has, PostgreSQL where wanted; the others say why they are not there. */
export async function startBackends(wanted: { databases: boolean }): Promise<Backends> {
  const folder = temporaryFolder();
  const name = counted();
  const file = (end: string) => folder.path(`${name()}${end}`);
  const [databases, redis, s3, vectors] = await Promise.all([
    wanted.databases ? startDatabases() : [],
    startRedis(),
    startLoopbackS3(),
    hasVectorPackages ? startVectors() : undefined,
  ]);
  const password = redis && new URL(redis.url).password;
  const sqlite = async () => ({ storeUrl: `sqlite:${file(".db")}` });
  const list: Backend[] = [
    { name: "SQLite", newPlace: sqlite },
    { name: "memory: with a snapshot", newPlace: async () => ({ storeUrl: `memory:?snapshot=${file(".snapshot")}` }) },
    { name: "file:", newPlace: async () => ({ storeUrl: `file:${file("")}` }) },
    ...databases.map((each) => ({
      name: each.name.startsWith("PostgreSQL") ? each.name : `PostgreSQL (${each.name})`,
      async newPlace() {
        await each.reset();
        return { storeUrl: each.url };
      },
    })),
    ...(redis ? [{ name: redis.name, newPlace: async () => ({ storeUrl: `${redis.url}?prefix=${name()}` }) }] : []),
    { name: "S3 (loopback)", newPlace: async () => ({ storeUrl: `s3://${s3.bucket}/${name()}` }) },
    ...(vectors?.list ?? []).map(({ name, newUrl }) => ({
      name: `SQLite with vectors in ${name}`,
      newPlace: async () => ({ ...(await sqlite()), vectorUrl: newUrl() }),
    })),
  ];
  return {
    list,
    environment: {
      ...{ AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey },
      ...{ AWS_REGION: s3.region, AWS_ENDPOINT_URL_S3: s3.endpoint },
      ...vectors?.environment,
    },
    secrets: [s3.secretAccessKey, ...(password ? [password] : []), ...Object.values(vectors?.environment ?? {})],
    async [Symbol.asyncDispose]() {
      const stops = [...databases.map(({ stop }) => stop), s3.close, ...(vectors?.stops ?? [])];
      await Promise.all([...stops.map((stop) => stop()), redis?.stop()]);
      folder[Symbol.dispose]();
    },
  };
}

/** PostgreSQL within this process, and a real server where there is one. */
async function startDatabases(): Promise<TestDatabase[]> {
  const real = (await externalPostgres()) ?? (await startPostgres());
  return [await startPglite(), ...(real ? [real] : [])];
}

async function startVectors() {
  const newKey = () => `key-${randomBytes(12).toString("hex")}`;
  const environment = { QDRANT_API_KEY: newKey(), PINECONE_API_KEY: newKey(), WEAVIATE_API_KEY: newKey() };
  const index = { dimension: DIMENSIONS, metric: "cosine" };
  const indexes = Object.fromEntries(Array.from({ length: INDEXES }, (_, i) => [`C${i + 1}`, index]));
  const [chroma, qdrant, pinecone, weaviate] = await Promise.all([
    startChroma(),
    startQdrant({ apiKey: environment.QDRANT_API_KEY }),
    startPinecone({ apiKey: environment.PINECONE_API_KEY, indexes }),
    startWeaviate({ apiKey: environment.WEAVIATE_API_KEY }),
  ]);
  const at = (name: string, url: (collection: string) => string) => {
    const collection = counted("C");
    return { name, newUrl: () => url(collection()) };
  };
  const grpc = `?grpc=127.0.0.1:${weaviate.grpcPort}`;
  return {
    list: [
      at("Chroma", (collection) => `chroma://127.0.0.1:${chroma.port}/${collection}00`),
      at("Qdrant (loopback)", (collection) => `qdrant://127.0.0.1:${qdrant.port}/${collection}`),
      at("Pinecone (loopback)", (collection) => `pinecone+http://127.0.0.1:${pinecone.port}/${collection}`),
      at("Weaviate (loopback)", (collection) => `weaviate://127.0.0.1:${weaviate.port}/${collection}${grpc}`),
    ],
    environment,
    stops: [chroma, qdrant, pinecone, weaviate].map(({ stop }) => stop),
  };
}

function counted(prefix = "place"): () => string {
  let used = 0;
  return () => {
    used += 1;
    return `${prefix}${used}`;
  };
}
