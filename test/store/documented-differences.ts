import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { MnemailError } from "../../src/errors.ts";
import { openHybridDriver } from "../../src/store/hybrid/hybrid-driver.ts";
import { openVectorIndex } from "../../src/store/hybrid/vector-stores.ts";
import { openFileDriver } from "../../src/store/key-value/file.ts";
import { createKeyValueDriver } from "../../src/store/key-value/key-value-driver.ts";
import { mapKeyValue } from "../../src/store/key-value/map.ts";
import { openS3Driver } from "../../src/store/key-value/s3.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import type { RowDriver } from "../../src/store/row-driver.ts";
import { openSnapshotDriver } from "../../src/store/snapshot-driver.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { startLoopbackS3 } from "../support/s3.ts";
import { processVectors } from "../support/vector-store.ts";
import { BEYOND } from "./conformance/beyond.ts";
import * as declared from "./conformance/differences.ts";
import { FILTERS } from "./conformance/filters.ts";
import { HANDLES } from "./conformance/handles.ts";
import { ITEMS } from "./conformance/items.ts";
import { RANKING } from "./conformance/rankings.ts";
import { SEARCHES } from "./conformance/searches.ts";

/**
 * What docs/operations.md says of each backend, made of what the conformance suite declares.
 * `npx tsx test/store/documented-differences.ts` checks it, with `--write` it puts it there.
 */
const DOCUMENT = "docs/operations.md";
const MARKED = /(?<=<!-- differences -->\n)[\s\S]*(?=<!-- end of differences -->)/;
const CLAUSES = [...ITEMS, ...FILTERS, ...SEARCHES, ...RANKING, ...BEYOND, ...HANDLES].length;

/** The versions of the packages that are tested with, as they are installed. */
const versions = (() => {
  const packages = z.object({
    dependencies: z.record(z.string(), z.string()),
    devDependencies: z.record(z.string(), z.string()).default({}),
  });
  const read = (path: string) => {
    const { dependencies, devDependencies } = packages.parse(JSON.parse(readFileSync(path, "utf8")));
    return (name: string) => z.string().parse(dependencies[name] ?? devDependencies[name]);
  };
  const own = read("package.json");
  const chroma = read("test/store/hybrid/packages/package.json")("chromadb-js-bindings-linux-x64-gnu");
  const names = { libsql: own("libsql"), pg: own("pg"), ioredis: own("ioredis"), aws4fetch: own("aws4fetch") };
  return { ...names, pglite: own("@electric-sql/pglite"), chroma };
})();

interface Backend {
  name: string;
  differences: Record<string, string>;
  /** Whether a batch is all or nothing, as the driver says. */
  isAtomic: boolean;
  /** Whether a conditional put holds between processes. */
  conditional: string;
  processes: string;
  /** Who removes an item whose time is over. */
  expiry: string;
  tested: string;
}

const SWEEP = "`memory sweep`";
const ONE = "one process";
const ONE_MACHINE = "several, on one machine";
const MANY = "many, on many machines";
const AS_DOCUMENTS = "as its documents";

/** The section between the markers of the document. */
export async function renderDifferences(): Promise<string> {
  const backends = await listBackends();
  const rows = backends.map(({ name, differences, ...each }) => {
    const kept = `${CLAUSES - Object.keys(differences).length} of ${CLAUSES}`;
    return [name, kept, each.isAtomic ? "yes" : "no", each.conditional, each.expiry, each.processes];
  });
  const titles = ["", "clauses kept", "a batch is all or nothing", "conditional put between processes"];
  const header = [...titles, "expired items are removed by", "processes at once"];
  const line = (cells: readonly string[]) => `|${cells.map((each) => (each === "" ? " " : ` ${each} `)).join("|")}|`;
  return [
    [line(header), line(header.map(() => "---")), ...rows.map(line)].join("\n"),
    "A clause is one sentence of what a store has to do, with its proof; all of them run on every backend, and one that is declared as a difference has to fail. Reads hide what is expired on every backend; the table says who removes it.",
    ...backends.flatMap((backend, i) => renderReasons(backend, backends[i - 1])),
    "What each was tested on:",
    backends.map(({ name, tested }) => `- ${name}: ${tested}`).join("\n"),
  ].join("\n\n");
}

/** The declared differences of a backend, by reason; where the one before it has some of them, the others. */
function renderReasons({ name, differences }: Backend, before: Backend | undefined): string[] {
  const shared = Object.entries(before?.differences ?? {});
  const isMore = shared.length > 0 && shared.every(([clause, reason]) => differences[clause] === reason);
  const clausesOf = new Map<string, string[]>();
  for (const [clause, reason] of Object.entries(differences)) {
    if (isMore && before?.differences[clause] !== undefined) continue;
    clausesOf.set(reason, [...(clausesOf.get(reason) ?? []), clause]);
  }
  if (clausesOf.size === 0) return [];
  const reasons = [...clausesOf].map(
    ([reason, clauses]) => `- ${reason}:\n${clauses.map((each) => `  - ${each}`).join("\n")}`,
  );
  const title = isMore ? `does not keep, beside what ${before?.name} does not` : "does not keep";
  return [`**${name}** ${title}:`, reasons.join("\n")];
}

async function listBackends(): Promise<Backend[]> {
  using folder = temporaryFolder();
  const { bucket, endpoint, region, accessKeyId, secretAccessKey, close: closeS3 } = await startLoopbackS3();
  const s3 = { bucket, endpoint, region, accessKeyId, secretAccessKey, prefix: "" };
  const atomic = async (driver: RowDriver | Promise<RowDriver>) => {
    const opened = await driver;
    const { isAtomic } = opened;
    await opened.close();
    return isAtomic;
  };
  const { pglite, ioredis, aws4fetch } = versions;
  const sqlite = () => openSqliteDriver(folder.path("memory.db"));
  const snapshot = { path: folder.path("memory.snapshot"), everyMs: 60_000 };
  const local = { expiry: SWEEP, conditional: "yes", processes: ONE_MACHINE };
  const hybrid = { expiry: SWEEP, conditional: AS_DOCUMENTS, processes: AS_DOCUMENTS };
  const isHybridAtomic = await atomic(openHybridDriver(sqlite(), processVectors()));
  // What needs a server that not every machine has is said here: its drivers are always atomic.
  const postgres = { isAtomic: true, expiry: SWEEP, conditional: "yes", processes: MANY };
  const database = async (url: string) => `\`${await commandFor(url)}\``;
  const backends: Backend[] = [
    {
      ...{ name: "`memory:`", differences: declared.MEMORY, isAtomic: await atomic(createMemoryDriver()) },
      ...{ expiry: SWEEP, conditional: "–", processes: ONE, tested: "itself" },
    },
    {
      ...{ name: "`memory:` with a snapshot", differences: declared.SNAPSHOT },
      ...{ isAtomic: await atomic(openSnapshotDriver(snapshot)), expiry: SWEEP, conditional: "–", processes: ONE },
      tested: "real files",
    },
    {
      ...{ name: "SQLite", differences: declared.SQLITE, isAtomic: await atomic(sqlite()), ...local },
      tested: `real files, by \`libsql@${versions.libsql}\``,
    },
    {
      ...{ name: "PostgreSQL", differences: declared.POSTGRES, ...postgres },
      tested: `PGlite ${pglite} (PostgreSQL 18 in process) with pgvector, by \`pg@${versions.pg}\``,
    },
    {
      ...{ name: "PostgreSQL without pgvector", differences: declared.WITHOUT_VECTORS, ...postgres },
      tested: `a real server (PostgreSQL 15 of Debian 12), by \`pg@${versions.pg}\``,
    },
    {
      ...{ name: "a program's `Map`", differences: declared.MAP, expiry: SWEEP, conditional: "–", processes: ONE },
      ...{ isAtomic: await atomic(createKeyValueDriver(mapKeyValue(new Map()))), tested: "itself" },
    },
    {
      ...{ name: "`file:`", differences: declared.FILE, isAtomic: await atomic(openFileDriver(folder.path("memory"))) },
      ...{ ...local, tested: "real files" },
    },
    {
      ...{ name: "Redis", differences: declared.REDIS, isAtomic: true, expiry: "Redis, when it is time" },
      ...{ conditional: "yes", processes: MANY },
      tested: `a real server (Redis 7.0.15 of Debian 12), by \`ioredis@${ioredis}\``,
    },
    {
      ...{ name: "S3", differences: declared.S3, isAtomic: await atomic(openS3Driver(s3)) },
      ...{ expiry: SWEEP, conditional: "of each item on its own", processes: MANY },
      tested: `a loopback server of the tests that speaks the documented protocol, by \`aws4fetch@${aws4fetch}\`; no real bucket`,
    },
    {
      ...{ name: "hybrid, vectors in process", differences: declared.HYBRID, isAtomic: isHybridAtomic, ...hybrid },
      tested: "documents in SQLite, vectors in a LangChain.js `VectorStore` of the tests",
    },
    {
      ...{ name: "hybrid on a database", differences: declared.HYBRID_DATABASE, isAtomic: isHybridAtomic, ...hybrid },
      tested:
        `documents in SQLite. Chroma: a real server (\`chromadb-js-bindings@${versions.chroma}\`), by ${await database("chroma://h/mail")}. ` +
        `Qdrant by ${await database("qdrant://h/c")} and Weaviate by ${await database("weaviate://h/C")}: their real client packages against loopback servers of the tests that speak the documented protocols; no real server`,
    },
    {
      ...{ name: "hybrid on Pinecone", differences: declared.HYBRID_PINECONE, isAtomic: isHybridAtomic, ...hybrid },
      tested: `documents in SQLite; the real client packages, ${await database("pinecone://c")}, against a loopback server of the tests; not Pinecone itself`,
    },
  ];
  await closeS3();
  return backends;
}

/** The packages of a vector database, as the program says that they are to be installed. */
async function commandFor(url: string): Promise<string> {
  const importPackage = () => Promise.reject(new Error("not here"));
  const error: unknown = await openVectorIndex(url, { apiKey: "-", importPackage }).catch((error: unknown) => error);
  const command = error instanceof MnemailError ? error.hint : undefined;
  if (!command?.startsWith("npm install ")) throw new Error(`${url}: no command installs its packages`);
  return command.slice("npm install ".length);
}

/** What the document says between its markers, and what it has to say. */
export async function compareDocument(): Promise<{ documented: string; expected: string }> {
  const documented = MARKED.exec(readFileSync(DOCUMENT, "utf8"))?.[0] ?? "";
  return { documented, expected: `\n${await renderDifferences()}\n\n` };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { documented, expected } = await compareDocument();
  if (process.argv.includes("--write")) {
    writeFileSync(
      DOCUMENT,
      readFileSync(DOCUMENT, "utf8").replace(MARKED, () => expected),
    );
  } else if (documented !== expected) {
    const lines = (text: string, other: string, sign: string) =>
      text
        .split("\n")
        .filter((line) => !other.split("\n").includes(line))
        .map((line) => `${sign} ${line}`);
    console.log([...lines(documented, expected, "-"), ...lines(expected, documented, "+")].join("\n"));
    console.error(`${DOCUMENT} says something else; \`npx tsx test/store/documented-differences.ts --write\` mends it`);
    process.exitCode = 1;
  }
}
