import { MnemailError } from "../errors.ts";

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
  const collection = isHosted ? url.hostname : url.pathname.slice(1);
  const name = `${url.protocol}//${url.host}${url.pathname}`;
  const isKnown = (option: string) => option === "grpc" && database === "weaviate";
  if (url.hash || [...url.searchParams.keys()].some((option) => !isKnown(option))) {
    throw refuse("it has options that are not known; the only one is grpc=HOST:PORT of weaviate://");
  }
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
