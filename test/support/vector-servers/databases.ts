import { startChroma } from "./chroma.ts";
import { startPinecone } from "./pinecone.ts";
import { startQdrant } from "./qdrant.ts";
import { startWeaviate } from "./weaviate.ts";

const KEY = "a-key-of-the-tests";

/** A running vector database. */
export interface TestVectors {
  /** The URL of a collection that nobody has used, of vectors of 64 dimensions. */
  newUrl(): string;
  apiKey: string | undefined;
  stop(): Promise<void>;
}

/** The vector databases that can be named by a URL, each as real as it can be had here. */
export const TEST_VECTORS: { name: string; isMadeBeforehand?: true; start(): Promise<TestVectors> }[] = [
  {
    name: "a Chroma server",
    async start() {
      const { port, stop } = await startChroma();
      return { newUrl: named((name) => `chroma://127.0.0.1:${port}/${name}`), apiKey: undefined, stop };
    },
  },
  {
    name: "Qdrant's client on a loopback",
    async start() {
      const { port, stop } = await startQdrant({ apiKey: KEY });
      return { newUrl: named((name) => `qdrant://127.0.0.1:${port}/${name}`), apiKey: KEY, stop };
    },
  },
  {
    name: "Pinecone's client on a loopback",
    isMadeBeforehand: true,
    async start() {
      const names = Array.from({ length: 1_000 }, (_, i) => `Trial${i + 1}`);
      const described = { dimension: 64, metric: "cosine" };
      const indexes = Object.fromEntries(names.map((name) => [name, described]));
      const { port, stop } = await startPinecone({ apiKey: KEY, indexes });
      return { newUrl: named((name) => `pinecone+http://127.0.0.1:${port}/${name}`), apiKey: KEY, stop };
    },
  },
  {
    name: "Weaviate's client on a loopback",
    async start() {
      const { port, grpcPort, stop } = await startWeaviate({ apiKey: KEY });
      const url = (name: string) => `weaviate://127.0.0.1:${port}/${name}?grpc=127.0.0.1:${grpcPort}`;
      return { newUrl: named(url), apiKey: KEY, stop };
    },
  },
];

function named(url: (name: string) => string): () => string {
  let used = 0;
  return () => {
    used += 1;
    return url(`Trial${used}`);
  };
}
