import { MnemailError } from "../../errors.ts";
import { keyNameOf, parseVectorUrl, type VectorPlace } from "../../store-config/vector-place.ts";
import { openChroma } from "./chroma.ts";
import { openPinecone } from "./pinecone.ts";
import { openQdrant } from "./qdrant.ts";
import type { VectorIndex } from "./vector-index.ts";
import { type Opening, vectorFailure, withClearErrors } from "./vector-package.ts";
import { openWeaviate } from "./weaviate.ts";

/** How a vector database is reached. */
export interface VectorStoreOptions {
  /** The database's key, where it wants one. */
  apiKey?: string;
  /** Imports a package by its name; Node's `import` by default, so that packages are found where Mnemail is installed. */
  importPackage?: (name: string) => Promise<unknown>;
}

interface Database {
  open(opening: Opening): Promise<VectorIndex>;
  install: string;
}

const DATABASES: Record<VectorPlace["database"], Database> = {
  chroma: { open: openChroma, install: "chromadb@3.0.14" },
  qdrant: { open: openQdrant, install: "@langchain/qdrant@1.0.3" },
  pinecone: {
    open: openPinecone,
    install: "@langchain/pinecone@1.0.3 @pinecone-database/pinecone@5.1.2",
  },
  weaviate: { open: openWeaviate, install: "weaviate-client@3.12.1" },
};

/**
 * Opens the vector database that a URL names (`parseVectorUrl`). Its packages are imported only now. A server that
 * cannot be reached is no error yet: a hybrid store goes on without it.
 *
 * @throws MnemailError("config") for a URL that names none, a package that is not installed (with the command that
 * installs it), or credentials that are refused; MnemailError("store") for a collection that cannot be used.
 */
export async function openVectorIndex(url: string, options: VectorStoreOptions = {}): Promise<VectorIndex> {
  const place = parseVectorUrl(url);
  const keyName = keyNameOf(url);
  if (options.apiKey !== undefined && !/^[\x21-\x7e]+$/.test(options.apiKey)) {
    throw new MnemailError("config", `${place.name}: its key has blanks or line breaks`, `correct ${keyName}`);
  }
  const { open, install } = DATABASES[place.database];
  const load = options.importPackage ?? ((name: string) => import(name));
  const importPackage = async (name: string) => {
    try {
      return await load(name);
    } catch (error) {
      const what = `${place.name}: the package ${name} cannot be loaded`;
      throw new MnemailError("config", what, `npm install ${install}`, { cause: error });
    }
  };
  try {
    const index = withClearErrors(await open({ place, apiKey: options.apiKey, importPackage }), place, keyName);
    await index.dimensions().catch((error: unknown) => {
      if (error instanceof MnemailError && /: there is no connection\b/.test(error.message)) return;
      throw error;
    });
    return index;
  } catch (error) {
    throw vectorFailure(place, keyName, error);
  }
}
