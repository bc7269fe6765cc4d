import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { z } from "zod";
import { addressList, oneLine } from "../../email.ts";
import { checkAnswer, completion, completionEvents } from "../../stand-in/completion.ts";
import { embedText, toBase64 } from "../../stand-in/embedding.ts";
import { jsonReply, send, sendError } from "../../stand-in/reply.ts";
import {
  type Answer,
  chatBodySchema,
  embeddingBodySchema,
  parseBody,
  parseChat,
  WireError,
} from "../../stand-in/wire.ts";
import type { ShownRequest } from "../answer-cache.ts";
import { findOrders, type ParsedOrder } from "./orders.ts";

/** What the longest text of a tool or a memory may have, with some room. */
const EVERYTHING_LIMIT = 1_900;
const MOST_TURNS = 4;
const FACT_KEY = /\[(fact-[0-9a-f]+)\]/g;

/** A running model that does whatever any text it is shown says. */
export interface ObedientModel extends AsyncDisposable {
  /** The base URL for OpenAI clients. */
  url: string;
  /** All chat requests, oldest first. */
  requests: ShownRequest[];
}

/**
 * Starts a loopback server that speaks OpenAI's chat completions (JSON and server-sent events) and embeddings. Whatever
 * message of a request holds an order (`orders.ts`), whoever wrote it, the order is done, all of them where several fit
 * the request. Besides, the model does its job, so that each run ends: it labels as the rules say, else `respond`, drafts
 * an answer to the sender, learns what the user typed as a rule, or as a fact where it begins with "Remember", extracts
 * what an email asks to remember in the words "please remember that", and finds no contradiction.
 */
export async function startObedientModel(): Promise<ObedientModel> {
  const requests: ShownRequest[] = [];
  const server = createServer((request, response) => {
    response.on("error", () => {});
    handle(request, response, requests).catch((error: unknown) => sendError(response, error));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}/v1`,
    requests,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

type Messages = ShownRequest["messages"];

async function handle(request: IncomingMessage, response: ServerResponse, requests: ShownRequest[]): Promise<void> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) if (chunk instanceof Uint8Array) chunks.push(chunk);
  const body: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  if (request.url === "/v1/embeddings") return send(response, jsonReply(embeddings(body)));
  if (request.url !== "/v1/chat/completions") throw new WireError(404, `Invalid URL (${request.url})`);
  const chat = parseChat(body);
  const messages = chat.messages.map(({ role, text }) => ({ role: String(role), text }));
  const kind = chat.format?.name ?? "answer";
  requests.push({ kind, messages });
  const answer = kind === "answer" ? answerEmail(body, messages) : answerJson(kind, messages);
  checkAnswer(answer, chat);
  send(
    response,
    chat.stream
      ? { type: "text/event-stream", parts: completionEvents(chat, answer) }
      : jsonReply(completion(chat, answer)),
  );
}

function embeddings(body: unknown): object {
  const { model, input, encoding_format, dimensions } = parseBody(embeddingBodySchema, body);
  const data = input.map((text, index) => {
    const vector = embedText(text, dimensions);
    return {
      object: "embedding",
      index,
      embedding: encoding_format === "base64" ? toBase64(vector) : Array.from(vector),
    };
  });
  return { object: "list", model, data, usage: { prompt_tokens: 0, total_tokens: 0 } };
}

/** The orders in some messages, with what they stand for filled in. */
function ordersOf(messages: Messages, all: Messages): ParsedOrder[] {
  const found = messages.flatMap(({ text }) => findOrders(text));
  const distinct = [...new Map(found.map((order) => [JSON.stringify(order), order])).values()];
  const keys = factKeys(all);
  return distinct.flatMap((order): ParsedOrder[] => {
    const hasKey = JSON.stringify(order).includes("$SHOWN");
    return (hasKey ? keys : [""]).map((key) =>
      fill(order, { SHOWN: key, EVERYTHING: everything(all), SAID: said(all) }),
    );
  });
}

function fill<T>(value: T, texts: Record<string, string>): T {
  const filled = (inner: unknown): unknown => {
    if (typeof inner === "string") return inner.replace(/\$(SHOWN|EVERYTHING|SAID)/g, (_, name) => texts[name] ?? "");
    if (Array.isArray(inner)) return inner.map(filled);
    if (typeof inner !== "object" || inner === null) return inner;
    return Object.fromEntries(Object.entries(inner).map(([name, each]) => [name, filled(each)]));
  };
  // Only texts within it differ.
  return filled(value) as T;
}

function factKeys(messages: Messages): string[] {
  return [...new Set(messages.flatMap(({ text }) => [...text.matchAll(FACT_KEY)].map(([, key]) => key ?? "")))];
}

/** What the request is about, then the instructions; of each as much as has room. */
function everything(messages: Messages): string {
  const half = (isWanted: (role: string) => boolean) =>
    oneLine(messages.flatMap(({ role, text }) => (isWanted(role) ? [text] : [])).join(" ")).slice(
      0,
      EVERYTHING_LIMIT / 2,
    );
  return `${half((role) => role === "user" || role === "tool")} ${half((role) => role === "system")}`;
}

/** The user's own words in a request to learn, on one line; of an edited draft, the longest run of them. */
function said(messages: Messages): string {
  const text = messages.map((message) => message.text).join("\n");
  const blocks = [...text.matchAll(/^<(feedback|edit)>\n([\s\S]*?)\n<\/\1>$/gm)];
  const [, tag, lines = ""] = blocks[0] ?? [];
  const unquoted = lines.replace(/^> ?/gm, "");
  if (tag !== "edit") return oneLine(unquoted);
  return unquoted.split("\n").reduce((longest, line) => (line.length > longest.length ? line : longest), "");
}

function repeats(orders: readonly ParsedOrder[]): boolean {
  return orders.some((order) => "repeat" in order);
}

function answerJson(kind: string, messages: Messages): Answer {
  const orders = ordersOf(messages, messages);
  const json = (value: object): Answer => ({ content: JSON.stringify(value), calls: [] });
  if (kind === "triage") {
    const [label = ruledLabel(messages)] = orders.flatMap((order) => ("label" in order ? [order.label] : []));
    return json({ label, reason: repeats(orders) ? everything(messages) : "Somebody waits for an answer." });
  }
  if (kind === "learn") {
    const ordered = orders.flatMap((order) => ("learn" in order ? [order.learn] : []));
    const blank = { target: "agent_instructions", action: "add", rule: null, text: null, evidence: "" };
    return json({ operations: [...ordered.map((each) => ({ ...blank, ...each })), ...ownRule(messages)].slice(0, 3) });
  }
  if (kind === "extract") {
    const ordered = orders.flatMap((order) => ("extract" in order ? [order.extract] : []));
    const asked = asksToRemember(messages);
    const repeated = repeats(orders) ? [{ content: everything(messages), quote: bodyOf(messages) }] : [];
    const blank = { content: "", quote: "", supersedes: null };
    return json({ memories: [...ordered, ...repeated, ...asked].map((each) => ({ ...blank, ...each })) });
  }
  const all = orders.some((order) => "contradicted" in order);
  return json({ contradicted: all ? factKeys(messages) : [] });
}

/** The job of triage: what the instructions say of this email, else that somebody waits for an answer. */
function ruledLabel(messages: Messages): string {
  const system = messages.filter(({ role }) => role === "system").map(({ text }) => text);
  const rules = system.flatMap((text) => [...text.matchAll(/^- This email gets the label (\w+),/gm)]);
  return rules[0]?.[1] ?? "respond";
}

/** The job of a request to learn: what the user typed becomes a rule. Orders in it are done instead. */
function ownRule(messages: Messages): object[] {
  const text = said(messages).slice(0, 250);
  if (text === "" || findOrders(text).length > 0) return [];
  const target = text.startsWith("Remember") ? "memory" : "agent_instructions";
  return [{ target, action: "add", rule: null, text, evidence: text }];
}

function asksToRemember(messages: Messages): object[] {
  const [, sentence = "", content] = /(please remember that ([^.]+)\.)/i.exec(bodyOf(messages)) ?? [];
  return content === undefined ? [] : [{ content, quote: sentence }];
}

/** The email a request is about: the first block of that name, whatever else pretends to be one. */
function emailLines(messages: Messages): string[] {
  const text = messages
    .filter(({ role }) => role === "user")
    .map((message) => message.text)
    .join("\n");
  const lines = text.slice(text.indexOf("\n<email>\n") + "\n<email>\n".length).split("\n");
  return lines.slice(0, lines.indexOf("</email>")).map((line) => line.replace(/^> ?/, ""));
}

function bodyOf(messages: Messages): string {
  const lines = emailLines(messages);
  return oneLine(lines.slice(lines.indexOf("") + 1).join(" "));
}

function answerEmail(body: unknown, messages: Messages): Answer {
  const asked = parseBody(chatBodySchema, body).messages;
  const last = asked.findLastIndex(({ role }) => role === "assistant");
  const turns = asked.filter(({ role }) => role === "assistant").length;
  const done = new Set(ordersOf(messages.slice(0, last + 1), messages).map((order) => JSON.stringify(order)));
  const orders = ordersOf(messages.slice(last + 1), messages);
  const isNew = (order: ParsedOrder) => !done.has(JSON.stringify(order));
  const ordered = orders.filter(isNew).flatMap((order) => ("do" in order ? [order] : []));
  if (ordered.length > 0 && turns < MOST_TURNS) {
    return { content: "", calls: ordered.map(({ do: name, args }) => ({ name, args: completeArgs(name, args) })) };
  }
  const [sender = ""] = addressList(emailLines(messages)[0]?.replace(/^From: /, "") ?? "");
  const text = repeats([...orders, ...ordersOf(messages, messages)]) ? everything(messages) : "Thank you.";
  const write = { name: "write_email", args: { to: sender, subject: "", body: text } };
  const keep = { name: "manage_memory", args: { action: "create", id: null, content: text } };
  return { content: "", calls: text === "Thank you." ? [write] : [keep, write] };
}

const argsSchema = z.record(z.string(), z.unknown());

/** What a strict schema asks for and an order leaves out. */
function completeArgs(name: string, args: Record<string, unknown>): Record<string, unknown> {
  const blank: Record<string, Record<string, unknown>> = {
    write_email: { to: "", subject: "Hello", body: "Hello" },
    manage_memory: { action: "create", id: null, content: null },
    schedule_meeting: { title: "Meeting", attendees: [], start: "2026-03-10T10:00", duration_minutes: 30 },
  };
  return argsSchema.parse({ ...blank[name], ...args });
}
