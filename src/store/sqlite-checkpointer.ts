import { format, parse } from "node:path";
import { type BaseCheckpointSaver, MemorySaver, type SerializerProtocol } from "@langchain/langgraph-checkpoint";
import { SqliteSaver } from "@langchain/langgraph-checkpoint-sqlite";
import Database from "libsql";
import { enterWal, prepareFile, storeError } from "./sqlite-file.ts";

const BUSY_TIMEOUT_MS = 5_000;
/** The type under which bytes are written. */
const BASE64 = "base64";

/** Names the file of the checkpoints beside a store's: `memory.db` → `memory.checkpoints.db`. */
export function checkpointPath(storePath: string): string {
  const { dir, name, ext } = parse(storePath);
  return format({ dir, name: `${name}.checkpoints`, ext });
}

/**
 * Opens LangGraph's SqliteSaver on a file of its own, made for this user's eyes only. Several processes may use it.
 *
 * @throws MnemailError("store") when the file cannot be opened, written or is not a healthy database.
 */
export async function openSqliteCheckpointer(
  path: string,
): Promise<{ checkpointer: BaseCheckpointSaver; close(): void }> {
  let database: Database.Database | undefined;
  try {
    prepareFile(path);
    database = new Database(path, { timeout: BUSY_TIMEOUT_MS });
    enterWal(database, BUSY_TIMEOUT_MS);
    database.exec("PRAGMA synchronous = FULL");
    const checkpointer = new SqliteSaver(database, textOnly(new MemorySaver().serde));
    // It makes its tables when it is first used.
    await checkpointer.getTuple({ configurable: { thread_id: "" } });
    const opened = database;
    return { checkpointer, close: () => opened.close() };
  } catch (error) {
    database?.close();
    throw storeError({ path, busyTimeoutMs: BUSY_TIMEOUT_MS }, error);
  }
}

/** A serializer whose bytes are text: SqliteSaver casts what it reads to TEXT, and libsql aborts where that is no UTF-8. */
function textOnly(serde: SerializerProtocol): SerializerProtocol {
  return {
    async dumpsTyped(value: unknown) {
      const [type, bytes] = await serde.dumpsTyped(value);
      return type === "bytes" ? [BASE64, Buffer.from(Buffer.from(bytes).toString("base64"))] : [type, bytes];
    },
    async loadsTyped(type, data): Promise<unknown> {
      if (type !== BASE64) return serde.loadsTyped(type, data);
      return new Uint8Array(Buffer.from(Buffer.from(data).toString(), "base64"));
    },
  };
}
