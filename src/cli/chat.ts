import { createInterface } from "node:readline/promises";
import type { Readable, Writable } from "node:stream";
import { z } from "zod";
import { parseMessage } from "../agent/chat-message.ts";
import type { ChatChange } from "../agent/chat-state.ts";
import type { ChatAnswer, OpenChat } from "../chat.ts";
import { loadConfig } from "../config.ts";
import { cleanText, splitLines } from "../email.ts";
import { MnemailError, renderError } from "../errors.ts";
import type { Trust } from "../memory/trust.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { describeStore } from "../store-config/describe-store.ts";
import { flushTraces, startTracing } from "../tracing.ts";
import { note, printJson, shorten } from "./output.ts";

const STDIN_LIMIT = 100_000;
const INDENT = "  ";

const optionsSchema = z.object({
  user: z.string(),
  message: z.array(z.string()).default([]),
  thread: z.string().optional(),
  json: z.boolean().default(false),
});

/** `mnemail chat`: one message, or a conversation on a terminal. Returns the exit code. */
export async function chat(rawOptions: unknown): Promise<number> {
  const { user, message, thread, json } = optionsSchema.parse(rawOptions);
  encodeUserId(user);
  const isTerminal = message.length === 0 && process.stdin.isTTY;
  const text = isTerminal ? undefined : parseMessage(message.length > 0 ? message.join(" ") : await readStdin());
  const config = loadConfig();
  await startTracing(config, note);
  // Imported after the settings and the message proved right, since it loads LangChain.
  const { openChat } = await import("../chat.ts");
  await using _traced = { [Symbol.asyncDispose]: () => flushTraces(config, note) };
  await using opened = await openChat(config, { warn: note });
  note(describeStore(config.store));
  note(`model: ${opened.modelDescription}`);
  if (thread !== undefined) await opened.checkThread(user, thread);
  const options = { user, thread, json, output: process.stdout };
  if (text !== undefined) await converse(opened, [text], options);
  else await talk(opened, { input: process.stdin, output: process.stderr }, options);
  return 0;
}

/** How a conversation is held: whose it is, in which thread it goes on, and where answers go. */
export interface ConversationOptions {
  user: string;
  thread: string | undefined;
  json: boolean;
  output: Writable;
}

/** Reads messages, one a line, until /quit or the end of the input; what fails is said, and the next line is read. */
export async function talk(
  opened: Pick<OpenChat, "say">,
  terminal: { input: Readable; output: Writable },
  options: ConversationOptions,
): Promise<void> {
  const asked = createInterface({ ...terminal, prompt: "you> " });
  const lines = async function* () {
    asked.prompt();
    for await (const line of asked) {
      if (/^\s*\/(?:quit|exit)\s*$/i.test(line)) return;
      if (line.trim() !== "") yield line;
      asked.prompt();
    }
  };
  try {
    await converse(opened, lines(), { ...options, onError: (error) => note(renderError(error)) });
  } finally {
    asked.close();
  }
}

async function converse(
  opened: Pick<OpenChat, "say">,
  messages: AsyncIterable<string> | Iterable<string>,
  { user, thread, json, output, onError }: ConversationOptions & { onError?: (error: MnemailError) => void },
): Promise<void> {
  let threadId = thread;
  let trust: Trust = "user";
  for await (const message of messages) {
    try {
      const writer = createWriter(output);
      const answer = await opened.say(user, message, { threadId, ...(json ? {} : { onText: writer.write }) });
      if (json) printJson({ user, ...asJson(answer) });
      else {
        writer.end(answer.answer);
        for (const change of answer.changes) output.write(`${renderChange(user, change)}\n`);
        if (answer.trust !== trust)
          note("strangers' words are in this chat now: what is to be remembered waits for you");
        if (threadId === undefined) note(`go on with it later: --thread ${answer.threadId}`);
      }
      ({ threadId, trust } = answer);
    } catch (error) {
      if (!onError || !(error instanceof MnemailError)) throw error;
      onError(error);
    }
  }
}

/** Writes what a model says, indented, so that it cannot pass for a line of ours, and without what steers terminals. */
function createWriter(output: Writable) {
  let written = "";
  const write = (piece: string) => {
    const text = splitLines(cleanText(piece)).join(`\n${INDENT}`);
    output.write(written === "" ? `${INDENT}${text}` : text);
    written += text;
  };
  const end = (whole: string) => {
    if (written === "") write(whole);
    output.write("\n");
  };
  return { write, end };
}

function renderChange(user: string, { what, id, text }: ChatChange): string {
  const line = `${what}${id === null ? "" : ` [${shorten(id)}]`}: ${shorten(text, 400)}`;
  const of = `--user ${shorten(user)} ${shorten(id ?? "")}`;
  if (what === "waits for approval") return `${line}\n  mnemail memory pending approve ${of}`;
  return what === "proposed" ? `${line}\n  mnemail memory accept ${of}` : line;
}

function asJson({ threadId, ...answer }: ChatAnswer) {
  return { thread_id: threadId, ...answer };
}

async function readStdin(): Promise<string> {
  let text = "";
  for await (const chunk of process.stdin.setEncoding("utf8")) {
    text += String(chunk);
    // Too long in any case; the rest is not waited for.
    if (text.length > STDIN_LIMIT) break;
  }
  return text;
}
