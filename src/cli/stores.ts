import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Config } from "../config.ts";
import type { MnemailStore } from "../store/mnemail-store.ts";
import { openStore } from "../store/open-store.ts";
import { describeStore, localPathOf } from "../store-config/describe-store.ts";
import type { StoreConfig } from "../store-config/store-config.ts";
import { note } from "./output.ts";

/**
 * Opens a store without embeddings, for work that needs none, and says on stderr where it is, and where it was not there
 * before: its path may be mistyped.
 */
export async function openPlainStore(config: Config, place: StoreConfig = config.store): Promise<MnemailStore> {
  const path = localPathOf(place);
  const isNew = path !== undefined && !existsSync(path);
  const store = await openStore(place, { warn: note, language: config.searchLanguage });
  note(describeStore(place));
  if (isNew) note(`${resolve(path)}: there was none; a new, empty store was made`);
  return store;
}

/** A store with the embeddings of the configuration; `embeddingModel` is undefined where it has none. */
export interface IndexedStore extends AsyncDisposable {
  store: MnemailStore;
  embeddingModel: string | undefined;
}

/** Opens a store that makes vectors by the configuration's embedding model. */
export async function openIndexedStore(
  config: Config,
  { warn = note }: { warn?: (line: string) => void } = {},
): Promise<IndexedStore> {
  // Imported after the settings proved right, since it loads LangChain.
  const { openModels } = await import("../models.ts");
  const models = await openModels(config);
  const { embeddings, embeddingModel: model } = models;
  const index = embeddings ? { index: { embeddings, model } } : {};
  const closeModels = () => models[Symbol.asyncDispose]();
  try {
    const store = await openStore(config.store, { warn, language: config.searchLanguage, ...index });
    return {
      store,
      embeddingModel: embeddings && model,
      async [Symbol.asyncDispose]() {
        await store.stop();
        await closeModels();
      },
    };
  } catch (error) {
    await closeModels();
    throw error;
  }
}
