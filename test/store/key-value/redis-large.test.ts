import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { KeyValue } from "../../../src/store/key-value/key-value.ts";
import { openRedis } from "../../../src/store/key-value/redis.ts";
import { connectRedis } from "../../../src/store/key-value/redis-connection.ts";
import { createRedisReader } from "../../../src/store/key-value/redis-reader.ts";
import { parseRedisUrl } from "../../../src/store-config/redis-address.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";

const server = await startRedis();
afterAll(() => server?.stop());

describe.skipIf(server === undefined)("a Redis that has much", () => {
  const places: { close(): Promise<void> }[] = [];
  const started = (): RedisServer => {
    if (server === undefined) throw new Error("no server");
    return server;
  };
  const open = async () => {
    const place = await openRedis(started().url);
    places.push(place);
    return place;
  };
  const put = async (place: KeyValue, keys: readonly string[], text: string) => {
    for (let at = 0; at < keys.length; at += 500) {
      await place.write(keys.slice(at, at + 500).map((key) => ({ key, text })));
    }
  };
  const names = (count: number) => Array.from({ length: count }, (_, i) => `r/u/=${String(i).padStart(6, "0")}`);
  const stats = async (section: string, pattern: RegExp) =>
    Number(pattern.exec(String(await started().ask("INFO", section)))?.[1] ?? 0);
  afterEach(async () => {
    for (const place of places.splice(0)) await place.close();
    await started().ask("FLUSHALL");
  });

  test("makes a batch of 100,000 changes whole, of putting and of removing", async () => {
    const place = await open();
    const keys = names(100_000);
    expect(await place.write([...keys, "r/v/=k"].map((key) => ({ key, text: "x" })))).toBe(true);
    expect(await place.keys("r/u/")).toHaveLength(keys.length);
    expect((await place.read(keys)).every((text) => text === "x")).toBe(true);
    expect((await place.snapshot?.(keys, []))?.size).toBe(keys.length);
    expect(await place.write(keys.map((key) => ({ key, text: null })))).toBe(true);
    expect(await place.keys("")).toEqual(["r/v/=k"]);
    expect(await started().ask("HLEN", "{mnemail}:#versions")).toBe(1);
  }, 30_000);

  test("removes and puts in the order of a batch", async () => {
    const place = await open();
    const batch = [null, "1", null, "2"].map((text) => ({ key: "r/a", text }));
    await place.write([...batch, { key: "r/b", text: "1" }, { key: "r/b", text: null }]);
    expect(await place.list("")).toEqual([{ key: "r/a", text: "2" }]);
  });

  test("is read in pieces, and yet as of one moment while others write", async () => {
    const [writer, long] = [await open(), "x".repeat(20_000)];
    const keys = names(1_000);
    const pair = [keys[0] ?? "", keys.at(-1) ?? ""];
    await put(writer, keys, long);
    let isDone = false;
    const writing = (async () => {
      for (let n = 0; !isDone; n += 1) await writer.write(pair.map((key) => ({ key, text: `${n} ${long}` })));
    })();
    try {
      for (let i = 0; i < 5; i += 1) {
        const before = await stats("commandstats", /cmdstat_mget:calls=(\d+)/);
        const found = (await (await open()).snapshot?.([], ["r/u/"])) ?? new Map<string, string>();
        expect([...found.keys()]).toEqual(keys);
        expect(found.get(pair[0] ?? "")?.length).toBeGreaterThan(long.length);
        expect(found.get(pair[0] ?? "")).toBe(found.get(pair[1] ?? ""));
        expect((await stats("commandstats", /cmdstat_mget:calls=(\d+)/)) - before).toBeGreaterThan(2);
      }
    } finally {
      isDone = true;
      await writing;
    }
  }, 30_000);

  test("that is more than is kept in process is fetched in part, not all of it each time", async () => {
    const long = "x".repeat(100_000);
    await put(await open(), names(100), long);
    const connection = connectRedis(parseRedisUrl(started().url), {});
    places.push(connection);
    const reader = createRedisReader(connection, "{mnemail}:", 50 * long.length);
    const sent = () => stats("stats", /total_net_output_bytes:(\d+)/);
    for (const share of [100, 50, 50]) {
      const before = await sent();
      expect((await reader.texts([], ["r/u/"])).size).toBe(100);
      expect(((await sent()) - before) / long.length).toBeLessThan(share + 2);
    }
  });
});
