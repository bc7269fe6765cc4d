import type pg from "pg";

/** The advisory lock under which tables are made and changed: a number of ours, which has no meaning elsewhere. */
const MIGRATION_LOCK_KEY = 7_301_956_201;

/**
 * Runs `run` while no other process changes the tables of this database, in one transaction on one connection of the
 * pool: when it throws, nothing was changed. The lock belongs to the transaction, so that it ends with it, however it
 * ends, and holds behind a pooler in transaction mode as well. `run` works on the client it is given, which it does not
 * release, and begins no transaction of its own.
 */
export async function withMigrationLock<T>(pool: pg.Pool, run: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken = true;
  try {
    // A stricter level would go on seeing the tables as they were before it waited for the lock.
    await client.query("BEGIN ISOLATION LEVEL READ COMMITTED");
    try {
      await client.query("SELECT pg_advisory_xact_lock($1)", [MIGRATION_LOCK_KEY]);
      const result = await run(client);
      await client.query("COMMIT");
      broken = false;
      return result;
    } catch (error) {
      broken = await client.query("ROLLBACK").then(
        () => false,
        () => true,
      );
      throw error;
    }
  } finally {
    client.release(broken);
  }
}
