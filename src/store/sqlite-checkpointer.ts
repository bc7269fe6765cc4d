import { format, parse } from "node:path";
import { type BaseCheckpointSaver, MemorySaver, type SerializerProtocol } from "@langchain/langgraph-checkpoint";
import { SqliteSaver } from "@langchain/langgraph-checkpoint-sqlite";
import Database from "libsql";
import { z } from "zod";
import { eraseFreed } from "./sqlite-erase.ts";
import { enterWal, prepareFile, storeError } from "./sqlite-file.ts";

const BUSY_TIMEOUT_MS = 5_000;
/** The type under which bytes are written. */
const BASE64 = "base64";

// The newest checkpoint of each thread holds its state as JSON (SqliteSaver of langgraph-checkpoint-sqlite).
const THREADS_OF_USER = `
SELECT newest.thread_id FROM (
  SELECT thread_id, max(checkpoint_id) AS checkpoint_id FROM checkpoints WHERE checkpoint_ns = '' GROUP BY thread_id
) AS newest JOIN checkpoints USING (thread_id, checkpoint_id)
WHERE checkpoint_ns = '' AND CASE WHEN json_valid(CAST(checkpoint AS TEXT))
  THEN json_extract(CAST(checkpoint AS TEXT), '$.channel_values.user_id') = ? END
ORDER BY newest.checkpoint_id DESC`;
const threadRowsSchema = z.array(z.tuple([z.string()]));

/** Names the file of the checkpoints beside a store's: `memory.db` → `memory.checkpoints.db`. */
export function checkpointPath(storePath: string): string {
  const { dir, name, ext } = parse(storePath);
  return format({ dir, name: `${name}.checkpoints`, ext });
}

/**
 * Opens LangGraph's SqliteSaver on a file of its own, made for this user's eyes only unless `mode` says otherwise. Several processes may use it.
 * `threadIds` names the threads of a user, the one with the newest checkpoint first, without reading them; `erase` leaves
 * nothing of deleted threads in the files.
 *
 * @throws MnemailError("store") when the file cannot be opened, written or is not a healthy database.
 */
export async function openSqliteCheckpointer(
  path: string,
  mode = 0o600,
): Promise<{
  checkpointer: BaseCheckpointSaver;
  threadIds(userId: string): Promise<string[]>;
  erase(): Promise<void>;
  close(): void;
}> {
  const place = { path, busyTimeoutMs: BUSY_TIMEOUT_MS };
  let database: Database.Database | undefined;
  try {
    prepareFile(path, mode);
    database = new Database(path, { timeout: BUSY_TIMEOUT_MS });
    enterWal(database, BUSY_TIMEOUT_MS);
    database.exec("PRAGMA synchronous = FULL");
    const checkpointer = new SqliteSaver(database, textOnly(new MemorySaver().serde));
    // It makes its tables when it is first used.
    await checkpointer.getTuple({ configurable: { thread_id: "" } });
    const opened = database;
    const threadIds = async (userId: string) => {
      try {
        return threadRowsSchema.parse(opened.prepare(THREADS_OF_USER).raw().all(userId)).flat();
      } catch (error) {
        throw storeError(place, error);
      }
    };
    return { checkpointer, threadIds, erase: () => eraseFreed(place, opened), close: () => opened.close() };
  } catch (error) {
    database?.close();
    throw storeError(place, error);
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
