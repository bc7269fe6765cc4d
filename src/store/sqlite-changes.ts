import { z } from "zod";

/** What the log of changes says of the namespaces at and below a prefix: the last change of each, and the epoch. */
export interface Changes {
  /** Another number than before: the log forgot something, so what is held in process is worth nothing. */
  epoch: number;
  namespaces: { namespace: string; change: number }[];
}

/** The last change of a namespace, the epoch, and the next namespace after another one. */
const STATE = `SELECT (SELECT max(change) FROM mnemail_changes WHERE prefix = ?), (SELECT epoch FROM mnemail_clock),
  (SELECT prefix FROM mnemail_changes WHERE prefix > ? AND prefix < ? ORDER BY prefix LIMIT 1)`;
const stateSchema = z.tuple([z.tuple([z.number().nullable(), z.number(), z.string().nullable()])]);

/** Reads the log of changes, inside the transaction of the caller: one statement for each namespace, whatever it holds. */
export function readChanges(
  all: (sql: string, parameters: unknown[]) => unknown[],
  prefix: readonly string[],
): Changes {
  const text = prefix.join(".");
  const changes: Changes = { epoch: -1, namespaces: [] };
  const [from, to] = text === "" ? ["", "\u{10ffff}"] : [`${text}.`, `${text}/`];
  for (let namespace: string | null = text; namespace !== null; ) {
    const parameters: string[] = [namespace, namespace > from ? namespace : from, to];
    const [change, epoch, next] = stateSchema.parse(all(STATE, parameters))[0];
    changes.epoch = epoch;
    if (change !== null) changes.namespaces.push({ namespace, change });
    namespace = next;
  }
  return changes;
}
