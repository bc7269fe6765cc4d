import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { openStore } from "../../src/store/open-store.ts";
import { indexOf } from "../store/conformance/describe-store.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { type CliResult, jsonLines, runCli } from "../support/cli.ts";
import { type Backend, startBackends } from "../support/every-backend.ts";
import { freePort } from "../support/vector-servers/chroma.ts";
import { hasVectorPackages } from "../support/vector-servers/packages.ts";
import { startQdrant } from "../support/vector-servers/qdrant.ts";
import { processVectors } from "../support/vector-store.ts";

const ANA = "ana@home.example";
const HOOKS = fileURLToPath(new URL("../support/vector-servers/resolve-packages.mjs", import.meta.url));
/** What lets a process find the packages of the vector databases, as if they were installed. */
const WITH_PACKAGES = { NODE_OPTIONS: `--import=${pathToFileURL(HOOKS)}` };

const backends = await startBackends({ databases: false });
const folder = temporaryFolder();
afterAll(async () => {
  await backends[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const print = ({ stdout, stderr }: CliResult) => stdout + stderr;

describe("mnemail config", () => {
  const S3 = {
    ...{ AWS_ACCESS_KEY_ID: "AKIAhunter2hunter200", AWS_SECRET_ACCESS_KEY: "hunter2".repeat(6) },
    ...{ AWS_SESSION_TOKEN: "hunter2", AWS_REGION: "eu-west-3", AWS_ENDPOINT_URL_S3: "http://127.0.0.1:9123" },
  };
  test.concurrent.each([
    ["a folder", { STORE_URL: "file:/data/mail" }, { store: "file:/data/mail" }],
    ["a snapshot", { STORE_URL: "memory:?snapshot=/data/mail.json" }, { store: "memory:?snapshot=/data/mail.json" }],
    [
      "Redis with a user and a password",
      { STORE_URL: "rediss://ana:hunter2@cache.example:6380/2?prefix=team" },
      { store: "rediss://cache.example:6380/2?prefix=team" },
    ],
    [
      "S3 with keys and a server of its own",
      { STORE_URL: "s3://bucket-one/team/mail", ...S3 },
      {
        ...{ store: "s3://bucket-one/team/mail at 127.0.0.1:9123", aws_region: "eu-west-3" },
        ...{ aws_access_key_id: "set (ends in …r200)", aws_secret_access_key: "set (ends in …ter2)" },
        aws_session_token: "set",
      },
    ],
    [
      "a vector database with a key",
      { STORE_URL: "sqlite:/data/mail.db", VECTOR_URL: "qdrant://127.0.0.1/mail", QDRANT_API_KEY: "hunter2" },
      { store: "sqlite:/data/mail.db, vectors in qdrant://127.0.0.1/mail", qdrant_api_key: "set" },
    ],
  ])("names %s, and no secret", async (_, environment, expected) => {
    const json = await runCli(["config", "--json"], environment);
    expect(JSON.parse(json.stdout)).toMatchObject(expected);
    expect(print(json)).not.toContain("hunter2");
  });

  test("says the same to people", async () => {
    const text = await runCli(["config"], { STORE_URL: "s3://bucket-one/mail", ...S3 });
    expect(text.stdout).toMatch(/^store +s3:\/\/bucket-one\/mail at 127\.0\.0\.1:9123$/m);
    expect(text.stdout).toMatch(/^aws_secret_access_key +set \(ends in …ter2\)$/m);
    expect(print(text)).not.toContain("hunter2");
  });
});

const named = (name: RegExp) => backends.list.filter((each) => name.test(each.name));
const places = named(/^(memory:|file:|Redis|S3)/).map((each): [string, Backend] => [each.name, each]);
// `copy-between-stores.test.ts` asks for the other vector databases, in its own process.
const [hybrid] = named(/vectors in/);
const doctored = [...places, ...(hybrid ? [[hybrid.name, hybrid] satisfies [string, Backend]] : [])];

const ENGINES: [RegExp, RegExp][] = [
  [/^SQLite/, /^engine +SQLite 3\S+, vectors in chroma:\/\/127\.0\.0\.1:/m],
  [/^memory:/, /^engine +process memory, saved to .*place\d+\.snapshot$/m],
  [/^file:/, /^engine +files/m],
  [/^Redis/, /^engine +Redis \d/m],
  [/^S3/, /^engine +S3/m],
];

test.concurrent.each(doctored)(
  "mnemail memory doctor says of %s what it is, and that all is well",
  async (name, backend) => {
    const { storeUrl, vectorUrl = "" } = await backend.newPlace();
    const environment = { STORE_URL: storeUrl, VECTOR_URL: vectorUrl, ...backends.environment, ...WITH_PACKAGES };
    const healthy = await runCli(["memory", "doctor", "--self-test"], environment);
    expect(healthy.stdout).toMatch(ENGINES.find(([kind]) => kind.test(name))?.[1] ?? /^$/);
    expect(healthy).toMatchObject({ code: 0, stdout: expect.stringMatching(/^self test +passed\n\nAll is well\.$/m) });
    expect(healthy.stderr).toBe("");
    for (const secret of backends.secrets) expect(print(healthy)).not.toContain(secret);
  },
);

test.concurrent.each(places)(
  "feedback, run, threads and review work on %s, each in a process of its own",
  async (_, backend) => {
    const { storeUrl } = await backend.newPlace();
    using own = temporaryFolder();
    const outbox = { OUTBOX_PATH: own.path("outbox"), MEMORY_EXTRACTION: "off", LOG_LEVEL: "debug" };
    const printed: string[] = [];
    const mnemail = async (...args: string[]) => {
      const environment = { ...backends.environment, STORE_URL: storeUrl, ...outbox };
      const result = await runCli([...args, "--user", ANA], environment);
      printed.push(print(result));
      expect(result.code, print(result)).toBe(0);
      return result.stdout;
    };
    const subject = "Release date";
    const body = "Hi Ana, could you tell me when the next release is planned? Thanks, Tom";
    const question = { id: "q1", from: "Tom Berg <tom@work.example>", to: ANA, subject, body };
    writeFileSync(own.path("inbox.json"), JSON.stringify([question]));

    expect(await mnemail("feedback", "Always sign my emails with Ana B.")).toContain("agent_instructions");
    const [handled] = jsonLines(await mnemail("run", "--inbox", own.path("inbox.json"), "--json"));
    expect(handled).toMatchObject({
      ...{ status: "pending_review", label: "respond", memories: [{ kind: "procedural" }] },
      draft: { body: expect.stringContaining("Ana B.") },
    });
    const { reviews } = z.object({ reviews: z.tuple([z.object({ id: z.string() })]) }).parse(handled);
    expect(JSON.parse(await mnemail("threads", "list", "--json"))).toMatchObject({
      threads: expect.arrayContaining([expect.objectContaining({ email_id: "q1", subject, status: "interrupted" })]),
    });
    expect(await mnemail("review", "approve", reviews[0].id)).toMatch(/written: .*\.eml/);
    expect(
      readdirSync(own.path("outbox"), { recursive: true }).filter((file) => String(file).endsWith(".eml")),
    ).toHaveLength(1);
    for (const secret of backends.secrets) expect(printed.join("")).not.toContain(secret);
  },
);

describe("what cannot be used is said in one line, with an exit code, and no secret", () => {
  const redisUrl = async () => {
    const place = await named(/^Redis/)[0]?.newPlace();
    return place && new URL(place.storeUrl);
  };
  const show = ["memory", "show", "--user", ANA];
  type Case = [
    name: string,
    how: () => Promise<{ args?: string[]; environment: Record<string, string> }>,
    line: RegExp,
  ];
  const cases: Case[] = [
    [
      "a file where a folder should be",
      async () => {
        writeFileSync(folder.path("a-file"), "mine");
        return { environment: { STORE_URL: `file:${folder.path("a-file")}` } };
      },
      /a-file: cannot be opened: there is a file where a folder should be \(set STORE_URL=file:DIR /,
    ],
    [
      "a folder where no snapshot can be",
      async () => ({ environment: { STORE_URL: `memory:?snapshot=${folder.path(".")}` } }),
      /: is a folder \(name a file\)$/,
    ],
    [
      "a damaged snapshot",
      async () => {
        writeFileSync(folder.path("damaged.json"), '{"mnemail');
        return { environment: { STORE_URL: `memory:?snapshot=${folder.path("damaged.json")}` } };
      },
      /damaged\.json: .*left as it is/,
    ],
    [
      "no Redis",
      async () => ({ environment: { STORE_URL: `redis://:hunter2@127.0.0.1:${await freePort()}` } }),
      /redis:\/\/127\.0\.0\.1:\d+\S*: the server cannot be reached/,
    ],
    [
      "no usable URL of a Redis",
      async () => ({ environment: { STORE_URL: "redis://:hunter2@127.0.0.1/mail" } }),
      /^mnemail: STORE_URL: redis:\/\/\S+: the database is no number; allowed: redis:\/\//,
    ],
    [
      "a bucket without credentials",
      async () => ({ environment: { STORE_URL: "s3://some-bucket" } }),
      /no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY$/,
    ],
    [
      "S3 keys that are wrong",
      async () => {
        const { storeUrl } = await s3Place();
        return { environment: { ...backends.environment, STORE_URL: storeUrl, AWS_SECRET_ACCESS_KEY: "hunter2" } };
      },
      /s3:\/\/memory-of-tests\/\S* at 127\.0\.0\.1:\d+: .*AWS_SECRET_ACCESS_KEY/,
    ],
    [
      "no such bucket",
      async () => ({ environment: { ...backends.environment, STORE_URL: "s3://nobodys-bucket/x" } }),
      /s3:\/\/nobodys-bucket\/x\/? at 127\.0\.0\.1:\d+: .*bucket/,
    ],
    [
      "no S3 at its address",
      async () => ({
        environment: {
          ...{ ...backends.environment, STORE_URL: "s3://some-bucket/x", AWS_SECRET_ACCESS_KEY: "hunter2" },
          AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${await freePort()}`,
        },
      }),
      /s3:\/\/some-bucket\/x\/? at 127\.0\.0\.1:\d+: /,
    ],
    [
      "a vector package that is not installed",
      async () => ({
        environment: { STORE_URL: "memory:", VECTOR_URL: "qdrant://127.0.0.1/mail" },
      }),
      /: the package @langchain\/qdrant cannot be loaded \(npm install @langchain\/qdrant@1\.0\.3\)$/,
    ],
    [
      "a vector database in the URL of a store",
      async () => ({ environment: { STORE_URL: "qdrant://127.0.0.1/mail" } }),
      /^mnemail: STORE_URL: saw "qdrant:…"; allowed: memory:, sqlite:PATH/,
    ],
  ];
  const s3Place = async () => {
    const [s3] = named(/^S3/);
    if (!s3) throw new Error("there is an S3 everywhere");
    return s3.newPlace();
  };
  const refused = (result: CliResult, line: RegExp, code = 1) => {
    const lines = result.stderr.trimEnd().split("\n");
    expect(lines.at(-1)).toMatch(line);
    expect({ ...result, lines: lines.length }).toMatchObject({ code, stdout: "", lines: 1 });
    for (const secret of [...backends.secrets, "hunter2"]) expect(print(result)).not.toContain(secret);
  };

  // Each takes the start of a process, and one of them waits for a server.
  let results: Map<string, Promise<CliResult>>;
  beforeAll(() => {
    results = new Map(cases.map(([name, how]) => [name, how().then(({ environment }) => runCli(show, environment))]));
  });

  test.each(cases)("%s", async (name, _, line) => {
    const result = await results.get(name);
    if (!result) throw new Error("it was not run");
    refused(result, line);
  });

  test("and what was in the way is left as it was", async () => {
    await Promise.all(results.values());
    expect(readFileSync(folder.path("a-file"), "utf8")).toBe("mine");
    expect(readFileSync(folder.path("damaged.json"), "utf8")).toBe('{"mnemail');
  });

  test("a wrong password of Redis", async (context) => {
    const url = await redisUrl();
    if (!url) return context.skip("no Redis here");
    url.password = "hunter2";
    refused(await runCli(show, { STORE_URL: url.href }), /redis:\/\/127\.0\.0\.1:\d+\/0\S*: .*password/);
  });

  test("a folder that may not be written", async (context) => {
    if (process.getuid?.() === 0) return context.skip("root may write anywhere");
    mkdirSync(folder.path("read-only"));
    chmodSync(folder.path("read-only"), 0o500);
    refused(await runCli(show, { STORE_URL: `file:${folder.path("read-only/mail")}` }), /it may not be written/);
    const snapshot = await runCli(show, { STORE_URL: `memory:?snapshot=${folder.path("read-only/mail.json")}` });
    refused(snapshot, /mail\.json: /);
    expect(readdirSync(folder.path("read-only"))).toEqual([]);
  });

  test("a copy of, or to, what cannot be meant ends with the exit code of wrong usage", async () => {
    const results = await Promise.all(
      [
        ["--from", "redis://:hunter2@h/0", "--to", "redis://:hunter2@h:6379?prefix=mnemail"],
        ["--from", "sqlite:x.db", "--to", "redis://:hunter2@h/mail"],
        ["--from", "sqlite:x.db", "--to", "sqlite:y.db", "--to-vectors", "qdrant://me:hunter2@h/mail"],
      ].map((args) => runCli(["memory", "copy", ...args])),
    );
    const [twice, unusable, vectors] = results;
    if (!twice || !unusable || !vectors) throw new Error("three copies");
    refused(twice, /--from and --to: both are redis:\/\/h:6379\/0\?prefix=mnemail \(name two stores\)$/, 2);
    refused(unusable, /^mnemail: --to: redis:\/\/\S+: the database is no number/, 2);
    refused(vectors, /^mnemail: --to-vectors: credentials do not belong in it/, 2);
  });
});

test("whoever the user says they are, files stay within their folder, for their owner alone", async () => {
  using own = temporaryFolder();
  const environment = { STORE_URL: `file:${own.path("in/here")}` };
  const user = "../../../outside";
  const kept = await runCli(["remember", "Ada likes tea.", "--user", user], environment);
  expect(kept.code, print(kept)).toBe(0);
  expect((await runCli(["memory", "show", "--user", user], environment)).stdout).toContain("Ada likes tea.");
  expect([readdirSync(own.path(".")), readdirSync(own.path("in"))]).toEqual([["in"], ["here"]]);
  expect(existsSync(own.path("../outside"))).toBe(false);
  const modes = new Set<string>();
  for (const each of readdirSync(own.path("in/here"), { recursive: true, withFileTypes: true })) {
    const { mode } = statSync(`${each.parentPath}/${each.name}`);
    modes.add(`${each.isDirectory() ? "folder" : "file"} ${(mode & 0o777).toString(8)}`);
  }
  expect([...modes].sort()).toEqual(["file 600", "folder 700"]);
});

test("a snapshot is backed up as one, and the copy is a store; a folder of a store takes no file of ours", async () => {
  using own = temporaryFolder();
  const mnemail = (storeUrl: string, ...args: string[]) => runCli(args, { STORE_URL: storeUrl });
  const snapshot = `memory:?snapshot=${own.path("mail.json")}`;
  const copy = own.path("copy.json");
  await mnemail(snapshot, "remember", "Ada likes tea.", "--user", ANA);
  expect(await mnemail(snapshot, "memory", "backup", copy)).toMatchObject({
    code: 0,
    stdout: `${copy}: a snapshot; to restore, put it in the place of the store's file\n`,
  });
  expect(statSync(copy).mode & 0o777).toBe(0o600);
  const copied = await mnemail(`memory:?snapshot=${copy}`, "memory", "show", "--user", ANA);
  expect(copied.stdout).toContain("Ada likes tea.");

  const files = `file:${own.path("mail")}`;
  await mnemail(files, "remember", "Ada likes tea.", "--user", ANA);
  const inside = await mnemail(files, "memory", "backup", own.path("mail/r/all.jsonl"));
  expect(inside).toMatchObject({ code: 1, stdout: "" });
  expect(inside.stderr).toMatch(/all\.jsonl: is in the folder of the store itself \(name another folder\)\n$/);
  expect((await mnemail(files, "memory", "backup", own.path("mail.jsonl"))).stdout).toMatch(/: 1 item of all users;/);
});

test("the doctor of a store whose vectors are in a database that is not set says where they are", async () => {
  const path = folder.path("elsewhere.db");
  const vectors = { ...processVectors(), name: "chroma://127.0.0.1:8000/mem1" };
  const store = await openStore({ backend: "sqlite", path }, { index: indexOf(), vectors });
  await store.put(["m"], "k", { text: "Ada likes tea." }, ["text"]);
  await store.stop();
  const { code, stdout } = await runCli(["memory", "doctor"], { STORE_URL: `sqlite:${path}` });
  expect(code).toBe(1);
  expect(stdout).toMatch(/^vectors of +stand-in, 64 dimensions, in chroma:\/\/127\.0\.0\.1:8000\/mem1; configured: /m);
  expect(stdout).toMatch(
    /PROBLEM +the vectors are in chroma:\S+mem1: searches rank by words\nto do +set VECTOR_URL to it, or run `mnemail memory reindex`$/m,
  );
});

describe.skipIf(!hasVectorPackages)("a vector database", () => {
  const remember = (text: string, environment: Record<string, string>) =>
    runCli(["remember", text, "--user", ANA], { ...environment, ...WITH_PACKAGES });
  const warningsOf = ({ stderr }: CliResult) =>
    stderr.split("\n").filter((line) => /searched by words|waits for its vectors/.test(line));

  test("that is away is done without, with a warning of each kind once; the doctor says so, and a reindex mends it", async () => {
    const port = await freePort();
    const VECTOR_URL = `qdrant://127.0.0.1:${port}/mail`;
    const environment = { STORE_URL: `sqlite:${folder.path("away.db")}`, VECTOR_URL, ...WITH_PACKAGES };
    const kept = await remember("Ada prefers mornings.", environment);
    expect(kept).toMatchObject({ code: 0, stdout: expect.stringContaining("remembered") });
    expect(warningsOf(kept).length).toBeGreaterThan(0);
    expect(new Set(warningsOf(kept)).size).toBe(warningsOf(kept).length);
    expect(kept.stderr).not.toMatch(/^\s+at /m);
    const sick = await runCli(["memory", "doctor"], environment);
    expect(sick.code).toBe(1);
    expect(sick.stdout).toMatch(/PROBLEM +qdrant:\S+: there is no connection/);
    expect(sick.stdout).toMatch(/PROBLEM +1 field without a vector/);
    const failed = await runCli(["memory", "reindex"], environment);
    expect(failed).toMatchObject({ code: 1, stdout: "" });
    expect(failed.stderr.trim().split("\n").at(-1)).toMatch(/^mnemail: qdrant:\S+: there is no connection/);
  });

  test("with vectors of other dimensions is left as it is, and a reindex refuses in one line", async () => {
    const server = await startQdrant();
    const VECTOR_URL = `qdrant://127.0.0.1:${server.port}/mail`;
    const vectors = { size: 64, distance: "Cosine" };
    await fetch(`${server.url}/collections/mail`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ vectors }),
    });
    const environment = { STORE_URL: `sqlite:${folder.path("others.db")}`, VECTOR_URL, ...WITH_PACKAGES };
    const kept = await remember("Ada prefers mornings.", environment);
    expect(kept).toMatchObject({ code: 0, stdout: expect.stringContaining("remembered") });
    expect(warningsOf(kept).at(-1)).toMatch(/64 dimensions.* 256/);
    const shown = await runCli(["memory", "show", "--user", ANA], environment);
    expect(shown.stdout).toContain("Ada prefers mornings.");
    const tested = await runCli(["memory", "doctor", "--self-test"], environment);
    expect(tested).toMatchObject({ code: 1, stderr: "" });
    expect(tested.stdout).toMatch(
      /^PROBLEM +the self test failed: an item is not found by its vector: .*64 dimensions.* 256 \(name another collection/m,
    );
    const refused = await runCli(["memory", "reindex"], environment);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr.trim().split("\n").at(-1)).toMatch(
      /64 dimensions, and the embedding model "stand-in" gives 256 \(nothing was changed; name another collection/,
    );
    await server.stop();
  });
});
