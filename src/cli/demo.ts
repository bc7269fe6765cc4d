import { spawn } from "node:child_process";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import { z } from "zod";
import { loadConfig } from "../config.ts";
import { MnemailError } from "../errors.ts";
import { draftSchema } from "../memory/records.ts";
import { isVolatile, renderStore } from "../store-config/describe-store.ts";

const SAMPLES = relative(process.cwd(), fileURLToPath(new URL("../../samples", import.meta.url)));
const NORA = "nora.lindqvist@fjordlys.example";
const OTHER = "someone.else@fjordlys.example";
const FEEDBACK = "Always sign my emails with Nora L.";
const SIGN_OFF = "Nora L.";
const QUESTION = join(SAMPLES, "week", "31-export-time-zone.eml");
/** The sample week lies in the past; meetings are proposed as they would have been at its end. */
const NOW = "2026-03-06T17:00:00+01:00";

const resultSchema = z.object({ draft: draftSchema.nullable() });
const shownSchema = z.object({
  procedural: z.array(z.object({ rules: z.array(z.object({ text: z.string() })) })),
  episodic: z.array(z.unknown()),
});

/**
 * `mnemail demo`: the main job in one go. Every step is a process of its own, so that what is remembered was
 * read back from the store. Returns the exit code: 1 when the change did not show.
 */
export async function demo(): Promise<number> {
  const { store } = loadConfig();
  if (isVolatile(store)) {
    throw new MnemailError(
      "config",
      "the demo shows memory that outlives a process, and STORE_URL=memory: does not",
      "unset it, or set STORE_URL=sqlite:PATH",
    );
  }

  const before = shownSchema.parse(JSON.parse(await capture(["memory", "show", "--user", NORA, "--json"])));
  const rules = before.procedural.flatMap((prompt) => prompt.rules.map((rule) => `"${rule.text}"`));
  if (before.episodic.length > 0) {
    heading("Remembered from an earlier run");
    console.log(`${before.episodic.length} memories of people and conversations; rules: ${rules.join(", ") || "none"}`);
  }

  heading("1. A week of email is triaged and answered");
  const about = ["--profile", join(SAMPLES, "profile.json"), "--calendar", join(SAMPLES, "calendar.ics"), "--now", NOW];
  await show(["run", "--user", NORA, "--inbox", join(SAMPLES, "week"), ...about]);

  heading("2. One of its drafts, before any feedback of today");
  const first = await draftFor(NORA);

  heading("3. The user says what should be different");
  await show(["feedback", "--user", NORA, FEEDBACK]);

  heading("4. The same email again, in a new process");
  const second = await draftFor(NORA);

  heading("5. The same email for another user");
  const foreign = await draftFor(OTHER);

  heading("What changed");
  const knewIt = first.includes(SIGN_OFF);
  const learnt = second.includes(SIGN_OFF) && !foreign.includes(SIGN_OFF);
  console.log(
    knewIt
      ? `Nora's draft was signed "${SIGN_OFF}" from the start: it was remembered from an earlier run.`
      : `Nora's draft is ${second.includes(SIGN_OFF) ? "now" : "still not"} signed "${SIGN_OFF}".`,
  );
  console.log(
    `The other user's draft is ${foreign.includes(SIGN_OFF) ? "signed so too, which is wrong" : "unchanged"}.`,
  );
  console.log(`Memory is kept in ${renderStore(store)}; run the demo again and it still knows.`);
  console.log(`
Try next:
  npm run -s mnemail -- memory show --user ${NORA}
  npm run -s mnemail -- memory pending list --user ${NORA}
  npm run -s mnemail -- feedback --user ${NORA} "Ignore emails from noreply@pakkeruta.example"
  npm run -s mnemail -- run --user YOU --inbox FOLDER_OF_EML_FILES --drafts
  OPENAI_API_KEY=… npm run demo     # with a real model`);
  return learnt ? 0 : 1;
}

/** The draft of one sample question for a user, printed whole. */
async function draftFor(user: string): Promise<string> {
  const command = ["run", "--user", user, "--inbox", QUESTION];
  const { draft } = resultSchema.parse(JSON.parse(await capture([...command, "--json"])));
  console.log(dim(`$ mnemail ${command.join(" ")} --json`));
  console.log(draft ? `To: ${draft.to}\nSubject: ${draft.subject}\n\n${draft.body}` : "(no draft)");
  return draft?.body ?? "";
}

function heading(text: string): void {
  console.log(`\n${styleText("bold", text, { stream: process.stdout, validateStream: true })}`);
}

function dim(text: string): string {
  return styleText("dim", text, { stream: process.stdout, validateStream: true });
}

/** Runs the command line in a new process whose output is the user's. */
async function show(args: string[]): Promise<void> {
  console.log(dim(`$ mnemail ${args.map((arg) => (arg.includes(" ") ? `"${arg}"` : arg)).join(" ")}`));
  await execute(args, "inherit");
}

/** Runs the command line in a new process and gives its stdout. */
async function capture(args: string[]): Promise<string> {
  return execute(args, "pipe");
}

async function execute(args: string[], output: "inherit" | "pipe"): Promise<string> {
  // The same interpreter and loader as this process, so that it works from the sources and from `dist`.
  const script = process.argv[1] ?? "";
  const stdio: ["ignore", "inherit" | "pipe", "inherit" | "pipe"] = ["ignore", output, output];
  const child = spawn(process.execPath, [...process.execArgv, script, ...args], { stdio });
  let out = "";
  let err = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (err += text));
  const code = await new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
  if (code === 0) return out;
  const last = err.trim().split("\n").at(-1) ?? "";
  throw new MnemailError(
    "input",
    `the demo's step "mnemail ${args[0]}" ended with exit code ${code}`,
    last || undefined,
  );
}
