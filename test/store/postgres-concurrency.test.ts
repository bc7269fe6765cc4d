import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openPostgresDriver } from "../../src/store/postgres-driver.ts";
import { externalPostgres, startPostgres } from "../support/postgres.ts";

// Needs sessions of their own, which PGlite has not.
const server = (await externalPostgres()) ?? (await startPostgres());

describe.skipIf(!server)("beside another program's transaction on PostgreSQL", () => {
  afterAll(() => server?.stop());

  test("a conditional put that expects no item does not overwrite one that was being put", async () => {
    const url = server?.url ?? "";
    const { store: config } = loadConfig({ environment: { STORE_URL: url }, directory: "/" });
    if (config.backend !== "postgres") throw new TypeError("expected PostgreSQL");
    await using store = await MnemailStore.open(await openPostgresDriver(config));
    const other = new pg.Client({ connectionString: url });
    await other.connect();
    await other.query("BEGIN");
    await other.query("INSERT INTO store (prefix, key, value) VALUES ('c', 'k', '{\"by\": \"another\"}')");
    const put = store.putIf([{ namespace: ["c"], key: "k", value: { by: "us" }, expected: null, index: false }]);
    // Ours saw no item, and now waits for the other transaction to end.
    await expect.poll(async () => (await other.query(WAITING)).rowCount, { timeout: 10_000 }).toBe(1);
    await other.query("COMMIT");
    expect(await put).toBe(false);
    expect((await store.get(["c"], "k"))?.value).toEqual({ by: "another" });
    await other.end();
  });
});

const WAITING = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'mnemail' AND wait_event_type = 'Lock'";
