import { z } from "zod";
import { MnemailError } from "../../errors.ts";
import type { VectorIndex } from "./vector-index.ts";

/** The vector databases that can be named by a URL. */
export const VECTOR_DATABASES = ["chroma", "qdrant", "pinecone", "weaviate"] as const;

/** Where vectors are, as a URL names it. */
export interface VectorPlace {
  database: (typeof VECTOR_DATABASES)[number];
  /** The URL without anything that is nobody's business. */
  name: string;
  /** The server, such as `http://127.0.0.1:6333`; undefined for Pinecone's own. */
  server: URL | undefined;
  collection: string;
  /** Weaviate's second address, `host:port`, where the URL names it. */
  grpc: string | undefined;
}

/** What is opened where, once its packages are there. */
export interface Opening {
  place: VectorPlace;
  apiKey: string | undefined;
  importPackage: (name: string) => Promise<unknown>;
}

const EXPECTED =
  "expected chroma://HOST:PORT/COLLECTION, qdrant://HOST:PORT/COLLECTION, weaviate://HOST:PORT/CLASS (with TLS chroma+https:// and so on) or pinecone://INDEX";
const PORTS = { chroma: "8000", qdrant: "6333", weaviate: "8080", pinecone: "5080" };

/**
 * Reads `chroma://host:port/collection`, `qdrant://…`, `weaviate://host:port/Class[?grpc=host:port]` and
 * `pinecone://index`; `chroma+https://…` and so on with TLS, `pinecone+http://host:port/index` for a server of one's own.
 *
 * @throws MnemailError("config") for anything else, and for credentials in a URL.
 */
export function parseVectorUrl(text: string): VectorPlace {
  const refuse = (what: string) => new MnemailError("config", `VECTOR_URL: ${what}`, EXPECTED);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const [, scheme = "", transport] = /^([a-z]+)(?:\+(https?))?:$/.exec(url?.protocol ?? "") ?? [];
  const database = VECTOR_DATABASES.find((each) => each === scheme);
  if (!url || !database) throw refuse("this is not the URL of a vector database");
  if (url.username || url.password) throw refuse("credentials do not belong in it");
  const isHosted = database === "pinecone" && transport === undefined;
  const collection = decodeURIComponent(isHosted ? url.hostname : url.pathname.slice(1));
  const name = `${url.protocol}//${url.host}${url.pathname}`;
  if (!url.hostname || (isHosted && !/^\/?$/.test(url.pathname))) throw refuse(`saw ${name}`);
  const wanted = database === "weaviate" ? /^[A-Z]\w{0,229}$/ : /^[A-Za-z0-9][\w.-]{0,511}$/;
  if (!wanted.test(collection)) {
    const form = database === "weaviate" ? "a class name that begins with a capital" : "letters, digits and . _ -";
    throw refuse(`saw the collection ${JSON.stringify(collection)}, and ${form} was expected`);
  }
  if (isHosted) return { database, name: name.replace(/\/$/, ""), server: undefined, collection, grpc: undefined };
  const port = url.port || (transport === "https" ? "443" : PORTS[database]);
  const server = new URL(`${transport ?? "http"}://${url.hostname}:${port}`);
  return { database, name, server, collection, grpc: url.searchParams.get("grpc") ?? undefined };
}

const failureSchema = z.object({
  message: z.string().catch(""),
  status: z.number().optional().catch(undefined),
  statusCode: z.number().optional().catch(undefined),
  name: z.string().catch(""),
});
const REFUSED = /\b40[13]\b|unauthorized|unauthenticated|forbidden|permission.denied|authorization|invalid api key/i;
const AWAY = /ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|fetch failed|failed to connect|UNAVAILABLE|socket hang up/i;

/** An error of a database's package as one line that names the place and says what to do. */
export function vectorFailure(place: VectorPlace, keyName: string, error: unknown): MnemailError {
  if (error instanceof MnemailError) return error;
  const { message, status, statusCode, name } = failureSchema.catch({ message: String(error), name: "" }).parse(error);
  const text = `${name} ${message} ${error instanceof Error && error.cause ? String(error.cause) : ""}`;
  const options = { cause: error };
  if ([status, statusCode].some((each) => each === 401 || each === 403) || REFUSED.test(text)) {
    return new MnemailError("config", `${place.name}: the credentials are refused`, `set ${keyName}`, options);
  }
  if (AWAY.test(text)) return new MnemailError("store", `${place.name}: there is no connection`, undefined, options);
  if (error instanceof z.ZodError) {
    const at = error.issues[0]?.path.join(".") || "its form";
    return new MnemailError("store", `${place.name}: its answer is not one that is known (${at})`, undefined, options);
  }
  const line = message.replace(/\s+/g, " ").trim().slice(0, 300);
  return new MnemailError("store", `${place.name}: ${line || "it failed without a reason"}`, undefined, options);
}

/** The same index, whose errors are {@link vectorFailure}. */
export function withClearErrors(index: VectorIndex, place: VectorPlace, keyName: string): VectorIndex {
  const clear = async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      throw vectorFailure(place, keyName, error);
    }
  };
  const { list } = index;
  return {
    ...{ name: index.name, reach: index.reach },
    dimensions: () => clear(() => index.dimensions()),
    add: (vectors) => clear(() => index.add(vectors)),
    remove: (ids) => clear(() => index.remove(ids)),
    search: (near, limit, where) => clear(() => index.search(near, limit, where)),
    find: (where, dimensions) => clear(() => index.find(where, dimensions)),
    ...(list ? { list: (dimensions: number | undefined) => clear(() => list(dimensions)) } : {}),
    close: () => index.close(),
  };
}

/** @throws MnemailError("store") where vectors of one length meet a collection of another. */
export function refuseOtherDimensions(name: string, held: number, offered: number): void {
  if (held === offered) return;
  throw new MnemailError(
    "store",
    `${name} holds vectors of ${held} dimensions, and the embedding model gives ${offered}`,
    "name another collection in VECTOR_URL, or set the model that made them",
  );
}

/** Tells an object of a package by the methods of it that are called. */
export function withMethods<T>(what: string, ...methods: string[]): z.ZodType<T> {
  return z.custom<T>(
    (value) =>
      value !== null &&
      (typeof value === "object" || typeof value === "function") &&
      methods.every((method) => typeof Reflect.get(value, method) === "function"),
    `this is not the ${what} that is known`,
  );
}

/** Lists cut in pieces of at most `size`. */
export function chunksOf<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}
