import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { answer, NOT_UNDERSTOOD } from "./behaviour.ts";
import { checkAnswer, completion, completionEvents, countTokens } from "./completion.ts";
import { embedText, toBase64 } from "./embedding.ts";
import { jsonReply, type Reply, send, sendError, sendWithFault, unauthorized } from "./reply.ts";
import { type Fault, matchableChat, Script, type ScriptedAnswer } from "./scripted.ts";
import { strictSchemaProblem } from "./strict-schema.ts";
import { type ChatRequest, embeddingBodySchema, parseBody, parseChat, WireError } from "./wire.ts";

const BODY_LIMIT = 20 * 1024 * 1024;
const KEPT_REQUESTS = 1_000;

/** How the stand-in is started; everything has a default. */
export interface StandInOptions {
  /** The TCP port on 127.0.0.1; 0, the default, takes a free one. */
  port?: number;
  /** When set, requests with another bearer token get OpenAI's 401. */
  apiKey?: string;
  answers?: ScriptedAnswer[];
  faults?: Fault[];
  /** The server does not keep the process alive. */
  unref?: boolean;
}

/** One request as it arrived; `body` is undefined when it was no JSON. */
export interface RecordedRequest {
  path: string;
  body: unknown;
}

/** A running stand-in. */
export interface StandIn extends AsyncDisposable {
  /** The base URL for OpenAI clients, `http://127.0.0.1:PORT/v1`. */
  url: string;
  /** The last 1,000 requests, oldest first. */
  requests: RecordedRequest[];
  /** Stops the server and ends its connections at once; may be called twice. */
  close(): Promise<void>;
}

/**
 * Starts a loopback server that speaks OpenAI's protocol for chat completions (JSON and server-sent events, tools,
 * strict JSON schemas) and embeddings. Requests are answered by the script, else by `behaviour.ts`.
 *
 * @throws ZodError for a script of another shape; Error when the port cannot be used.
 */
export async function startStandIn(options: StandInOptions = {}): Promise<StandIn> {
  const { port = 0, apiKey, answers, faults, unref = false } = options;
  const script = new Script({ answers, faults });
  const requests: RecordedRequest[] = [];
  const record = (request: RecordedRequest) => {
    requests.push(request);
    if (requests.length > KEPT_REQUESTS) requests.shift();
  };
  const server = createServer((request, response) => {
    // A client that has gone is no failure of the server's.
    response.on("error", () => {});
    handle(request, response, { apiKey, script, record }).catch((error: unknown) => sendError(response, error));
  });
  if (unref) server.unref().on("connection", (socket) => socket.unref());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", resolve);
  });
  const address = server.address();
  const close = () =>
    new Promise<void>((resolve) => {
      // The only error is that the server was stopped before.
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address ? address.port : port}/v1`,
    requests,
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Context {
  apiKey: string | undefined;
  script: Script;
  record(request: RecordedRequest): void;
}

async function handle(request: IncomingMessage, response: ServerResponse, { apiKey, script, record }: Context) {
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  const text = await readText(request);
  const body = text === undefined ? undefined : parseJson(text);
  record({ path, body });
  if (apiKey !== undefined && request.headers.authorization !== `Bearer ${apiKey}`) throw unauthorized();
  if (text === undefined) throw new WireError(413, `the body has more than ${BODY_LIMIT} bytes`);
  const route = `${request.method} ${path}`;
  if (route === "GET /v1/models") {
    const model = { id: "stand-in", object: "model", created: 0, owned_by: "mnemail" };
    return send(response, jsonReply({ object: "list", data: [model] }));
  }
  if (route !== "POST /v1/chat/completions" && route !== "POST /v1/embeddings") {
    throw new WireError(404, `Invalid URL (${route})`);
  }
  if (body === undefined) throw new WireError(400, "We could not parse the JSON body of your request.");
  return route === "POST /v1/embeddings"
    ? answerEmbeddings(body, response, script)
    : answerChat(body, response, script);
}

function answerChat(body: unknown, response: ServerResponse, script: Script): void {
  const request = parseChat(body);
  checkStrictSchemas(request);
  const matchable = matchableChat(request);
  const fault = script.takeFault(matchable);
  const nonsense = { content: "[stand-in] Colourless green ideas sleep furiously.", calls: [] };
  const reply = (): Reply => {
    const said = fault === "nonsense" ? nonsense : (script.takeAnswer(matchable) ?? answer(request));
    if (fault !== "nonsense" && said !== NOT_UNDERSTOOD) checkAnswer(said, request);
    return request.stream
      ? { type: "text/event-stream", parts: completionEvents(request, said) }
      : jsonReply(completion(request, said));
  };
  sendWithFault(response, fault, reply);
}

function checkStrictSchemas({ format, tools }: ChatRequest): void {
  const asked = [...tools.values()].map((tool) => ({ ...tool, what: "function", param: "tools" }));
  if (format) asked.unshift({ ...format, what: "response_format", param: "response_format" });
  for (const { what, param, name, strict, schema } of asked) {
    const problem = strict ? strictSchemaProblem(schema) : undefined;
    if (problem !== undefined) throw new WireError(400, `Invalid schema for ${what} '${name}': ${problem}`, { param });
  }
}

function answerEmbeddings(body: unknown, response: ServerResponse, script: Script): void {
  const { model, input, encoding_format, dimensions } = parseBody(embeddingBodySchema, body);
  const fault = script.takeFault({ path: "embeddings", texts: input });
  const tokens = countTokens(input.reduce((sum, text) => sum + text.length, 0));
  const reply = () =>
    jsonReply({
      object: "list",
      model,
      data: input.map((text, index) => {
        const vector = embedText(text, fault === "nonsense" ? 1 : dimensions);
        return {
          object: "embedding",
          index,
          embedding: encoding_format === "base64" ? toBase64(vector) : Array.from(vector),
        };
      }),
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  sendWithFault(response, fault, reply);
}

/** The body as text; undefined when it is too large. The rest is read all the same, so that the client can listen. */
async function readText(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request) {
    if (!(chunk instanceof Uint8Array)) continue;
    size += chunk.length;
    if (size <= BODY_LIMIT) chunks.push(chunk);
    else chunks.length = 0;
  }
  return size <= BODY_LIMIT ? Buffer.concat(chunks).toString("utf8") : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
