import type { Item } from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import { emailSchema } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { LEARNABLE_PROMPTS, type Prompts } from "../prompts.ts";
import { jsonEqual } from "../store/json-equal.ts";
import { userNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import type { JsonObject, KeptRow } from "../store/row-driver.ts";
import { factPut } from "./episodic.ts";
import { isObject } from "./export-lines.ts";
import { readPrompt } from "./procedural.ts";
import { keepEmail, labelSchema, promptRecordSchema } from "./records.ts";
import { examplePut } from "./semantic.ts";
import { problemOf, type Verdict } from "./transfer.ts";

interface Section {
  /** The last label of the guides' namespace, which a file may name or not. */
  label: string | undefined;
  isRecord: (value: JsonObject) => boolean;
  expected: string;
  /** The put of one record; a text that says what is wrong with it. */
  read: (user: string, key: string, value: JsonObject, at: string) => ConditionalPut | string;
}

const memorySchema = z.looseObject({ content: z.string().min(1), at: z.string().optional() });
const exampleSchema = z.looseObject({ label: labelSchema, at: z.string().optional() });

const SECTIONS: Record<string, Section> = {
  procedural: {
    label: undefined,
    isRecord: (value) => typeof value["prompt"] === "string",
    expected: '{ "prompt": TEXT } under USER/KEY',
    read: (user, key, value) => {
      const name = LEARNABLE_PROMPTS.find((each) => each === key);
      if (name === undefined) return `its key is none of ${LEARNABLE_PROMPTS.join(", ")}`;
      const record = promptRecordSchema.safeParse(value);
      if (!record.success) return issueOf(record.error);
      return { namespace: userNamespaces(user).prompts, key: name, value, index: false };
    },
  },
  semantic: {
    label: "examples",
    isRecord: (value) => isObject(value["email"]) && !isObject(value["label"]),
    expected: '{ "email": { "author", "to", "subject", "email_thread" }, "label" } under USER/ID',
    read: (user, _, value, at) => {
      const example = exampleSchema.safeParse(value);
      const email = emailSchema.safeParse({ email: value["email"] });
      if (!example.success || !email.success) return issueOf(example.error ?? email.error);
      return examplePut(userNamespaces(user), keepEmail(email.data), example.data.label, example.data.at ?? at);
    },
  },
  episodic: {
    label: "collection",
    isRecord: (value) => typeof value["content"] === "string",
    expected: '{ "content": TEXT } under USER/ID',
    read: (user, _, value, at) => {
      const memory = memorySchema.safeParse(value);
      if (!memory.success) return issueOf(memory.error);
      return factPut(userNamespaces(user), { content: memory.data.content }, memory.data.at ?? at);
    },
  },
};

/** What a file in the guides' layout holds: the users it names, and its records as rows. */
export interface GuidesMemory {
  users: Set<string>;
  rows: KeptRow[];
}

/**
 * Reads memories in the layout of LangGraph's guides: `{ procedural, semantic, episodic }`, each holding records under
 * `USER/KEY`, under the guides' namespace (`email_assistant/USER/examples/ID`, or with dots before the last slash), or
 * nested in that order. The file is the user's own word: its memories become facts the user stated, its examples
 * labels the user gave; both are named by their content, so that reading them again adds nothing. With `userId` all
 * becomes that user's. Times are `now`, since the guides keep none.
 *
 * @throws MnemailError("input") that names the first key that is not understood.
 */
export function readGuidesLayout(
  file: string,
  json: JsonObject,
  { now, userId }: { now: Date; userId?: string | undefined },
): GuidesMemory {
  const refuse = (path: readonly string[], what: string): never => {
    throw new MnemailError("input", `${file}: ${JSON.stringify(path.join("/"))}: ${what}`, "nothing was imported");
  };
  const found: GuidesMemory = { users: new Set(), rows: [] };
  const walk = (section: Section, path: string[], value: unknown) => {
    const [, ...below] = path;
    if (!isObject(value)) refuse(path, `expected ${section.expected}`);
    else if (!section.isRecord(value)) {
      for (const [key, inner] of Object.entries(value)) walk(section, [...path, key], inner);
    } else {
      const { user, key } = splitPath(below.join("/"), section.label) ?? refuse(path, `expected ${section.expected}`);
      const put = section.read(userId ?? user, key, value, now.toISOString());
      const row = typeof put === "string" ? refuse(path, put) : toRow(put, now);
      const problem = problemOf(row);
      if (problem !== undefined) refuse(path, problem);
      found.users.add(user);
      found.rows.push(row);
    }
  };
  for (const [name, value] of Object.entries(json)) {
    const section = Object.hasOwn(SECTIONS, name) ? SECTIONS[name] : undefined;
    if (section) walk(section, [name], value);
    else refuse([name], `expected ${Object.keys(SECTIONS).join(", ")}`);
  }
  return found;
}

function toRow({ namespace, key, value, index }: ConditionalPut, now: Date): KeptRow {
  const kept = { expiresAt: null, ttlMinutes: null, fields: index === false ? [] : (index ?? []) };
  return { namespace, key, value: value ?? {}, createdAt: now, updatedAt: now, ...kept };
}

/**
 * What becomes of a record in the guides' layout where there is an item: what is here stays, since the file does not
 * say which is newer; a default prompt that was never changed gives way. With `force` the file's is taken.
 */
export function hereWins(force: boolean, prompts: Prompts): (row: KeptRow, item: Item) => Verdict {
  return (row, item) => {
    // An import gives the records the time it runs at.
    const untimed = (value: JsonObject) => ({ ...value, at: null, valid_from: null });
    if (jsonEqual(untimed(row.value), untimed(item.value))) return "unchanged";
    const name = LEARNABLE_PROMPTS.find((each) => each === row.key && row.namespace.length === 1);
    const prompt = name && readPrompt(name, item, prompts);
    const isDefault = prompt?.version === 0 && prompt.rules.length === 0 && prompt.text === prompts[prompt.name].text;
    return force || isDefault ? "replaced" : "kept";
  };
}

/** `USER/KEY` from the ways in which a file may write it; a user's id has no slash here, a key may. */
function splitPath(path: string, label: string | undefined): { user: string; key: string } | undefined {
  const between = label === undefined ? "" : `(?:${label}/)?`;
  const dotted = label === undefined ? undefined : new RegExp(`^email_assistant\\.([^/]+)\\.${label}/(.+)$`, "s");
  const slashed = new RegExp(`^(?:email_assistant/)?([^/]+)/${between}(.+)$`, "s");
  const [, user, key] = dotted?.exec(path) ?? slashed.exec(path) ?? [];
  return user === undefined || key === undefined ? undefined : { user, key };
}

function issueOf(error: z.ZodError | undefined): string {
  const issue = error?.issues[0];
  return `${issue?.path.join(".") || "record"}: ${issue?.message ?? "cannot be read"}`;
}
