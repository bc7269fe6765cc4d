import type { KeyChange, KeyValue } from "../../../src/store/key-value/key-value.ts";
import { mapKeyValue } from "../../../src/store/key-value/map.ts";
import { openRedis } from "../../../src/store/key-value/redis.ts";
import { openS3 } from "../../../src/store/key-value/s3.ts";
import type { S3Config } from "../../../src/store-config/s3-place.ts";
import { startRedis } from "../../support/redis.ts";
import { type LoopbackS3, startLoopbackS3 } from "../../support/s3.ts";

/** A kind of place, in which places of any name can be opened, more than once too. */
export interface PlaceKind {
  name: string;
  open(name: string): Promise<KeyValue>;
  /** How a process of its own opens the same; undefined where none can. */
  openElsewhere?(name: string): { redis: string } | { s3: S3Config };
}

/** Starts the servers of this test process. Where redis-server is not installed it says so, and Redis is left out. */
export async function startPlaces(): Promise<{ kinds: PlaceKind[]; s3: LoopbackS3; stop(): Promise<void> }> {
  const [s3, redis] = [await startLoopbackS3(), await startRedis()];
  const maps = new Map<string, Map<string, string>>();
  const map: PlaceKind = {
    name: "a Map",
    async open(name) {
      const texts = maps.get(name) ?? new Map<string, string>();
      maps.set(name, texts);
      return mapKeyValue(texts);
    },
  };
  const configOf = (prefix: string): S3Config => {
    const { bucket, endpoint, region, accessKeyId, secretAccessKey } = s3;
    return { bucket, endpoint, region, accessKeyId, secretAccessKey, prefix };
  };
  const bucket: PlaceKind = {
    name: "S3 (loopback)",
    open: (name) => openS3(configOf(name), { retryMs: 0 }),
    openElsewhere: (name) => ({ s3: configOf(name) }),
  };
  const kinds = [map, bucket];
  if (redis) {
    const urlOf = (name: string) => `${redis.url}?prefix=${name}`;
    kinds.push({
      name: redis.name,
      open: (name) => openRedis(urlOf(name)),
      openElsewhere: (name) => ({ redis: urlOf(name) }),
    });
  }
  return {
    ...{ kinds, s3 },
    async stop() {
      await Promise.all([s3.close(), redis?.stop()]);
    },
  };
}

/** A place that notes what it is asked for: each call with the keys whose texts it gives or writes. */
export function watchPlace(place: KeyValue): { place: KeyValue; calls: { call: string; keys: readonly string[] }[] } {
  const calls: { call: string; keys: readonly string[] }[] = [];
  const note = (call: string, keys: readonly string[]) => void calls.push({ call, keys });
  return {
    calls,
    place: {
      ...{ name: place.name, isAtomic: place.isAtomic, close: () => place.close() },
      async read(keys) {
        note("read", keys);
        return place.read(keys);
      },
      async list(prefix) {
        const found = await place.list(prefix);
        note(
          "list",
          found.map(({ key }) => key),
        );
        return found;
      },
      async keys(prefix) {
        note("keys", []);
        return place.keys(prefix);
      },
      async write(changes: readonly KeyChange[]) {
        note(
          "write",
          changes.map(({ key }) => key),
        );
        return place.write(changes);
      },
    },
  };
}
