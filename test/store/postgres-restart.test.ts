import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import pg from "pg";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { renderError } from "../../src/errors.ts";
import { openStore } from "../../src/store/open-store.ts";
import { email, openTestAssistant, type TestAssistant } from "../support/assistant.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";

const ANA = "ana@home.example";
/** Enough for a server that starts again, in milliseconds. */
const PATIENT = { POSTGRES_RETRY_MS: "20000" };

/** A way to the server that can be cut. */
interface Line extends AsyncDisposable {
  url: string;
  /** Lets the next COMMIT through, and cuts the connection in place of its answer, once `meanwhile` is done. */
  loseNextCommit(meanwhile: () => Promise<unknown>): void;
  /** Passes on nothing more in either direction, as a network that lost its way. */
  fallSilent(): void;
}

async function openLine(url: string): Promise<Line> {
  const { hostname, port } = new URL(url);
  let isSilent = false;
  let meanwhile: (() => Promise<unknown>) | undefined;
  const line = createServer((near) => {
    const far = connect(Number(port), hostname);
    let awaited: typeof meanwhile;
    near.on("data", (data) => {
      if (data.includes("COMMIT\0")) [awaited, meanwhile] = [meanwhile, undefined];
      if (!isSilent) far.write(data);
    });
    far.on("data", (data) => {
      if (awaited) void awaited().then(() => near.destroy());
      else if (!isSilent) near.write(data);
    });
    near.on("close", () => far.destroy()).on("error", () => {});
    far.on("close", () => near.destroy()).on("error", () => {});
    sockets.add(near);
  });
  const sockets = new Set<Socket>();
  await once(line.listen(0, "127.0.0.1"), "listening");
  const address = line.address();
  const through = new URL(url);
  if (typeof address === "object" && address) through.port = String(address.port);
  return {
    url: through.href,
    loseNextCommit: (run) => {
      meanwhile = run;
    },
    fallSilent: () => {
      isSilent = true;
    },
    async [Symbol.asyncDispose]() {
      for (const each of sockets) each.destroy();
      line.close();
    },
  };
}

const server = await startPostgres();
afterAll(() => server?.stop());

describe.skipIf(server === undefined)("when the PostgreSQL server restarts or its line is cut", () => {
  const started = (): PostgresServer => {
    if (server === undefined) throw new Error("no server");
    return server;
  };
  const password = () => new URL(started().url).password;
  const question = (id: string) => email({ id, body: "Could you tell me when the next release is planned?" });
  const openStoreOf = (url: string, environment: Record<string, string> = {}) =>
    openStore(loadConfig({ environment: { STORE_URL: url, ...environment }, directory: tmpdir() }).store);
  const openOn = (name: string, environment: Record<string, string>): Promise<TestAssistant> =>
    started()
      .createDatabase(name)
      .then((url) => openTestAssistant({ STORE_URL: url, ...environment }));
  /** The emails that are remembered as answered. */
  const remembered = async ({ memory }: TestAssistant) =>
    (await memory.readAll(ANA)).episodic.map(({ record }) => record.source).sort();

  afterEach(() => started().startServer());

  test.each(["fast", "immediate"] as const)("(%s), the assistant stays up and handles the next email", async (mode) => {
    await using assistant = await openOn(`restart_${mode}`, PATIENT);
    expect(await assistant.handle(ANA, question("before"))).toMatchObject({ status: "done", label: "respond" });
    await started().stopServer(mode);
    await expect.poll(() => assistant.warnings.join("\n")).toContain("an idle connection was lost");
    await started().startServer();
    expect(await assistant.handle(ANA, question("after"))).toMatchObject({ status: "done", label: "respond" });
    expect(await remembered(assistant)).toEqual(["after", "before"]);
    expect(assistant.warnings.join("\n")).not.toContain(password());
  });

  test("an email that comes while it is down waits for the server and is handled whole", async () => {
    await using assistant = await openOn("restart_meanwhile", PATIENT);
    await assistant.handle(ANA, question("before"));
    await started().stopServer("immediate");
    const meanwhile = assistant.handle(ANA, question("meanwhile"));
    await started().startServer();
    expect(await meanwhile).toMatchObject({ status: "done", label: "respond" });
    expect(await remembered(assistant)).toEqual(["before", "meanwhile"]);
  });

  test("while it is down for longer than it is waited for, an email fails in one line, and a later one works", async () => {
    const retryMs = 400;
    await using assistant = await openOn("restart_long", { POSTGRES_RETRY_MS: String(retryMs) });
    await assistant.handle(ANA, question("before"));
    await started().stopServer("fast");
    const begun = Date.now();
    const failed = await assistant.handle(ANA, question("meanwhile"));
    const waitedMs = Date.now() - begun;
    expect(failed).toMatchObject({ status: "failed", label: null, draft: null });
    expect(failed.error).toMatch(
      /^postgresql:\/\/\*\*\*@127\.0\.0\.1:\d+\/restart_long: the server cannot be reached .*\(.+\)$/,
    );
    expect(`${failed.error}${assistant.warnings}`).not.toContain(password());
    // Reading, and reading one by one, for triage and for the answer, then writing: only the first waits.
    expect(waitedMs).toBeLessThan(3 * retryMs);
    await started().startServer();
    expect(await assistant.handle(ANA, question("meanwhile"))).toMatchObject({ status: "done" });
    expect(await remembered(assistant)).toEqual(["before", "meanwhile"]);
  });

  describe("a connection that is lost at a COMMIT", () => {
    const counted = (n: number) => [
      { namespace: ["a"], key: "k", value: { n }, expected: n === 1 ? null : { n: n - 1 }, index: false as const },
    ];

    test("whose answer is lost, a conditional put is made once and said to be made", async () => {
      await using line = await openLine(await started().createDatabase("lost_answer"));
      await using store = await openStoreOf(line.url);
      line.loseNextCommit(async () => {});
      expect(await store.putIf(counted(1))).toBe(true);
      expect(await store.get(["a"], "k")).toMatchObject({ value: { n: 1 } });
    });

    test("after which another writes, a conditional put that was made is not said to have failed", async () => {
      const url = await started().createDatabase("lost_and_changed");
      await using line = await openLine(url);
      await using store = await openStoreOf(line.url);
      await using other = await openStoreOf(url);
      line.loseNextCommit(() => other.putIf(counted(2)));
      expect(await store.putIf(counted(1)).catch(renderError)).not.toBe(false);
      expect(await store.get(["a"], "k")).toMatchObject({ value: { n: 2 } });
    });
  });

  test("a network that falls silent is given up in one line, and not waited for without end", async () => {
    await using line = await openLine(await started().createDatabase("silent"));
    await using store = await openStoreOf(line.url, {
      POSTGRES_CONNECT_TIMEOUT_MS: "200",
      POSTGRES_STATEMENT_TIMEOUT_MS: "200",
      POSTGRES_RETRY_MS: "500",
    });
    await store.put(["a"], "k", { n: 1 }, false);
    line.fallSilent();
    await expect(store.get(["a"], "k")).rejects.toThrow(/\*\*\*@.*silent: the server cannot be reached/);
  }, 10_000);

  test("fifty emails at once are handled by a pool of one connection", async () => {
    await using assistant = await openOn("pool_of_one", { ...PATIENT, POSTGRES_POOL_MAX: "1" });
    const ids = Array.from({ length: 50 }, (_, i) => `q${i}`).sort();
    const results = await Promise.all(ids.map((id) => assistant.handle(ANA, question(id))));
    expect(results.flatMap(({ error }) => error ?? [])).toEqual([]);
    expect(await remembered(assistant)).toEqual(ids);
  });

  test("a server with few connections gives work or one line, never a hang, and works again afterwards", async () => {
    const url = await started().createDatabase("few_connections");
    await restartWith("ALTER SYSTEM SET max_connections = 8");
    try {
      await using store = await openStoreOf(url, { POSTGRES_POOL_MAX: "30", POSTGRES_RETRY_MS: "300" });
      const puts = Array.from({ length: 50 }, (_, i) => [
        { namespace: ["a"], key: `k${i}`, value: { i }, expected: null, index: false as const },
      ]);
      const results = await Promise.all(puts.map((put) => store.putIf(put).catch(renderError)));
      const lines = results.filter((result) => result !== true);
      expect(lines.length).toBeLessThan(puts.length);
      for (const each of lines)
        expect(each).toMatch(/few_connections: the server has no connection left \(lower .+\)$/);
      const kept = await store.search(["a"], { limit: 100 });
      expect(kept).toHaveLength(puts.length - lines.length);
    } finally {
      await restartWith("ALTER SYSTEM RESET max_connections");
    }
  });

  async function restartWith(statement: string): Promise<void> {
    const client = new pg.Client(started().url);
    await client.connect();
    await client.query(statement);
    await client.end();
    await started().stopServer("fast");
    await started().startServer();
  }
});
