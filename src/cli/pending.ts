import { z } from "zod";
import { loadConfig } from "../config.ts";
import { MnemailError, renderError } from "../errors.ts";
import type { EpisodicMemory } from "../memory/episodic.ts";
import type { Memory } from "../memory/memory.ts";
import type { OtherScope } from "../memory/pending.ts";
import { domainOf, parseScope } from "../memory/scope.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { note, printJson, shorten } from "./output.ts";
import { plural } from "./progress.ts";
import { renderRemembered, scopeOfEmail } from "./remember.ts";
import { renderScope } from "./scopes.ts";
import { openMemory, openSession } from "./session.ts";

const listSchema = z.object({ user: z.string(), json: z.boolean().default(false) });
const rejectSchema = listSchema.extend({ ids: z.array(z.string()) });
const approveSchema = rejectSchema.extend({
  scope: z.enum(["person", "domain", "thread", "all"]).optional(),
  contradicted: z.enum(["replace", "keep"]).optional(),
});

/** `mnemail memory pending list`. Returns the exit code. */
export async function listPending(rawOptions: unknown): Promise<number> {
  const { user, json } = listSchema.parse(rawOptions);
  encodeUserId(user);
  await using opened = await openMemory();
  const rows = await describe(opened.memory, user);
  if (json) printJson({ user, pending: rows });
  else if (rows.length === 0) console.log(`nothing of ${shorten(user)}'s mail waits to be approved`);
  else console.log([...rows.map(render), `\n${hintOf(user)}`].join("\n"));
  return 0;
}

/** `mnemail memory pending approve`. Returns the exit code: 1 when one of them could not be approved. */
export async function approvePending(rawOptions: unknown): Promise<number> {
  const { user, ids, scope, contradicted, json } = approveSchema.parse(rawOptions);
  encodeUserId(user);
  await using assistant = await openSession(loadConfig(), { checkpointer: false });
  const { facts } = assistant.memory;
  return await forEach(ids, json, async (id) => {
    const other = scope === undefined ? undefined : await otherScope(assistant.memory, user, id, scope);
    const kept = await assistant.approve(user, id, { other, contradicted });
    if (kept.status === "undecided") throw undecided(id, kept.content, kept.conflicts);
    const record = await facts.find(user, kept.key);
    if (json) return { id, ...kept, scope: record?.record.scope };
    const lines = renderRemembered(kept, record?.record.scope ?? "all", "approved");
    return kept.note === undefined ? lines : `${lines}\n  ${shorten(kept.note, 400)}`;
  });
}

/** `mnemail memory pending reject`. Returns the exit code: 1 when one of them could not be rejected. */
export async function rejectPending(rawOptions: unknown): Promise<number> {
  const { user, ids, json } = rejectSchema.parse(rawOptions);
  encodeUserId(user);
  await using opened = await openMemory();
  return await forEach(ids, json, async (id) => {
    const { content } = await opened.memory.pending.reject(user, id, new Date().toISOString());
    return json ? { id, status: "rejected" } : `rejected: ${shorten(content, 400)}`;
  });
}

function undecided(id: string, content: string, conflicts: readonly EpisodicMemory[]): MnemailError {
  const facts = conflicts.map(({ key, record }) => `[${key}] ${shorten(record.content, 200)}`).join(" and ");
  const hint = "approve it with --contradicted replace or --contradicted keep";
  return new MnemailError("input", `${id}: "${shorten(content, 200)}" contradicts what you said: ${facts}`, hint);
}

/** Does something with each id; one that is refused does not keep the next from its turn. */
async function forEach(ids: readonly string[], json: boolean, act: (id: string) => Promise<object | string>) {
  let code = 0;
  for (const id of new Set(ids)) {
    try {
      const done = await act(id);
      if (typeof done === "string") console.log(done);
      else printJson(done);
    } catch (error) {
      if (!(error instanceof MnemailError) || !["input", "usage"].includes(error.code)) throw error;
      if (json) printJson({ id, error: error.message });
      note(renderError(error));
      code = 1;
    }
  }
  return code;
}

async function otherScope(
  memory: Memory,
  user: string,
  id: string,
  kind: "person" | "domain" | "thread" | "all",
): Promise<OtherScope | undefined> {
  const record = (await memory.pending.list(user)).find(({ key }) => key === id)?.record;
  // What is not there is refused when it is approved.
  if (!record) return undefined;
  if (kind === "all") return { scope: "all" };
  if (kind === "thread" && record.source !== undefined) return scopeOfEmail(memory, user, record.source, true);
  const { person } = record;
  if (person === undefined) throw new MnemailError("input", `${id}: is about nobody in particular`, "use --scope all");
  return { scope: parseScope(kind === "person" ? { person } : { domain: domainOf(person) }) };
}

async function describe(memory: Memory, user: string) {
  const pending = await memory.pending.list(user);
  return Promise.all(
    pending.map(async ({ key, record }) => {
      const email = record.source === undefined ? undefined : (await memory.findDecision(user, record.source))?.email;
      const replaced = await Promise.all((record.supersedes ?? []).map((each) => memory.facts.find(user, each)));
      const { content, scope, author, person, source, at } = record;
      return {
        ...{ id: key, content, scope, author, person, source, at },
        subject: email?.subject,
        supersedes: replaced.flatMap((each) => (each ? [{ key: each.key, content: each.record.content }] : [])),
        look_alikes: lookAlikes(content),
      };
    }),
  );
}

function render(row: Awaited<ReturnType<typeof describe>>[number]): string {
  const { id, content, scope, author, person, subject, supersedes, look_alikes } = row;
  const how = author === "extraction" ? "found" : "noted while it was answered";
  return [
    `[${id}] ${shorten(content, 2_000)}`,
    `  ${how} in mail of ${shorten(person ?? "a stranger", 100)}${subject ? `: "${shorten(subject, 80)}"` : ""}; would be recalled for ${renderScope(scope)}`,
    ...supersedes.map((each) => `  instead of [${shorten(each.key)}]: ${shorten(each.content, 400)}`),
    ...(look_alikes.length > 0 ? [`  careful: letters of several scripts in ${look_alikes.join(", ")}`] : []),
  ].join("\n");
}

function hintOf(user: string): string {
  return `approve or reject by id: mnemail memory pending approve --user ${shorten(user)} ID`;
}

/** Words that mix scripts whose letters look alike (Unicode TR 39), such as a Cyrillic "а" in "pаypal". */
function lookAlikes(text: string): string[] {
  const scripts = [/\p{Script=Latin}/u, /\p{Script=Cyrillic}/u, /\p{Script=Greek}/u];
  const words = text.match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  return [...new Set(words.filter((word) => scripts.filter((script) => script.test(word)).length > 1))].slice(0, 5);
}

/** One line on how much waits, or nothing; other commands end with it. */
export function renderWaiting(user: string, pending: readonly EpisodicMemory[]): string[] {
  if (pending.length === 0) return [];
  const what = `${plural(pending.length, "memory", "memories")} from mail`;
  return [`${what} for your word: mnemail memory pending list --user ${shorten(user)}`];
}
