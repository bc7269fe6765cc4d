import { readFile } from "node:fs/promises";
import { styleText } from "node:util";
import { z } from "zod";
import type { OpenAssistant } from "../assistant.ts";
import { loadConfig } from "../config.ts";
import { cleanText, type Email, senderAddress, splitLines } from "../email.ts";
import { MnemailError, renderError } from "../errors.ts";
import type { EmailResult } from "../handle.ts";
import type { ExtractionTotals } from "../learning/extraction-queue.ts";
import { type InboxEntry, openInbox } from "../mail/inbox.ts";
import { profileSchema } from "../memory/profile.ts";
import type { ProposedEvent, UsedMemory } from "../memory/records.ts";
import { addUsage, NO_USAGE, type Usage } from "../meter.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { note, printJson, shorten } from "./output.ts";
import { renderWaiting } from "./pending.ts";
import { plural } from "./progress.ts";
import { openSession } from "./session.ts";

const optionsSchema = z.object({
  user: z.string(),
  inbox: z.string(),
  calendar: z.string().optional(),
  profile: z.string().optional(),
  now: z.iso.datetime({ offset: true, local: true }).optional().catch("invalid"),
  drafts: z.boolean().default(false),
  json: z.boolean().default(false),
});

/** `mnemail run`: handles each email of an inbox. Returns the exit code: 1 when any email failed. */
export async function run(rawOptions: unknown): Promise<number> {
  const options = optionsSchema.parse(rawOptions);
  encodeUserId(options.user);
  const now = options.now === undefined ? undefined : new Date(options.now);
  if (now && Number.isNaN(now.getTime())) {
    throw new MnemailError("usage", "--now: expected a date and time such as 2026-03-06T17:00:00+01:00");
  }
  const inbox = await openInbox(options.inbox);
  const profile = options.profile === undefined ? undefined : await loadProfile(options.profile);
  const config = loadConfig();
  const calendarPath = options.calendar ?? config.calendarPath;

  await using assistant = await openSession({ ...config, calendarPath }, now ? { now: () => now } : {});
  if (calendarPath === undefined) note("calendar: none, so no times are proposed (set --calendar or CALENDAR_PATH)");
  note(`${inbox.total} ${inbox.total === 1 ? "email" : "emails"} in ${inbox.path}`);
  if (profile) await assistant.memory.saveProfile(options.user, profile);
  const tally = new Map<string, number>();
  let total: Usage = { ...NO_USAGE };
  let waiting = 0;
  // What an earlier run was killed over, or a model failed at.
  assistant.extractInBackground(options.user);
  for await (const entry of inbox.entries()) {
    const { email, result } = await handleEntry(assistant, options.user, entry);
    const outcome = result.label ?? result.status;
    tally.set(outcome, (tally.get(outcome) ?? 0) + 1);
    total = addUsage(total, result.usage);
    waiting += result.reviews.length;
    if (options.json) printJson(published(result));
    else console.log(renderResult(result, email, options.drafts));
  }
  if (!options.json) console.log(renderTotals(tally, total));
  const extracted = await assistant.extracted();
  const pending = await assistant.memory.pending.list(options.user);
  const after = [...renderExtracted(extracted), ...renderReviews(options.user, waiting)];
  for (const line of [...after, ...renderWaiting(options.user, pending)]) {
    if (options.json) note(line);
    else console.log(line);
  }
  return tally.has("failed") ? 1 : 0;
}

async function handleEntry(
  assistant: OpenAssistant,
  userId: string,
  entry: InboxEntry,
): Promise<{ email: Email | undefined; result: EmailResult }> {
  if (entry.status === "unreadable") {
    const error = renderError(entry.error);
    const empty = {
      label: null,
      reason: null,
      draft: null,
      events: [],
      memories: [],
      reviews: [],
      usage: { ...NO_USAGE },
    };
    return { email: undefined, result: { id: entry.id, status: "failed", ...empty, error } };
  }
  for (const each of entry.notes) note(`${entry.email.id}: ${each}`);
  return { email: entry.email, result: await assistant.handle(userId, entry.email) };
}

async function loadProfile(path: string) {
  const expected = "expected JSON with name, addresses, time_zone and working_hours";
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw new MnemailError("input", `${path}: cannot be read as a profile`, expected, { cause: error });
  }
  const profile = profileSchema.safeParse(json);
  if (profile.success) return profile.data;
  const [issue] = profile.error.issues;
  throw new MnemailError("input", `${path}: ${issue?.path.join(".") || "profile"}: ${issue?.message}`, expected);
}

/** The published shape of a result: no events, which are among the reviews; of those, what names and tells them apart. */
function published({ events: _, reviews, ...result }: EmailResult) {
  return { ...result, reviews: reviews.map(({ id, action }) => ({ id, action: action.name })) };
}

/** Where what waits can be answered. */
function renderReviews(userId: string, waiting: number): string[] {
  if (waiting === 0) return [];
  return [
    `${plural(waiting, "review")} ${waiting === 1 ? "waits" : "wait"} for you: \`mnemail review --user ${userId}\``,
  ];
}

const COLORS = { ignore: "gray", notify: "yellow", respond: "green", failed: "red" } as const;

/** One line: label, sender, subject, reason, what was proposed, remembered and drafted, and the id for feedback. */
function renderResult(result: EmailResult, email: Email | undefined, wholeDrafts: boolean): string {
  const outcome = result.label ?? "failed";
  const label = styleText(COLORS[outcome], outcome.padEnd(7), { stream: process.stdout, validateStream: true });
  if (!email || result.status === "failed") {
    return `${label}  ${shorten(result.id, 100)}: ${shorten(result.error ?? "", 400)}`;
  }
  const line = [
    label,
    shorten(senderAddress(email), 30).padEnd(30),
    shorten(email.subject || "(no subject)", 40).padEnd(40),
    [
      shorten(result.reason ?? "", 160),
      ...result.events.map((event) => `proposed: ${renderEvent(event)}`),
      ...renderMemories(result.memories),
      ...(result.draft && !wholeDrafts ? [`draft: ${shorten(result.draft.body, 80)}`] : []),
      `id: ${shorten(result.id, 1_100)}`,
    ].join(" | "),
  ].join("  ");
  if (!result.draft || !wholeDrafts) return line;
  return `${line}\n${indent(`To: ${result.draft.to}\nSubject: ${result.draft.subject}\n\n${result.draft.body}`)}`;
}

function renderEvent({ title, start, duration_minutes }: ProposedEvent): string {
  return `${shorten(title, 40)} ${start.replace("T", " ")} (${duration_minutes} min)`;
}

function renderMemories(memories: readonly UsedMemory[]): string[] {
  const names = { procedural: "rule", semantic: "example", episodic: "memory" } as const;
  const counts = new Map<string, number>();
  for (const { kind } of memories) counts.set(names[kind], (counts.get(names[kind]) ?? 0) + 1);
  const parts = [...counts].map(([name, n]) => `${n} ${n === 1 ? name : name === "memory" ? "memories" : `${name}s`}`);
  return parts.length > 0 ? [`used: ${parts.join(", ")}`] : [];
}

function renderTotals(tally: ReadonlyMap<string, number>, total: Usage): string {
  const outcomes = ["ignore", "notify", "respond", "failed"].map((name) => `${tally.get(name) ?? 0} ${name}`);
  const emails = [...tally.values()].reduce((sum, n) => sum + n, 0);
  return [
    `\n${emails} ${emails === 1 ? "email" : "emails"}: ${outcomes.join(", ")}`,
    `${plural(total.model_calls, "model call")}, ${total.input_tokens} input and ${total.output_tokens} output tokens, ${plural(total.embedding_calls, "embedding call")}, ${plural(total.store_round_trips, "store round trip")}, ${(total.ms / 1000).toFixed(1)} s`,
  ].join("\n");
}

/** What was done after the emails, apart from what they cost. */
function renderExtracted({ emails, found, failed, usage }: ExtractionTotals): string[] {
  if (emails === 0) return [];
  const { model_calls, input_tokens, output_tokens } = usage;
  const cost = `${plural(model_calls, "model call")}, ${input_tokens} input and ${output_tokens} output tokens`;
  const trouble = failed > 0 ? `; ${failed} failed` : "";
  return [`afterwards: ${plural(found, "memory", "memories")} found in ${plural(emails, "email")} (${cost})${trouble}`];
}

function indent(text: string): string {
  return splitLines(cleanText(text))
    .map((line) => `        | ${line}`.trimEnd())
    .join("\n");
}
