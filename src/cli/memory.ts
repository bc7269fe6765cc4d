import { z } from "zod";
import type { UserMemory } from "../memory/memory.ts";
import type { MemoryRecord } from "../memory/memory-record.ts";
import { printJson, shorten } from "./output.ts";
import { plural } from "./progress.ts";
import { renderScope } from "./scopes.ts";
import { openMemory } from "./session.ts";

const optionsSchema = z.object({ user: z.string(), json: z.boolean().default(false) });

/** `mnemail memory show`: prints the three kinds of memory of one user. Returns the exit code. */
export async function showMemory(rawOptions: unknown): Promise<number> {
  const { user, json } = optionsSchema.parse(rawOptions);
  await using opened = await openMemory();
  const memory = await opened.memory.readAll(user);
  const { ledger } = opened.memory;
  const proposed = (await ledger.proposals(user)).length;
  const superseded = await opened.memory.facts.superseded(user);
  const waiting = (await ledger.unlearnt(user)).map(({ id, kind, at }) => ({ key: id, kind, at }));
  if (json) {
    const old = superseded.map(({ key, record }) => ({ key, ...record }));
    printJson({ user, ...asJson(memory), superseded: old, proposed, waiting });
  } else {
    console.log(render(user, memory, proposed));
    if (superseded.length > 0) console.log("\nNo longer true, and not used");
    for (const { key, record } of superseded) {
      const { content, superseded_at: at = "", superseded_by: by } = record;
      const why = by === undefined ? "taken back" : `replaced by [${shorten(by)}]`;
      console.log(`  [${shorten(key)}] ${shorten(content, 2_000)} (until ${shorten(at.slice(0, 10))}, ${why})`);
    }
    if (waiting.length > 0) console.log("\nFeedback that waits for `mnemail feedback --retry`");
    for (const { key, kind, at } of waiting) console.log(`  [${shorten(key)}] ${kind}, ${at}`);
  }
  return 0;
}

function asJson({ procedural, semantic, episodic }: UserMemory) {
  return {
    procedural: procedural.map(({ name, text, version, rules }) => ({ key: name, version, prompt: text, rules })),
    semantic: semantic.map(({ key, record }) => ({ key, ...record })),
    episodic: episodic.map(({ key, status, record }) => ({ key, status, ...record })),
  };
}

/** Whose word a fact is and for which mail it is recalled; exchanges say it themselves. */
function renderOrigin({ kind, trust, person, scope }: MemoryRecord, status: "active" | "pending"): string {
  const from = `from mail of ${shorten(person ?? "a stranger")}`;
  if (status === "pending") return ` (pending, ${from}: not used)`;
  if (kind === "conversation") return "";
  const where = scope === "all" ? "" : `, for ${renderScope(scope)}`;
  return trust === "user" ? (where === "" ? "" : ` (${where.slice(2)})`) : ` (${from}, approved${where})`;
}

function render(user: string, { procedural, semantic, episodic }: UserMemory, waiting: number): string {
  const rules = procedural.flatMap(({ name, version, rules }) => [
    `  ${name}, version ${version}${rules.length === 0 ? ": no rules learnt" : ":"}`,
    ...rules.map((rule) => `    - ${shorten(rule.text, 400)}`),
  ]);
  const examples = semantic.map(
    ({ key, record }) =>
      `  [${shorten(key)}] ${record.label}: ${shorten(record.email.subject)} (${shorten(record.email.from)})`,
  );
  const memories = episodic.map(
    ({ key, status, record }) => `  [${shorten(key)}] ${shorten(record.content, 2_000)}${renderOrigin(record, status)}`,
  );
  return [
    `Memory of ${user}`,
    "\nProcedural: prompts and the rules learnt for them",
    ...rules,
    ...(waiting > 0 ? [`  ${plural(waiting, "proposed change")} for your word: mnemail memory proposed`] : []),
    "\nSemantic: emails you labelled",
    ...(examples.length > 0 ? examples : ["  none yet"]),
    "\nEpisodic: people and conversations",
    ...(memories.length > 0 ? memories : ["  none yet"]),
  ].join("\n");
}
