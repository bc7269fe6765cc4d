import { maskSecret, maskUrl } from "./masks.ts";
import { parseRedisUrl, renderRedis } from "./redis-address.ts";
import { renderS3 } from "./s3-place.ts";
import type { PlaceConfig, StoreConfig } from "./store-config.ts";
import { FILE_MODE } from "./store-url.ts";
import { keyNameOf } from "./vector-place.ts";

/** The store as a URL, secrets masked. */
export function renderStore({ vectors, ...place }: StoreConfig): string {
  return vectors ? `${renderPlace(place)}, vectors in ${maskUrl(vectors.url)}` : renderPlace(place);
}

function renderPlace(place: PlaceConfig): string {
  switch (place.backend) {
    case "memory":
      return place.snapshot ? `memory:?snapshot=${place.snapshot.path}` : "memory:";
    case "sqlite":
      return `sqlite:${place.path}`;
    case "file":
      return `file:${place.path}`;
    case "redis":
      return renderRedis(parseRedisUrl(place.url));
    case "s3":
      return renderS3(place);
    case "postgres":
      return maskUrl(place.url);
  }
}

/** One line that says where memory is kept, and warns where it will be lost. */
export function describeStore(store: StoreConfig): string {
  if (isVolatile(store)) {
    return "memory: in this process only, LOST AT EXIT (set STORE_URL=sqlite:PATH to keep it)";
  }
  const { snapshot } = store.backend === "memory" ? store : {};
  const saved = snapshot ? `, saved every ${snapshot.everyMs / 1_000} s and at exit` : "";
  return `memory: kept in ${renderStore(store)}${saved}`;
}

/** Whether nothing is left of what is kept when its process ends. */
export function isVolatile(store: StoreConfig): boolean {
  return store.backend === "memory" && store.snapshot === undefined;
}

/** The file or folder of this machine in which items are; undefined where they are elsewhere. */
export function localPathOf(store: StoreConfig): string | undefined {
  if (store.backend === "memory") return store.snapshot?.path;
  return store.backend === "sqlite" || store.backend === "file" ? store.path : undefined;
}

/** Whatever lets somebody into a store: keys, and URLs with passwords. */
export function secretsOfStore(store: StoreConfig): { urls: string[]; keys: (string | undefined)[] } {
  return {
    urls: store.backend === "postgres" || store.backend === "redis" ? [store.url] : [],
    keys: [store.vectors?.apiKey, ...(store.backend === "s3" ? [store.secretAccessKey, store.sessionToken] : [])],
  };
}

/** The settings of a store beside its place, as names and values for people. */
export function renderStoreSettings(store: StoreConfig): Record<string, string | number> {
  return {
    ...(store.backend === "postgres"
      ? {
          postgres_pool_max: store.poolMax,
          postgres_idle_timeout_ms: store.idleTimeoutMs,
          postgres_connect_timeout_ms: store.connectTimeoutMs,
          postgres_statement_timeout_ms: store.statementTimeoutMs,
          postgres_retry_ms: store.retryMs,
          postgres_password_file: store.passwordFile ?? "not set",
        }
      : {}),
    ...(store.backend === "memory" && store.snapshot ? { snapshot_every_s: store.snapshot.everyMs / 1_000 } : {}),
    ...(store.backend === "file" ? { file_mode: (store.mode ?? FILE_MODE).toString(8).padStart(4, "0") } : {}),
    ...(store.backend === "s3"
      ? {
          aws_access_key_id: maskSecret(store.accessKeyId),
          aws_secret_access_key: maskSecret(store.secretAccessKey),
          aws_session_token: maskSecret(store.sessionToken),
          aws_region: store.region ?? "us-east-1",
        }
      : {}),
    ...(store.vectors ? { [keyNameOf(store.vectors.url).toLowerCase()]: maskSecret(store.vectors.apiKey) } : {}),
  };
}
