import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadConfig, renderConfig } from "../src/config.ts";
import { MnemailError } from "../src/errors.ts";

const POSTGRES = "postgres://mnemail:secret@db.example/mnemail";
/** With the pool's settings as they are unless set. */
const postgres = {
  ...{ backend: "postgres", url: POSTGRES, poolMax: 10 },
  ...{ idleTimeoutMs: 30_000, connectTimeoutMs: 5_000, statementTimeoutMs: 30_000, retryMs: 10_000 },
};
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "mnemail-config-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const load = (environment: Record<string, string>) => loadConfig({ environment, directory });
const problemsOf = (environment: Record<string, string>): string => {
  try {
    load(environment);
  } catch (error) {
    if (error instanceof MnemailError) return error.message;
    throw error;
  }
  return "";
};
const file = (name: string, text: string) => writeFileSync(join(directory, name), text);

describe("where memory is kept", () => {
  test("a file of the working directory by default, in development", () => {
    expect(load({}).store).toEqual({ backend: "sqlite", path: ".mnemail/memory.db" });
  });

  test.each([
    ["memory:", { backend: "memory" }],
    ["sqlite:data/m.db", { backend: "sqlite", path: "data/m.db" }],
    ["sqlite:/var/m.db", { backend: "sqlite", path: "/var/m.db" }],
    ["sqlite:///var/m.db", { backend: "sqlite", path: "/var/m.db" }],
    [POSTGRES, postgres],
  ])("STORE_URL=%s", (url, store) => {
    expect(load({ STORE_URL: url }).store).toEqual(store);
  });

  const aws = { AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: "hidden-from-all-eyes" };
  const s3 = { backend: "s3", bucket: "mail", accessKeyId: "AKIDEXAMPLE", secretAccessKey: "hidden-from-all-eyes" };

  test.each([
    ["memory:?snapshot=data/m.json", { backend: "memory", snapshot: { path: "data/m.json", everyMs: 60_000 } }],
    ["memory:?every=5&snapshot=/m", { backend: "memory", snapshot: { path: "/m", everyMs: 5_000 } }],
    ["file:data/memory", { backend: "file", path: "data/memory" }],
    ["file:///var/memory?mode=0660", { backend: "file", path: "/var/memory", mode: 0o660 }],
    ["REDIS://127.0.0.1", { backend: "redis", url: "redis://127.0.0.1" }],
    ["redis://127.0.0.1", { backend: "redis", url: "redis://127.0.0.1" }],
    ["s3://mail", { ...s3, prefix: "" }],
    ["s3://mail/team/memory/", { ...s3, prefix: "team/memory" }],
  ])("STORE_URL=%s", (url, store) => {
    expect(load({ STORE_URL: url, ...aws }).store).toEqual(store);
  });

  test.each([
    ["memory:?size=3", /allowed: memory:\?snapshot=FILE&every=SECONDS/],
    ["memory:?every=5", /without the file of the snapshot; allowed/],
    ["memory:?snapshot=folder/", /without the file of the snapshot; allowed/],
    ["memory:?snapshot=m&every=0", /every is no number of seconds; allowed/],
    ["memory:?snapshot=m&every=0.5", /every is no number of seconds; allowed/],
    ["memory:?snapshot=m&snapshot=n", /one option twice; allowed/],
    ["file:", /without a usable path; allowed/],
    ["file://host/memory", /without a usable path; allowed/],
    ["file:m?mode=0770", /no usable mode; allowed: file:DIR\?mode=0660/],
    ["file:m?mode=rw", /no usable mode; allowed/],
    ["file:m?owner=me", /its only option is mode; allowed/],
    ["file:~/memory", /~ stands for nothing here; allowed: \$HOME/],
    ["memory:?snapshot=~nora/m.json", /~ stands for nothing here; allowed: \$HOME/],
    ["memory:?snapshot=m&every", /an option without a value; allowed: memory:/],
    ["redis:/me:hunter2@h/0", /not the URL of a Redis; allowed: redis:/],
    ["redis:hunter2@h", /not the URL of a Redis; allowed: redis:/],
    ["redis://h/one", /the database is no number; allowed: redis:/],
    ["redis://me:hunter2@h/0?size=3", /the only option is prefix; allowed: redis:/],
    ["s3://mail?x=1", /allowed: s3:\/\/BUCKET\/PREFIX/],
    ["s3://m", /no bucket has such a name/],
    ["s3://mail/a b", /no usable prefix; up to 120/],
  ])("STORE_URL=%s is refused with what is allowed there, and without secrets", (url, problem) => {
    const problems = problemsOf({ STORE_URL: url, ...aws });
    expect(problems).toMatch(/^STORE_URL: /);
    expect(problems).toMatch(problem);
    expect(problems).not.toContain("hunter2");
  });

  test("a bucket needs credentials, may have another server, and shows no secret", () => {
    const problem = "STORE_URL: s3://mail/: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    expect(problemsOf({ STORE_URL: "s3://mail" })).toBe(problem);
    const bad = { STORE_URL: "s3://mail", ...aws, AWS_ENDPOINT_URL: "minio:9000" };
    expect(problemsOf(bad)).toBe(
      "STORE_URL: s3://mail/: no usable endpoint; AWS_ENDPOINT_URL_S3 is as https://HOST, without user or query",
    );
    const endpoints = { AWS_ENDPOINT_URL: "https://aws.example", AWS_ENDPOINT_URL_S3: "http://127.0.0.1:9000" };
    const config = load({ STORE_URL: "s3://mail/m", ...aws, ...endpoints, AWS_REGION: "eu-west-1" });
    expect(config.store).toEqual({ ...s3, prefix: "m", endpoint: "http://127.0.0.1:9000", region: "eu-west-1" });
    const shown = renderConfig(config);
    expect(shown).toMatchObject({ store: "s3://mail/m at 127.0.0.1:9000", aws_region: "eu-west-1" });
    expect(JSON.stringify(shown)).not.toContain("hidden-from");
  });

  test("vectors may be in a database beside any store, with the key of that database", () => {
    const vectors = { VECTOR_URL: "qdrant://127.0.0.1/memory", QDRANT_API_KEY: "key-of-qdrant", CHROMA_API_KEY: "c" };
    const config = load({ STORE_URL: "memory:", ...vectors });
    expect(config.store).toEqual({ backend: "memory", vectors: { url: vectors.VECTOR_URL, apiKey: "key-of-qdrant" } });
    expect(renderConfig(config)).toMatchObject({
      store: "memory:, vectors in qdrant://127.0.0.1/memory",
      qdrant_api_key: "set",
    });
    expect(load({ VECTOR_URL: "chroma://h/memory" }).store).toEqual({
      ...{ backend: "sqlite", path: ".mnemail/memory.db" },
      vectors: { url: "chroma://h/memory" },
    });
    for (const url of [
      "faiss://h/x",
      "qdrant://h",
      "qdrant://me:hunter2@h/c",
      "qdrant://tok/hunter2@h/c",
      "chroma://h/cde?size=3",
      "chroma://h/%",
      "chroma://h/ab",
    ]) {
      expect(problemsOf({ VECTOR_URL: url }), url).toMatch(/^VECTOR_URL: .*; expected chroma:/);
      expect(problemsOf({ VECTOR_URL: url }), url).not.toContain("hunter2");
    }
    const broken = problemsOf({ ...vectors, QDRANT_API_KEY: "hunter2\nX: y" });
    expect(broken).toMatch(/^QDRANT_API_KEY: saw a value that cannot be a key; allowed: /);
    expect(broken).not.toContain("hunter2");
  });

  test("the file's vectors belong to the file's store; the environment's may be beside it", () => {
    file(".env.development", "STORE_URL=sqlite:file.db\nVECTOR_URL=chroma://file/memory");
    expect(load({ STORE_URL: "memory:" }).store).toEqual({ backend: "memory" });
    expect(load({ VECTOR_URL: "chroma://own/memory" }).store).toEqual({
      ...{ backend: "sqlite", path: "file.db", vectors: { url: "chroma://own/memory" } },
    });
    const named = { environment: {}, directory, storeUrl: "sqlite:named.db" };
    expect(loadConfig(named).store).toEqual({ backend: "sqlite", path: "named.db" });
    expect(loadConfig({ ...named, vectorUrl: "chroma://named/memory" }).store).toMatchObject({
      vectors: { url: "chroma://named/memory" },
    });
  });

  test.each(["mysql://x", "sqlite:", "sqlite", "postgres://", "sqlite://host/m.db"])(
    "STORE_URL=%s is refused with the list of what is allowed",
    (url) => {
      expect(problemsOf({ STORE_URL: url })).toMatch(/^STORE_URL: saw .*; allowed: memory:, sqlite:PATH, postgres:/);
    },
  );

  test("the guides' switch: false is in memory, true needs the connection string", () => {
    expect(load({ USE_PERSISTENT_STORE: "false" }).store).toEqual({ backend: "memory" });
    expect(load({ USE_PERSISTENT_STORE: "true", POSTGRES_CONNECTION_STRING: POSTGRES }).store).toEqual(postgres);
    expect(problemsOf({ USE_PERSISTENT_STORE: "true" })).toContain("POSTGRES_CONNECTION_STRING");
    expect(problemsOf({ USE_PERSISTENT_STORE: "maybe" })).toContain('saw "maybe"; allowed: true, false');
  });

  test("the settings of a PostgreSQL pool are checked, and are the store's", () => {
    const settings = { POSTGRES_POOL_MAX: "3", POSTGRES_PASSWORD_FILE: "/run/secret" };
    expect(load({ STORE_URL: POSTGRES, ...settings }).store).toEqual({
      ...postgres,
      ...{ poolMax: 3, passwordFile: "/run/secret" },
    });
    expect(problemsOf({ STORE_URL: POSTGRES, POSTGRES_POOL_MAX: "many" })).toBe(
      'POSTGRES_POOL_MAX: saw "many"; allowed: a whole number from 1 to 1000; correct or unset it',
    );
    expect(problemsOf({ SEARCH_LANGUAGE: "klingon" })).toContain("allowed: english, simple");
  });

  test("a contradiction within one source is an error", () => {
    expect(problemsOf({ STORE_URL: "memory:", USE_PERSISTENT_STORE: "true" })).toContain("contradicts");
    expect(problemsOf({ STORE_URL: "sqlite:m.db", POSTGRES_CONNECTION_STRING: POSTGRES })).toContain("contradicts");
  });

  test("a store variable in the environment makes the file's ones void", () => {
    file(".env.development", "STORE_URL=sqlite:file.db\nCHAT_MODEL=from-file\n");
    expect(load({ USE_PERSISTENT_STORE: "false" }).store).toEqual({ backend: "memory" });
    expect(load({ USE_PERSISTENT_STORE: "false" }).chatModel).toBe("from-file");
    expect(load({}).store).toEqual({ backend: "sqlite", path: "file.db" });
  });

  test("a variable set to nothing is unset", () => {
    file(".env.development", "STORE_URL=sqlite:file.db\n");
    expect(load({ STORE_URL: "", USE_PERSISTENT_STORE: " " }).store).toEqual({ backend: "sqlite", path: "file.db" });
  });

  test("in production the connection string of the environment goes with the file's switch", () => {
    file(".env.production", "USE_PERSISTENT_STORE=true\n");
    const environment = { NODE_ENV: "production", OPENAI_API_KEY: "k" };
    expect(load({ ...environment, POSTGRES_CONNECTION_STRING: POSTGRES }).store.backend).toBe("postgres");
    expect(problemsOf(environment)).toContain("POSTGRES_CONNECTION_STRING");
  });
});

describe("which model answers", () => {
  test("the stand-in without a key; the server of the key or address otherwise", () => {
    expect(load({}).model).toEqual({ kind: "stand-in" });
    expect(load({ OPENAI_API_KEY: "k" }).model).toEqual({ kind: "openai", apiKey: "k", baseUrl: undefined });
    expect(load({ OPENAI_BASE_URL: "http://127.0.0.1:11434/v1" }).model.kind).toBe("openai");
    expect(load({ OPENAI_API_KEY: "k", MNEMAIL_MODEL: "stand-in" }).model).toEqual({ kind: "stand-in" });
  });

  test("in production the stand-in runs only when it is named", () => {
    const environment = { NODE_ENV: "production", STORE_URL: "memory:" };
    expect(problemsOf(environment)).toMatch(/^OPENAI_API_KEY: not set; set it, or OPENAI_BASE_URL/);
    expect(load({ ...environment, MNEMAIL_MODEL: "stand-in" }).model).toEqual({ kind: "stand-in" });
  });
});

test("problems of one kind of setting are all reported too", () => {
  const problems = problemsOf({ STORE_URL: "x", USE_PERSISTENT_STORE: "y", POSTGRES_CONNECTION_STRING: "z" });
  expect(problems.split("\n").map((line) => line.split(":")[0])).toEqual([
    "STORE_URL",
    "USE_PERSISTENT_STORE",
    "POSTGRES_CONNECTION_STRING",
  ]);
});

test("every problem is reported at once, with what was seen and what is allowed", () => {
  const problems = problemsOf({
    STORE_URL: "mongodb://x",
    MNEMAIL_MODEL: "gpt",
    MODEL_TIMEOUT_MS: "soon",
    RESPOND_MAX_MODEL_CALLS: "0",
    OPENAI_BASE_URL: "localhost",
  }).split("\n");
  expect(problems.map((line) => line.split(":")[0]).sort()).toEqual([
    "MNEMAIL_MODEL",
    "MODEL_TIMEOUT_MS",
    "OPENAI_BASE_URL",
    "RESPOND_MAX_MODEL_CALLS",
    "STORE_URL",
  ]);
  for (const line of problems) expect(line).toMatch(/saw ".*allowed: /);
});

test("secrets are masked wherever settings are shown", () => {
  const config = load({
    POSTGRES_CONNECTION_STRING: "postgres://u:p@ss@db.example/m?sslpassword=hush",
    OPENAI_API_KEY: "sk-abcdefghijklmnopqrstuvwxyz",
    OPENAI_BASE_URL: "https://user:hidden@models.example/v1",
  });
  const shown = JSON.stringify(renderConfig(config));
  for (const secret of ["p@ss", "ss@db", "hush", "sk-abcdef", "hidden"]) expect(shown).not.toContain(secret);
  for (const secretive of [
    { STORE_URL: "mysql://root:hunter2@db/x" },
    { STORE_URL: "host=db password=hunter2" },
    { POSTGRES_CONNECTION_STRING: "host=db password=hunter2" },
    { POSTGRES_CONNECTION_STRING: "postgres://me:hun/ter2hunter2@db/x" },
    { OPENAI_BASE_URL: "me:hunter2@gateway.example/v1" },
    { OPENAI_API_KEY: "sk-hunter2\nvalue" },
    { STORE_URL: "sqlite:m.db", POSTGRES_CONNECTION_STRING: "postgres://me:hunter2@db/x" },
  ]) {
    expect(problemsOf(secretive)).not.toBe("");
    expect(problemsOf(secretive)).not.toContain("hunter2");
  }
  expect(JSON.stringify(renderConfig(load({ OPENAI_BASE_URL: "https://m.example/v1?api_key=hush" })))).not.toContain(
    "hush",
  );
});

test("the configuration cannot be changed after it was read", () => {
  expect(Object.isFrozen(load({}))).toBe(true);
});

test("a password that is not escaped is refused, and no part of it printed", () => {
  for (const password of ["p@ss/word", "p/ss@word", "p@ss#word"]) {
    const text = problemsOf({ STORE_URL: `postgres://me:${password}@db.example/m` });
    expect(text).toContain("allowed:");
    expect(text).not.toMatch(/ss|word/);
  }
});
