import { existsSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { type Config, loadConfig } from "../config.ts";
import { MnemailError } from "../errors.ts";
import { copyMemory } from "../memory/transfer.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { hasThreads } from "../store/open-checkpointer.ts";
import { isVolatile, localPathOf, renderStore } from "../store-config/describe-store.ts";
import { parseRedisUrl, renderRedis } from "../store-config/redis-address.ts";
import { renderS3 } from "../store-config/s3-place.ts";
import type { StoreConfig } from "../store-config/store-config.ts";
import { note, printJson } from "./output.ts";
import { showProgress } from "./progress.ts";
import { openIndexedStore, openPlainStore } from "./stores.ts";
import { noteWaitingFields, renderCounts } from "./transfer-counts.ts";

const optionsSchema = z.object({
  from: z.string(),
  to: z.string(),
  toVectors: z.string().optional(),
  user: z.string().optional(),
  json: z.boolean().default(false),
});

/** `mnemail memory copy`: copies all users, or one, from one store to another. Returns the exit code. */
export async function copyStore(rawOptions: unknown): Promise<number> {
  const options = optionsSchema.parse(rawOptions);
  if (options.user !== undefined) encodeUserId(options.user);
  const { store: source } = configOf("--from", options.from);
  const config = configOf("--to", options.to, options.toVectors);
  const { store: target } = config;
  if (identity(source) === identity(target)) {
    throw new MnemailError("usage", `--from and --to: both are ${renderStore(source)}`, "name two stores");
  }
  const path = localPathOf(source);
  if (path !== undefined && !existsSync(path)) {
    throw new MnemailError("input", `--from: ${path}: there is no such file`, "name an existing store");
  }
  let leftOut = 0;
  const warn = (line: string) => {
    leftOut += 1;
    note(line);
  };
  await using from = await openPlainStore(config, source);
  await using opened = await openIndexedStore(config);
  const user = options.user === undefined ? {} : { userId: options.user };
  const counts = await copyMemory(from, opened.store, { ...user, onProgress: showProgress("copied"), warn });
  const places = { from: renderStore(source), to: renderStore(target) };
  if (options.json) printJson({ ...places, ...counts, left_out: leftOut });
  else console.log(`${places.from} to ${places.to}: ${renderCounts(counts)}`);
  noteWaitingFields(counts, opened.embeddingModel);
  if (Object.values(counts).every((n) => n === 0))
    note(`there is nothing in ${places.from}: is that the store you meant?`);
  if (await hasThreads(source, note)) {
    note(`threads stay in ${places.from}: what waits for an answer there is to be decided there`);
  }
  return leftOut > 0 ? 1 : 0;
}

/** The settings of the environment, with the store of a URL, and with vectors where another one says. */
function configOf(option: string, storeUrl: string, vectorUrl?: string): Config {
  try {
    const config = loadConfig({ storeUrl, ...(vectorUrl === undefined ? {} : { vectorUrl }) });
    if (!isVolatile(config.store)) return config;
  } catch (error) {
    if (!(error instanceof MnemailError && /^(STORE|VECTOR)_URL:/.test(error.message))) throw error;
    const message = error.message.replace(/^STORE_URL/, option).replace(/^VECTOR_URL/, `${option}-vectors`);
    throw new MnemailError("usage", message, undefined, { cause: error });
  }
  throw new MnemailError("usage", `${option}: memory: is lost when this ends`, "name a store that is kept");
}

/** One text for one store, however its URL is written; users, passwords and TLS are no part of it. */
function identity(place: StoreConfig): string {
  const path = localPathOf(place);
  if (path !== undefined) return existsSync(path) ? realpathSync(path) : resolve(path);
  if (place.backend === "redis") {
    const address = parseRedisUrl(place.url);
    return renderRedis({ ...address, host: hostOf(address.host), tls: false });
  }
  if (place.backend === "s3") return renderS3(place);
  if (place.backend !== "postgres") return renderStore(place);
  const { hostname, port, pathname, searchParams } = new URL(place.url);
  const host = searchParams.get("host") ?? hostname;
  return JSON.stringify([hostOf(host), port || "5432", pathname, searchParams.get("options")]);
}

/** One name for this machine. */
function hostOf(host: string): string {
  return ["localhost", "::1", "[::1]"].includes(host.toLowerCase()) ? "127.0.0.1" : host.toLowerCase();
}
