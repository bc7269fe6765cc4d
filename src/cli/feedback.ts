import { readFile } from "node:fs/promises";
import { text as readAll } from "node:stream/consumers";
import { z } from "zod";
import type { OpenAssistant } from "../assistant.ts";
import { loadConfig } from "../config.ts";
import { MnemailError, renderError } from "../errors.ts";
import type { Feedback } from "../learning/feedback.ts";
import { labelSchema } from "../memory/records.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { note, printJson, shorten } from "./output.ts";
import { showProgress } from "./progress.ts";
import { renderReceipt } from "./receipt.ts";
import { openMemory, openSession } from "./session.ts";

const optionsSchema = z.object({
  user: z.string(),
  text: z.string().optional(),
  email: z.string().optional(),
  label: labelSchema.optional(),
  draft: z.string().optional(),
  reject: z.string().optional(),
  fine: z.boolean().default(false),
  key: z.string().optional(),
  dryRun: z.boolean().default(false),
  retry: z.boolean().default(false),
  discard: z.string().optional(),
  json: z.boolean().default(false),
});

type Options = z.infer<typeof optionsSchema>;

/** `mnemail feedback`: changes memory by what the user says, and prints the receipt. Returns the exit code. */
export async function feedback(rawOptions: unknown): Promise<number> {
  const options = optionsSchema.parse(rawOptions);
  const { user, json, dryRun, retry } = options;
  encodeUserId(user);
  if ((retry || options.discard !== undefined) && options.text !== undefined) {
    throw usage(`--${retry ? "retry" : "discard"} takes no text; it is about what waits`);
  }
  if (retry) {
    await using assistant = await openSession(loadConfig(), { checkpointer: false });
    return await retryAll(assistant, options);
  }
  if (options.discard !== undefined) return await discard(user, options.discard, options);
  checkOptions(options);
  const after = options.draft === undefined ? undefined : await readDraft(options.draft);
  await using assistant = await openSession(loadConfig(), { checkpointer: false });
  const said = await toFeedback(assistant, options, after);
  const { receipt, repeated } = await assistant.learn(user, said, { dryRun, onProgress: showTest() });
  if (json) printJson({ user, dry_run: dryRun, repeated, ...receipt });
  else {
    if (dryRun) console.log("dry run: nothing was written");
    if (repeated) console.log("learnt before under this key; nothing was done now");
    console.log(renderReceipt(user, receipt, { dryRun }));
  }
  return 0;
}

function checkOptions({ text, email, label, draft, reject, fine }: Options): void {
  const about = Object.entries({ label, draft, reject, fine: fine || undefined }).find(
    ([, value]) => value !== undefined,
  );
  if (about && email === undefined) throw usage(`--${about[0]} needs --email ID, the email it is about`);
  if (fine && text !== undefined)
    throw usage("--fine says that all was right; leave the text out, or leave out --fine");
  if (reject !== undefined && text !== undefined) throw usage("--reject takes the reason; leave the other text out");
  if (!about && !text?.trim()) {
    throw usage("expected a text, or --email ID with --label, --draft, --reject or --fine");
  }
}

/** The feedback that options mean. What was right of an email depends on what was done with it. */
async function toFeedback(assistant: OpenAssistant, options: Options, after: string | undefined): Promise<Feedback> {
  const { user, text, email, label, reject, fine, key } = options;
  const said = { id: key, channel: "cli", text };
  if (email === undefined) return { ...said, kind: "text", text: text ?? "" };
  if (label !== undefined) return { ...said, kind: "relabel", email_id: email, label };
  if (after !== undefined) return { ...said, kind: "edited_draft", email_id: email, after };
  if (reject !== undefined) return { ...said, kind: "rejected_draft", email_id: email, text: reject };
  if (fine) {
    const decision = await assistant.memory.findDecision(user, email);
    const kind = decision?.draft ? "accepted_draft" : "seen";
    return { id: key, channel: "cli", kind, email_id: email };
  }
  return { ...said, kind: "text", text: text ?? "", email_id: email };
}

async function readDraft(path: string): Promise<string> {
  try {
    return path === "-" ? await readAll(process.stdin) : await readFile(path, "utf8");
  } catch (error) {
    throw new MnemailError("input", `${path}: cannot be read`, "name a text file with the whole draft", {
      cause: error,
    });
  }
}

async function discard(user: string, key: string, { json }: Options): Promise<number> {
  await using opened = await openMemory();
  await opened.memory.ledger.discard(user, key, { actor: "user", channel: "cli", at: new Date().toISOString() });
  if (json) printJson({ user, discarded: key });
  else console.log(`discarded ${shorten(key)}`);
  return 0;
}

async function retryAll(assistant: OpenAssistant, { user, json }: Options): Promise<number> {
  let [learnt, waiting] = [0, 0];
  for await (const { feedback: said, receipt, error } of assistant.retry(user, { onProgress: showTest() })) {
    if (receipt) learnt += 1;
    else waiting += 1;
    const problem = receipt ? undefined : renderError(error);
    if (json) printJson({ user, ...(receipt ?? { feedback: said.id, kind: said.kind, at: said.at, error: problem }) });
    else if (receipt) console.log(renderReceipt(user, receipt));
    else note(`${said.kind} of ${said.at}, key ${said.id}: ${problem}`);
  }
  if (!json) console.log(`learnt from ${learnt} of ${learnt + waiting} that waited`);
  return waiting > 0 ? 1 : 0;
}

function showTest(): (done: number, total: number) => void {
  const show = showProgress("tried on the emails you labelled");
  return (done, total) => show(done, total - done);
}

function usage(what: string): MnemailError {
  return new MnemailError("usage", `feedback: ${what}`);
}
