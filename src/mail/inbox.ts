import { readdir, readFile, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import type { z } from "zod";
import { cleanText, type Email, emailSchema } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { emailNotes, parseEml } from "./eml.ts";

const MEGABYTE = 1_000_000;
const FILE_LIMIT = 100 * MEGABYTE;
const EML_LIMIT = 50 * MEGABYTE;
const FORMS = 'an inbox is one email { "from", "subject", "body", … }, an array of them or { "emails": [ … ] }';
const ONE_PER_LINE = "one email as a JSON object on each line";

/** One email of an inbox: read, with one-line warnings, or not, with the reason. `id` of the latter may be its place. */
export type InboxEntry =
  | { status: "read"; email: Email; notes: string[] }
  | { status: "unreadable"; id: string; error: MnemailError };

/** An inbox on disk. `entries()` starts from the first email at each call and reads a folder file by file. */
export interface Inbox {
  path: string;
  total: number;
  entries(): AsyncGenerator<InboxEntry>;
}

type Source = () => InboxEntry | Promise<InboxEntry>;
/** An unreadable entry is called `id`, messages say `place`: the path as the user wrote it. */
type Place = { id: string; place: string };

/**
 * Opens an inbox: JSON (one email, an array, `{ emails }`), JSON lines, one `.eml`, or a folder of `.eml` in the order
 * of their names (folders within it, hidden and other files are ignored). The ending of the name decides; without a
 * known one the first character. One bad email is an `unreadable` entry, named by its own id, else `inbox.jsonl:12`,
 * `inbox.json[3]` or the file's name, and never ends the run.
 * Throws MnemailError `input` when nothing can be read: no such path, no `.eml` in the folder, an empty file, more than
 * 100 MB, JSON that is malformed, not UTF-8 or of another shape.
 */
export async function openInbox(path: string): Promise<Inbox> {
  const entry = await stat(path).catch((error: unknown) => refuse(path, reason(error), "check the path"));
  if (entry.isDirectory()) return createInbox(path, await openFolder(path));
  if (!entry.isFile()) refuse(path, "neither a file nor a folder");
  if (entry.size > FILE_LIMIT) refuse(path, `${megabytes(entry.size)}; at most 100 MB can be read`, "split the file");
  const ending = extname(path).toLowerCase();
  const single = { id: basename(path), place: path };
  if (ending === ".eml") return createInbox(path, [() => readEml(path, single)]);
  const bytes = await readFile(path).catch((error: unknown) => refuse(path, reason(error)));
  const lines = ending === ".jsonl" || ending === ".ndjson";
  // trimStart takes the byte order mark too.
  const looksLikeJson = /^[{[]/.test(bytes.toString("utf8", 0, 1_000).trimStart());
  const json = lines || ending === ".json" || looksLikeJson;
  return createInbox(path, json ? openJson(path, decodeUtf8(path, bytes), lines) : [() => readEml(path, single)]);
}

function createInbox(path: string, sources: Source[]): Inbox {
  return {
    path,
    total: sources.length,
    async *entries() {
      for (const source of sources) yield await source();
    },
  };
}

async function openFolder(path: string): Promise<Source[]> {
  const all = await readdir(path, { withFileTypes: true }).catch((error: unknown) => refuse(path, reason(error)));
  const files = all.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
  const emails = files.filter((name) => /^[^.].*\.eml$/i.test(name)).sort();
  const found = all.length === 0 ? "the folder is empty" : `no .eml among ${files.length} files`;
  if (emails.length === 0) refuse(path, `${found}; expected .eml files`, "name a JSON file or a folder of .eml files");
  return emails.map((name) => () => readEml(join(path, name), { id: name, place: join(path, name) }));
}

async function readEml(path: string, at: Place): Promise<InboxEntry> {
  try {
    const file = await stat(path);
    if (!file.isFile()) return unreadable(at, "not a file; expected an email");
    if (file.size > EML_LIMIT) return unreadable(at, `${megabytes(file.size)}; an email may have 50 MB`);
    return { status: "read", ...(await parseEml(await readFile(path))) };
  } catch (error) {
    return unreadable(at, error instanceof MnemailError ? error.message : reason(error), error);
  }
}

function openJson(path: string, text: string, lines: boolean): Source[] {
  if (text.trim() === "") refuse(path, `the file is empty; expected ${lines ? ONE_PER_LINE : "emails as JSON"}`, FORMS);
  const name = basename(path);
  const whole = parseJson(text);
  const first = /\S.*/.exec(text)?.[0] ?? "";
  if ("problem" in whole) {
    if (lines || isObject(parseJson(first).value)) return openLines(path, text);
    const place = whole.located ? `${path}:${whole.line}:${whole.column}` : path;
    refuse(place, `not valid JSON (${whole.problem})`, FORMS);
  }
  const emails = isObject(whole.value) && "emails" in whole.value ? whole.value["emails"] : whole.value;
  if (lines && isObject(emails) && text.trim() === first.trim()) return openLines(path, text);
  if (Array.isArray(emails)) {
    return emails.map((value: unknown, index) => () => {
      return readJson(value, { id: `${name}[${index}]`, place: `${path}[${index}]` });
    });
  }
  if (emails !== whole.value) refuse(path, `"emails" should be an array, saw ${show(emails)}`, FORMS);
  if (!isObject(emails)) refuse(path, `expected emails, saw ${show(emails)}`, FORMS);
  return [() => readJson(emails, { id: name, place: path })];
}

function openLines(path: string, text: string): Source[] {
  return text.split("\n").flatMap((line, index) => {
    const at = { id: `${basename(path)}:${index + 1}`, place: `${path}:${index + 1}` };
    if (line.trim() === "") return [];
    return () => {
      const parsed = parseJson(line);
      if ("value" in parsed) return readJson(parsed.value, at);
      const column = parsed.located ? ` at column ${parsed.column}` : "";
      return unreadable(at, `not valid JSON${column} (${parsed.problem}); expected ${ONE_PER_LINE}`);
    };
  });
}

function readJson(value: unknown, at: Place): InboxEntry {
  const parsed = emailSchema.safeParse(value, { reportInput: true });
  if (parsed.success) return { status: "read", email: parsed.data, notes: emailNotes(parsed.data) };
  const inner = isObject(value) && isObject(value["email_input"]) ? { ...value, ...value["email_input"] } : value;
  const own = isObject(inner) && typeof inner["id"] === "string" ? inner["id"].trim() : "";
  const id = emailSchema.safeParse({ from: "a@b", body: "", id: own }).data?.id === own ? own : at.id;
  const [issues, more] = [parsed.error.issues.slice(0, 3).map(renderIssue), parsed.error.issues.length - 3];
  return unreadable({ ...at, id }, [...issues, ...(more > 0 ? [`and ${more} more`] : [])].join("; "));
}

function renderIssue(issue: z.core.$ZodIssue): string {
  const name = issue.path.length > 0 ? `${issue.path.join(".")}: ` : "";
  const types = expectedTypes(issue);
  const expected = types.length > 0 ? `expected ${types.join(" or ")}` : issue.message;
  return `${name}${expected}, saw ${show(issue.input)}`;
}

function expectedTypes(issue: z.core.$ZodIssue): string[] {
  if (issue.code === "invalid_type") return [issue.expected];
  if (issue.code !== "invalid_union") return [];
  return [...new Set(issue.errors.flat().flatMap(expectedTypes))].filter((type) => type !== "null");
}

type Json = { value: unknown } | { value?: never; problem: string; line: number; column: number; located: boolean };

// V8 says where it stopped by a position, by ten characters on either side of it, or, in a short text, not at all. Its
// excerpt of the text is a stranger's and left out.
function parseJson(text: string): Json {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const [, position, excerpt] = /at position (\d+)|\.\.\."(.*)"(?:\.\.\.)? is not valid JSON$/s.exec(message) ?? [];
    const around = excerpt && text.indexOf(excerpt) === text.lastIndexOf(excerpt) ? text.indexOf(excerpt) : -1;
    const end = position ? Number(position) : around >= 0 ? around + 10 : text.length;
    const before = text.slice(0, end).split("\n");
    const located = position !== undefined || around >= 0 || message.startsWith("Unexpected end");
    const problem = message.replace(/, (?:\.\.\.)?".*| (?:in|after) JSON at position .*/s, "");
    return { problem, line: before.length, column: (before.at(-1) ?? "").length + 1, located };
  }
}

function decodeUtf8(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refuse(path, "not UTF-8 text; expected emails as JSON", "save the file as UTF-8");
  }
}

function unreadable({ id, place }: Place, message: string, cause?: unknown): InboxEntry {
  return { status: "unreadable", id, error: new MnemailError("input", `${place}: ${message}`, undefined, { cause }) };
}

function refuse(place: string, message: string, hint?: string): never {
  throw new MnemailError("input", `${place}: ${message}`, hint);
}

function reason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT" || code === "ENOTDIR") return "no such file or folder";
  if (code === "EACCES" || code === "EPERM") return "no permission to read it";
  return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object") return value === null ? "null" : "an object";
  const text = cleanText(JSON.stringify(value));
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`;
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / MEGABYTE).toLocaleString("en-US")} MB`;
}
