import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { renderError } from "../../../src/errors.ts";
import { openHybridDriver } from "../../../src/store/hybrid/hybrid-driver.ts";
import { indexedVector, type VectorIndex, whereBelow } from "../../../src/store/hybrid/vector-index.ts";
import { openVectorIndex } from "../../../src/store/hybrid/vector-stores.ts";
import { createMemoryDriver } from "../../../src/store/memory-driver.ts";
import { MnemailStore } from "../../../src/store/mnemail-store.ts";
import { parseVectorUrl } from "../../../src/store-config/vector-place.ts";
import { freePort, startChroma } from "../../support/vector-servers/chroma.ts";
import { TEST_VECTORS, type TestVectors } from "../../support/vector-servers/databases.ts";
import { hasVectorPackages, importVectorPackage } from "../../support/vector-servers/packages.ts";
import { startPinecone } from "../../support/vector-servers/pinecone.ts";
import { startQdrant } from "../../support/vector-servers/qdrant.ts";
import { startWeaviate } from "../../support/vector-servers/weaviate.ts";
import { indexOf } from "../conformance/describe-store.ts";

const lineOf = async (what: Promise<unknown>) =>
  renderError(
    await what.then(
      () => "no error",
      (error: unknown) => error,
    ),
  );
const vectorOf = (first: number, dimensions = 64) =>
  Float32Array.from({ length: dimensions }, (_, i) => (i ? 0.1 : first));
const entry = (namespace: string[], key: string, vector: Float32Array) =>
  indexedVector({ namespace, key }, `${key}0`, { field: "text", vector, space: { model: "m", dimensions: 64 } });

describe("a URL of vectors", () => {
  test("names database, server and collection", () => {
    const read = (url: string) => {
      const { database, server, collection, grpc } = parseVectorUrl(url);
      return [database, server?.origin, collection, grpc];
    };
    expect(read("chroma://localhost:8123/mail")).toEqual(["chroma", "http://localhost:8123", "mail", undefined]);
    expect(read("chroma://localhost/mail")).toEqual(["chroma", "http://localhost:8000", "mail", undefined]);
    expect(read("qdrant+https://q.example:6333/mail")).toEqual(["qdrant", "https://q.example:6333", "mail", undefined]);
    expect(read("qdrant+https://q.example/mail")).toEqual(["qdrant", "https://q.example", "mail", undefined]);
    expect(read("weaviate://h:81/Mail?grpc=g:5")).toEqual(["weaviate", "http://h:81", "Mail", "g:5"]);
    expect(read("pinecone://mail")).toEqual(["pinecone", undefined, "mail", undefined]);
    expect(read("pinecone+http://localhost:5081/mail")).toEqual([
      "pinecone",
      "http://localhost:5081",
      "mail",
      undefined,
    ]);
  });

  test("that names none is refused in one line, without the secrets in it", () => {
    const bad = [
      "",
      "chroma",
      "http://h/c",
      "milvus://h/c",
      "chroma://h",
      "chroma://h/a/b",
      "qdrant://h/",
      "pinecone://a/b",
    ];
    for (const url of [
      ...bad,
      "weaviate://h/small",
      "pinecone://",
      "qdrant+ssh://h/c",
      "chroma:///c",
      "chroma://h/..%2Fx",
    ]) {
      expect(() => parseVectorUrl(url), url).toThrow(/^VECTOR_URL: /);
    }
    const secret = () => parseVectorUrl("qdrant://me:hunter2@h/c");
    expect(secret).toThrow("credentials do not belong in it");
    expect(secret).not.toThrow("hunter2");
  });

  test.each([
    ["chroma://h/mail", "npm install chromadb@3.0.14"],
    ["qdrant://h/c", "npm install @langchain/qdrant@1.0.3"],
    ["pinecone://c", "npm install @langchain/pinecone@1.0.3 @pinecone-database/pinecone@5.1.2"],
    ["weaviate://h/C", "npm install weaviate-client@3.12.1"],
  ])("%s without its package says how to install it", async (url, command) => {
    const line = await lineOf(openVectorIndex(url, { apiKey: "k" }));
    expect(line).toContain(`(${command})`);
    expect(line).toMatch(/the package \S+ cannot be loaded/);
    expect(line).not.toContain("\n");
  });
});

describe.skipIf(!hasVectorPackages).each(TEST_VECTORS)("$name", ({ name, isMadeBeforehand, start }) => {
  let server: TestVectors;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server.stop());
  const open = (url: string, apiKey = server.apiKey) =>
    openVectorIndex(url, { importPackage: importVectorPackage, ...(apiKey === undefined ? {} : { apiKey }) });

  test("finds by likeness and by what is beside a vector, lists, and removes", async () => {
    const index: VectorIndex = await open(server.newUrl());
    expect(await index.search(vectorOf(1), 5, whereBelow(["m"]))).toEqual([]);
    expect(await index.find(whereBelow(["m"]), 64)).toEqual([]);
    expect(await index.dimensions()).toBe(isMadeBeforehand ? 64 : undefined);
    const [a, b, c] = [
      entry(["m", "user1"], "a", vectorOf(1)),
      entry(["m", "user1", "x"], "b", vectorOf(-1)),
      entry(["m", "user10"], "c", vectorOf(1)),
    ];
    await index.add([a, b, c]);
    await index.add([a]);
    const found = await index.search(vectorOf(1), 5, whereBelow(["m", "user1"]));
    expect(found.map(({ about }) => Object(about).vector_id)).toEqual([a.id, b.id]);
    expect(found[0]?.score).toBeCloseTo(1, 4);
    expect(found[0]?.about).toMatchObject({ namespace: "m.user1", key: "a", version: "a0" });
    expect(await index.search(vectorOf(1), 1, whereBelow(["m"]))).toHaveLength(1);
    expect((await index.find({ name: "version", values: ["a0", "c0", "none"] }, 64)).sort()).toEqual(
      [a.id, c.id].sort(),
    );
    expect((await index.list?.(64))?.sort()).toEqual([a.id, b.id, c.id].sort());
    expect(await index.dimensions()).toBe(64);
    await index.remove([a.id, c.id]);
    await index.remove([a.id]);
    expect(await index.list?.(64)).toEqual([b.id]);
    await index.close();
  });

  test("holding vectors of other dimensions refuses these in one line", async () => {
    const url = server.newUrl();
    const index = await open(url);
    await index.add([entry(["m"], "a", vectorOf(1))]);
    const line = await lineOf(index.add([entry(["m"], "b", vectorOf(1, 32))]));
    expect(line).toMatch(/holds vectors of 64 dimensions, and the embedding model gives 32 \(name another collection/);
    const warnings: string[] = [];
    const documents = createMemoryDriver();
    const driver = await openHybridDriver(documents, await open(url), { warn: (each) => warnings.push(each) });
    const store = await MnemailStore.open(driver, { index: indexOf("other", 32) });
    await store.put(["m"], "k", { text: "the turbine stopped" });
    expect(warnings).toEqual([expect.stringMatching(/waits for its vectors: .*64 dimensions.* 32/)]);
    await expect(store.reindex()).rejects.toThrow(/64 dimensions.* "other" gives 32/);
    expect((await store.search(["m"], { query: "turbine" }))[0]?.key).toBe("k");
    await store.stop();
  });

  test("of wrong credentials says which setting is wrong, and shows no key", async () => {
    if (server.apiKey === undefined) return;
    const line = await lineOf(open(server.newUrl(), "hunter2"));
    expect(line).toMatch(/: the credentials are refused \(set (QDRANT|PINECONE|WEAVIATE)_API_KEY\)$/);
    expect(line).not.toContain("hunter2");
  });

  test("that stops is done without", async () => {
    const mine = await start();
    const url = mine.newUrl();
    const index = await openVectorIndex(url, {
      importPackage: importVectorPackage,
      ...(mine.apiKey === undefined ? {} : { apiKey: mine.apiKey }),
    });
    const warnings: string[] = [];
    const driver = await openHybridDriver(createMemoryDriver(), index, { warn: (line) => warnings.push(line) });
    const store = await MnemailStore.open(driver, { index: indexOf() });
    await store.put(["m"], "before", { text: "the turbine stopped" }, ["text"]);
    await mine.stop();
    await store.put(["m"], "after", { text: "violin concerto" }, ["text"]);
    const [item] = await store.search(["m"], { query: "violin" });
    expect(item?.key).toBe("after");
    expect(warnings.map((line) => line.split(":")[0])).toEqual([
      "what is put waits for its vectors",
      "memory is searched by words alone",
    ]);
    for (const line of warnings) expect(line, name).toMatch(/there is no connection/);
    expect(await store.health()).toMatchObject({ unembedded: 1, problems: [{}] });
    await store.stop();
  });
});

describe.skipIf(!hasVectorPackages)("a vector database that is not as it should be", () => {
  const access = { importPackage: importVectorPackage, apiKey: "k" };

  test("but another server is named, whatever that answers to what it does not know", async () => {
    const [chroma, qdrant] = await Promise.all([startChroma(), startQdrant()]);
    const other = "correct host and port in VECTOR_URL";
    expect(await lineOf(openVectorIndex(`qdrant://127.0.0.1:${chroma.port}/mail`, access))).toBe(
      `qdrant://127.0.0.1:${chroma.port}/mail: what answers there is no Qdrant (${other})`,
    );
    expect(await lineOf(openVectorIndex(`chroma://127.0.0.1:${qdrant.port}/mail`, access))).toBe(
      `chroma://127.0.0.1:${qdrant.port}/mail: what answers there is no Chroma (${other})`,
    );
    await Promise.all([chroma.stop(), qdrant.stop()]);
  });

  test("of Weaviate's two addresses the one without a connection is named, with the option for it", async () => {
    const server = await startWeaviate();
    const port = await freePort();
    const url = `weaviate://127.0.0.1:${server.port}/Mail?grpc=127.0.0.1:${port}`;
    const index = await openVectorIndex(url, access);
    expect(await lineOf(index.dimensions())).toBe(
      `weaviate://127.0.0.1:${server.port}/Mail: there is no connection to its gRPC at 127.0.0.1:${port} (open that port, or name its address in VECTOR_URL: weaviate://HOST:PORT/Class?grpc=HOST:PORT)`,
    );
    await server.stop();
    expect(await lineOf(index.dimensions())).toMatch(/Mail: there is no connection$/);
    await index.close();
  });

  test("a Pinecone index that is not there, or compares otherwise, is named", async () => {
    const indexes = { euclid: { dimension: 64, metric: "euclidean" } };
    const server = await startPinecone({ apiKey: "k", indexes });
    const url = (index: string) => `pinecone+http://127.0.0.1:${server.port}/${index}`;
    expect(await lineOf(openVectorIndex(url("none"), access))).toMatch(/none: there is no such index \(make one/);
    expect(await lineOf(openVectorIndex(url("euclid"), access))).toMatch(/compares by euclidean/);
    expect(await lineOf(openVectorIndex(url("euclid"), { importPackage: importVectorPackage }))).toMatch(
      /PINECONE_API_KEY/,
    );
    await server.stop();
  });

  test("a Qdrant collection that compares otherwise is named, one that is removed meanwhile is made again", async () => {
    const server = await startQdrant();
    const send = (method: string, path: string, body?: object) =>
      fetch(`${server.url}${path}`, { method, ...(body ? { body: JSON.stringify(body) } : {}) });
    await send("PUT", "/collections/dot", { vectors: { size: 64, distance: "Dot" } });
    const url = (name: string) => `qdrant://127.0.0.1:${server.port}/${name}`;
    expect(await lineOf(openVectorIndex(url("dot"), access))).toMatch(/compares by Dot; one that compares by Cosine/);
    const index = await openVectorIndex(url("mail"), access);
    const one = entry(["m"], "a", vectorOf(1));
    await index.add([one]);
    await send("DELETE", "/collections/mail");
    expect(await index.search(vectorOf(1), 5, whereBelow(["m"]))).toEqual([]);
    await index.add([one]);
    expect(await index.search(vectorOf(1), 5, whereBelow(["m"]))).toHaveLength(1);
    await server.stop();
  });

  test("a Chroma collection that compares otherwise is named, one that is removed meanwhile is made again", async () => {
    const server = await startChroma();
    const at = `${server.url}/api/v2/tenants/default_tenant/databases/default_database/collections`;
    const send = (method: string, path: string, body?: object) =>
      fetch(`${at}${path}`, {
        ...{ method, headers: { "content-type": "application/json" } },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
    await send("POST", "", { name: "euclid", configuration: { hnsw: { space: "l2" } } });
    const url = (name: string) => `chroma://127.0.0.1:${server.port}/${name}`;
    expect(await lineOf(openVectorIndex(url("euclid"), access))).toMatch(/compares by l2; one that compares by cosine/);
    const index = await openVectorIndex(url("mail"), access);
    const one = entry(["m"], "a", vectorOf(1));
    await index.add([one]);
    await send("DELETE", "/mail");
    expect(await index.search(vectorOf(1), 5, whereBelow(["m"]))).toEqual([]);
    await index.add([one]);
    expect(await index.search(vectorOf(1), 5, whereBelow(["m"]))).toHaveLength(1);
    await server.stop();
  });
});
