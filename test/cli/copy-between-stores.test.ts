import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { doctor } from "../../src/cli/doctor.ts";
import { copyStore } from "../../src/cli/memory-copy.ts";
import { exportMemory, importMemory } from "../../src/cli/memory-files.ts";
import { reindexStore } from "../../src/cli/memory-keep.ts";
import { openIndexedStore } from "../../src/cli/stores.ts";
import { loadConfig } from "../../src/config.ts";
import { Memory } from "../../src/memory/memory.ts";
import { loadPrompts } from "../../src/prompts.ts";
import { userNamespaces } from "../../src/store/namespaces.ts";
import { openStore } from "../../src/store/open-store.ts";
import type { RankedSearch } from "../../src/store/operations.ts";
import type { KeptRow } from "../../src/store/row-driver.ts";
import { buildWorld } from "../memory/forget-world.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { startCli } from "../support/cli.ts";
import { type Backend, type BackendPlace, startBackends } from "../support/every-backend.ts";
import { importVectorPackage } from "../support/vector-servers/packages.ts";

const ALICE = "alice@example.com";
const USERS = [ALICE, "user1", "user10"];
const PACKAGES = [
  ...["chromadb", "weaviate-client", "@langchain/qdrant", "@qdrant/js-client-rest"],
  ...["@langchain/pinecone", "@pinecone-database/pinecone"],
];

const backends = await startBackends({ databases: true });
const folder = temporaryFolder();
afterAll(async () => {
  await backends[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

beforeAll(() => {
  for (const name of PACKAGES) vi.doMock(name, () => importVectorPackage(name));
});
afterAll(() => {
  for (const name of PACKAGES) vi.doUnmock(name);
});

/** Runs a command as `mnemail` would at a place, and returns what it says with --json. */
async function at(place: BackendPlace, command: () => Promise<number>): Promise<Record<string, unknown>> {
  const { storeUrl: STORE_URL, vectorUrl: VECTOR_URL = "" } = place;
  for (const [name, value] of Object.entries({ STORE_URL, VECTOR_URL, ...backends.environment })) {
    vi.stubEnv(name, value);
  }
  const printed: string[] = [];
  const keep = (line: string) => void printed.push(line);
  const spies = [
    vi.spyOn(console, "log").mockImplementation(keep),
    vi.spyOn(console, "error").mockImplementation(keep),
  ];
  try {
    expect(await command(), printed.join("\n")).toBe(0);
    for (const secret of backends.secrets) expect(printed.join("\n")).not.toContain(secret);
    return JSON.parse(printed.findLast((line) => line.startsWith("{")) ?? "{}");
  } finally {
    for (const each of spies) each.mockRestore();
    vi.unstubAllEnvs();
  }
}

const configOf = ({ storeUrl: STORE_URL, vectorUrl: VECTOR_URL }: BackendPlace) =>
  loadConfig({ environment: { ...backends.environment, STORE_URL, VECTOR_URL }, directory: tmpdir() });

async function exportOf(place: BackendPlace, user: string): Promise<string> {
  const file = folder.path("exported.jsonl");
  await at(place, () => exportMemory({ user, file, force: true, json: true }));
  return readFileSync(file, "utf8");
}

const exportsOf = async (place: BackendPlace) => {
  const files: string[] = [];
  for (const user of USERS) files.push(await exportOf(place, user));
  return files;
};

const copy = (from: BackendPlace, to: BackendPlace) => {
  const target = { to: to.storeUrl, ...(to.vectorUrl === undefined ? {} : { toVectors: to.vectorUrl }) };
  // Another store in the environment, which is not looked at.
  const environment = { storeUrl: "sqlite:/nowhere/else.db" };
  return at(environment, () => copyStore({ from: from.storeUrl, ...target, json: true }));
};

/** What only some backends could get wrong, in a user's memory. */
function oddItems(user: string): KeptRow[] {
  const notes = [...userNamespaces(user).decisions.slice(0, 2), "notes"];
  const row = (name: string, key: string, value: object, more: Partial<KeptRow> = {}): KeptRow => ({
    ...{ namespace: [...notes, name], key, value: { ...value }, fields: [], expiresAt: null, ttlMinutes: null },
    ...{ createdAt: new Date("2026-03-01T08:00:00.001Z"), updatedAt: new Date("2026-03-01T09:00:00.999Z"), ...more },
  });
  const keys = [
    "../../etc/passwd",
    "a/b\\c",
    "%2e%2e",
    "*",
    "~",
    "nul\u0001\n\t",
    "Ünï ☃ 👩‍🚀",
    "İstanbul",
    "istanbul",
    "x".repeat(3_000),
  ];
  return [
    ...keys.map((key, i) => row(`namespace ${i}/é*?%`, key, { key })),
    row("twins", `${"long".repeat(300)}1`, { of: 1 }),
    row("twins", `${"long".repeat(300)}2`, { of: 2 }),
    row("values", "unicode", {
      text: "line\u2028separator 👩‍🚀 \u0065\u0301 é \u{10ffff} \uFEFF",
      "👍.key": [[], {}, null, ""],
    }),
    row("values", "numbers", { list: [0, -1.5, 1e21, 1e-7, 0.1, 2 ** 53, Number.MAX_VALUE, 5e-324], yes: true }),
    row("values", "constructor", { constructor: "c", hasOwnProperty: 1, toString: { length: 2 } }),
    row("values", "empty", {}),
    row("values", "large", { text: "A sentence of many. ".repeat(10_000) }),
    row("times", "old", {}, { createdAt: new Date(0), updatedAt: new Date(1) }),
    row("times", "late", {}, { expiresAt: new Date("9998-12-31T23:59:59.999Z"), ttlMinutes: 2 ** 31 - 1 }),
    row("times", "soon", { text: "for an hour" }, { expiresAt: new Date(Date.now() + 3_600_000), ttlMinutes: 60 }),
    row(
      "words",
      "indexed",
      { text: "Das Gärtnerhäuschen der Großmutter", more: "日本語の文" },
      { fields: ["text", "more"] },
    ),
  ];
}

/** The exports of the users whose memory is copied. */
let seed: { user: string; file: string }[] = [];
let seededItems = 0;
const expired = (user: string): KeptRow => ({
  ...{ namespace: [...userNamespaces(user).decisions.slice(0, 2), "notes"], key: "expired", value: { text: "gone" } },
  ...{ createdAt: new Date(0), updatedAt: new Date(0), expiresAt: new Date(1), ttlMinutes: 1, fields: [] },
});

beforeAll(async () => {
  const place = { storeUrl: `sqlite:${folder.path("seed.db")}` };
  const config = configOf(place);
  await buildWorld(config, ALICE);
  {
    await using opened = await openIndexedStore(config);
    const memory = new Memory(opened.store, loadPrompts());
    for (const user of USERS.slice(1)) {
      const people = ["zoë@exämple.example", "bo@work.example"];
      await memory.facts.remember(
        user,
        { content: `${user} grows begonias 🌺 with Zoë.`, people },
        "2026-03-02T11:00:00Z",
      );
      await memory.facts.remember(
        user,
        { content: "Bo works on turbines.", scope: "person:bo@work.example" },
        "2026-03-02T11:00:00Z",
      );
    }
    await opened.store.restore(oddItems("user10"));
  }
  seed = USERS.map((user, i) => ({ user, file: folder.path(`seed-${i}.jsonl`) }));
  for (const { user, file } of seed) {
    seededItems += z.int().parse((await at(place, () => exportMemory({ user, file, json: true })))["items"]);
  }
});

/** A new place of a backend with the memory in it, and an item in the way of being swept. */
async function seeded(backend: Backend): Promise<BackendPlace> {
  const place = await backend.newPlace();
  for (const { file } of seed) await at(place, () => importMemory({ file, json: true }));
  await using store = await openStore(configOf(place).store);
  await store.restore(USERS.map(expired));
  return place;
}

const expected = () => seed.map(({ file }) => readFileSync(file, "utf8"));

describe.each(backends.list.map((each) => ({ ...each, backend: each })))("a copy from $name", ({ backend }) => {
  let source: BackendPlace;
  beforeAll(async () => {
    source = await seeded(backend);
  });

  const others = backends.list.filter((each) => each !== backend);
  test.each(others.map((to): [string, Backend] => [to.name, to]))(
    "to %s gives byte-equal exports, and again changes nothing",
    async (_, to) => {
      const target = await to.newPlace();
      const first = await copy(source, target);
      expect(first).toMatchObject({ added: seededItems, replaced: 0, unchanged: 0, kept: 0, left_out: 0 });
      expect(await copy(source, target)).toMatchObject({ added: 0, replaced: 0, unchanged: seededItems });
      expect(await exportsOf(target)).toEqual(expected());
    },
  );

  test("leaves it as it was", async () => {
    expect(await exportsOf(source)).toEqual(expected());
  });
});

const hybrids = backends.list.filter(({ name }) => name.includes("vectors in"));

describe.skipIf(hybrids.length === 0).each(hybrids)("the vectors of $name", ({ newPlace }) => {
  const isFoundByMeaning = async (place: BackendPlace) => {
    const warnings: string[] = [];
    await using opened = await openIndexedStore(configOf(place), { warn: (line) => warnings.push(line) });
    const namespacePrefix = userNamespaces("user1").collection;
    const search: RankedSearch = { namespacePrefix, query: "Zoë grows begonias", ranking: "vector", limit: 1 };
    expect(await opened.store.batch([search])).toMatchObject([
      [{ value: { content: expect.stringMatching(/^user1 grows/) } }],
    ]);
    expect(warnings).toEqual([]);
  };
  const isWell = async (place: BackendPlace) => {
    const report = await at(place, () => doctor({ json: true }));
    expect(report).toMatchObject({ embedding: { model: "stand-in", dimensions: 256 }, waiting: 0, problems: [] });
    expect(report["vectors"]).toBeGreaterThan(10);
    expect(report["engine"]).toContain(new URL(place.vectorUrl ?? "").host);
  };

  test("are made by a copy that names both, and the doctor finds nothing wrong", async () => {
    const place = await newPlace();
    await copy({ storeUrl: `sqlite:${folder.path("seed.db")}` }, place);
    await isFoundByMeaning(place);
    await isWell(place);
  });

  test("are made by a reindex after a copy of the documents alone", async () => {
    const { vectorUrl, ...documents } = await newPlace();
    await copy({ storeUrl: `sqlite:${folder.path("seed.db")}` }, documents);
    const place = { ...documents, ...(vectorUrl === undefined ? {} : { vectorUrl }) };
    expect((await at(place, () => reindexStore({ json: true })))["indexed"]).toBeGreaterThan(10);
    await isFoundByMeaning(place);
    await isWell(place);
  });
});

const KILLED = backends.list.filter(({ name }) => /^(file|Redis|S3)/.test(name));

test.each(KILLED)("a copy to $name that is killed in the middle goes on where it was", async ({ name, newPlace }) => {
  // S3 is asked for each item on its own.
  const many = name.startsWith("S3") ? 600 : 3_000;
  const place = { storeUrl: `sqlite:${folder.path(`many-${many}.db`)}` };
  const namespace = userNamespaces("user1").feedback;
  if (!existsSync(folder.path(`many-${many}.db`))) {
    const times = { createdAt: new Date(0), updatedAt: new Date(0), expiresAt: null, ttlMinutes: null };
    const row = (i: number) => ({ namespace, key: `k${i}`, value: { i }, fields: [], ...times });
    await using store = await openStore(configOf(place).store);
    await store.restore(Array.from({ length: many }, (_, i) => row(i)));
  }
  const target = await newPlace();
  await using store = await openStore(configOf(target).store);
  const child = startCli(["memory", "copy", "--from", place.storeUrl, "--to", target.storeUrl], backends.environment);
  const ended = once(child, "exit");
  // In the order of their keys this is in the first batch.
  while (child.exitCode === null && !(await store.get(namespace, "k0"))) await pause(1);
  child.kill("SIGKILL");
  expect(await ended).toEqual([null, "SIGKILL"]);
  const { items } = await store.health();
  expect(items).toBeGreaterThan(0);
  expect(items).toBeLessThan(many);
  // Of a batch there is all or nothing, except on S3.
  if (!name.startsWith("S3")) expect(items % 100).toBe(0);
  expect(await copy(place, target)).toMatchObject({ added: many - items, unchanged: items });
  expect(await exportOf(target, "user1")).toBe(await exportOf(place, "user1"));
});
