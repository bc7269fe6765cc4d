import { isDeepStrictEqual } from "node:util";
import { confirm, isCancel, select } from "@clack/prompts";
import { z } from "zod";
import type { Decision } from "../agent/review.ts";
import { MnemailError, renderError } from "../errors.ts";
import type { PendingReview } from "../reviews/pending-reviews.ts";
import { note } from "./output.ts";
import { answer, answerOptionsSchema, renderLearning } from "./review-decide.ts";
import { type EditedFile, openEditedFile, readText } from "./review-editor.ts";
import {
  type Edit,
  editable,
  parseAttendees,
  parseDuration,
  parseForm,
  parseStart,
  renderForm,
} from "./review-form.ts";
import { withoutKeys } from "./review-keys.ts";
import { renderPayload } from "./review-render.ts";
import { findReview, finishCutOff, openReviewSession, type ReviewSession, renderWhose } from "./review-session.ts";

const editSchema = answerOptionsSchema.extend({
  id: z.string(),
  file: z.string().optional(),
  body: z.string().optional(),
  subject: z.string().optional(),
  title: z.string().optional(),
  start: z.string().optional(),
  duration: z.string().optional(),
  attendee: z.array(z.string()).optional(),
});

type EditOptions = z.infer<typeof editSchema>;

/** `mnemail review edit`: approves what waits as the user changed it. Returns the exit code: 1 when nothing was done. */
export async function editReview(rawOptions: unknown): Promise<number> {
  const options = editSchema.parse(rawOptions);
  await using session = await openReviewSession(options);
  if (!options.dryRun) await finishCutOff(session);
  const review = await findReview(session, options.id);
  const act = (decision: Decision) => answer(session, review.id, decision, options);
  const given = await readOptions(options, review.action);
  if (given === undefined) {
    const isTerminal = !options.json && process.stdin.isTTY && process.stdout.isTTY;
    return (await withEdit(session, review, { ...options, isTerminal }, act)) ?? 1;
  }
  if (!isDeepStrictEqual({ ...unchanged(review.action), ...given }, unchanged(review.action))) {
    return await act({ type: "edit", args: given });
  }
  note(sayUnchanged(session, review));
  return 1;
}

/** The edit that options and files give; undefined where the editor is to. */
async function readOptions(options: EditOptions, action: PendingReview["action"]): Promise<Edit | undefined> {
  const { file, body, subject, title, start, duration, attendee } = options;
  const { name } = editable(action);
  const [own, foreign] = [Object.entries({ body, subject }), Object.entries({ title, start, duration, attendee })];
  const wrong = (name === "write_email" ? foreign : own).find(([, value]) => value !== undefined)?.[0];
  if (wrong !== undefined) {
    const what = name === "write_email" ? "an email, which has --subject and --body" : "a meeting";
    throw new MnemailError("usage", `--${wrong}: this is ${what}`);
  }
  if (file !== undefined) return parseForm(await readText(file), action, file === "-" ? "stdin" : file);
  const given: Edit = {
    ...(body === undefined ? {} : { body: body.trimEnd() }),
    ...(subject === undefined ? {} : { subject }),
    ...(title === undefined ? {} : { title }),
    ...(start === undefined ? {} : { start: parseStart(start, "--start") }),
    ...(duration === undefined ? {} : { duration_minutes: parseDuration(duration, "--duration") }),
    ...(attendee === undefined ? {} : { attendees: parseAttendees(attendee, "--attendee") }),
  };
  return Object.keys(given).length === 0 ? undefined : given;
}

/** What editing begins with, read back: what is equal to it is no change. */
function unchanged(action: PendingReview["action"]): Edit {
  return parseForm(renderForm(action), action, "what waits");
}

function sayUnchanged(session: ReviewSession, { id }: PendingReview): string {
  return `nothing was changed; to approve it as it is: mnemail review approve ${renderWhose(session)} ${id.slice(0, 8)}`;
}

/**
 * Has the user edit what waits in their editor and acts on what it says then; on a terminal it shows that and what it would
 * teach, and asks. Returns undefined when nothing was answered. What was typed and not acted on stays in its file, and
 * its path is told.
 *
 * @throws MnemailError for an action that cannot be edited, an editor that fails, a text that does not parse, and what
 * `act` throws.
 */
export async function withEdit<T>(
  session: ReviewSession,
  review: PendingReview,
  { learn, dryRun, isTerminal }: { learn: boolean; dryRun: boolean; isTerminal: boolean },
  act: (decision: Decision) => Promise<T>,
): Promise<T | undefined> {
  const form = renderForm(review.action);
  const file = await openEditedFile(form, `${review.id.slice(0, 8)}.txt`, session.config.editor);
  let isActedOn = false;
  try {
    const decision = await compose(session, review, file, { learn, isTerminal });
    const acted = decision && (await act(decision));
    isActedOn = decision !== undefined && !dryRun;
    return acted;
  } finally {
    const text = isActedOn ? form : await readText(file.path).catch(() => undefined);
    if (text === form) await file.remove();
    else note(`what you typed is kept; to go on: ${renderCommand(session, review, file)}`);
  }
}

function renderCommand(session: ReviewSession, { id }: PendingReview, { path }: EditedFile): string {
  return `mnemail review edit ${renderWhose(session)} ${id.slice(0, 8)} --file ${path}`;
}

/** The decision that an edit comes to; undefined where the user leaves it. */
async function compose(
  session: ReviewSession,
  review: PendingReview,
  file: EditedFile,
  { learn, isTerminal }: { learn: boolean; isTerminal: boolean },
): Promise<Decision | undefined> {
  for (;;) {
    const text = await file.edit();
    let args: Edit;
    try {
      args = parseForm(text, review.action, file.path);
    } catch (error) {
      if (!isTerminal) throw error;
      note(renderError(error));
      if (!(await yes("Open it again?"))) return undefined;
      continue;
    }
    if (isDeepStrictEqual(args, unchanged(review.action))) {
      if (isTerminal && (await yes("Nothing was changed. Approve it as it is?"))) return { type: "approve" };
      if (!isTerminal) note(sayUnchanged(session, review));
      return undefined;
    }
    const decision: Decision = { type: "edit", args };
    if (!isTerminal) return decision;
    console.log(
      renderPayload({ ...review, action: { ...review.action, args: { ...review.action.args, ...args } } }).join("\n"),
    );
    const chosen = await chooseLearning(session, review, decision, { learn, canRepeat: true });
    if (chosen !== "again") return chosen;
  }
}

/**
 * Shows what a decision would teach and asks whether to learn it; it goes ahead unasked where there is nothing to learn and
 * nothing to go back to. Returns undefined where the user leaves it, and "again" where they want to change it first.
 */
export async function chooseLearning(
  { reviews, user }: ReviewSession,
  review: PendingReview,
  decision: Decision,
  { learn, canRepeat }: { learn: boolean; canRepeat: boolean },
): Promise<Decision | "again" | undefined> {
  const preview = learn ? await withoutKeys(() => reviews.preview(user, review.id, decision)) : undefined;
  if (preview) console.log(["", ...renderLearning(user, preview), ""].join("\n"));
  const teaches = (preview?.receipt?.changes.length ?? 0) > 0;
  if (!teaches && !canRepeat) return decision;
  const verb = decision.type === "edit" ? "approve this" : decision.type;
  const chosen = await select<"go" | "go without" | "again" | "leave">({
    message: "And now?",
    options: [
      { value: "go", label: teaches ? `${verb}, and learn that` : verb },
      ...(teaches ? [{ value: "go without" as const, label: `${verb}, and learn nothing` }] : []),
      ...(canRepeat ? [{ value: "again" as const, label: "change it again" }] : []),
      { value: "leave", label: "leave it as it was" },
    ],
  });
  if (isCancel(chosen) || chosen === "leave") return undefined;
  if (chosen === "again") return "again";
  return chosen === "go" ? decision : { ...decision, learn: false };
}

async function yes(question: string): Promise<boolean> {
  return (await confirm({ message: question })) === true;
}
