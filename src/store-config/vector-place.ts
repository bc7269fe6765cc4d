import { MnemailError } from "../errors.ts";

const VECTOR_DATABASES = ["chroma", "qdrant", "pinecone", "weaviate"] as const;

const KEY_NAMES = {
  chroma: "CHROMA_API_KEY",
  qdrant: "QDRANT_API_KEY",
  pinecone: "PINECONE_API_KEY",
  weaviate: "WEAVIATE_API_KEY",
} as const;

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

const EXPECTED =
  "expected chroma://HOST:PORT/COLLECTION, qdrant://HOST:PORT/COLLECTION, weaviate://HOST:PORT/CLASS (with TLS chroma+https:// and so on) or pinecone://INDEX";
const NAMED = { pattern: /^[A-Za-z0-9][\w.-]{0,511}$/, form: "letters, digits and . _ -" };
/** What the databases take as the name of a collection. */
const COLLECTIONS = {
  chroma: { pattern: /^[A-Za-z0-9][\w.-]{1,510}[A-Za-z0-9]$/, form: "at least 3 letters, digits and . _ -" },
  qdrant: NAMED,
  pinecone: NAMED,
  weaviate: { pattern: /^[A-Z]\w{0,229}$/, form: "a class name that begins with a capital" },
};
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
  if (text.includes("@")) throw refuse("credentials do not belong in it");
  const isHosted = database === "pinecone" && transport === undefined;
  const collection = isHosted ? url.hostname : url.pathname.replace(/^\/|\/$/g, "");
  const isKnown = (option: string) => option === "grpc" && database === "weaviate";
  if (url.hash || [...url.searchParams.keys()].some((option) => !isKnown(option))) {
    throw refuse("it has options that are not known; the only one is grpc=HOST:PORT of weaviate://");
  }
  if (!url.hostname || (isHosted && !/^\/?$/.test(url.pathname))) {
    throw refuse(`saw ${url.protocol}//${url.host}${url.pathname}`);
  }
  const { pattern, form } = COLLECTIONS[database];
  if (!pattern.test(collection)) {
    throw refuse(`saw the collection ${JSON.stringify(collection)}, and ${form} was expected`);
  }
  if (isHosted) {
    return { database, name: `${url.protocol}//${collection}`, server: undefined, collection, grpc: undefined };
  }
  const port = url.port || (transport === "https" ? "443" : PORTS[database]);
  const server = new URL(`${transport ?? "http"}://${url.hostname}:${port}`);
  // With its port, so that one place has one name, which the documents remember.
  const name = `${url.protocol}//${url.hostname}:${port}/${collection}`;
  return { database, name, server, collection, grpc: url.searchParams.get("grpc") ?? undefined };
}

/** The variable of a database's key, under its packages' own name. @throws as {@link parseVectorUrl}. */
export function keyNameOf(url: string): (typeof KEY_NAMES)[keyof typeof KEY_NAMES] {
  return KEY_NAMES[parseVectorUrl(url).database];
}
