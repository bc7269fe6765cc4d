import type { EmbeddingsInterface } from "@langchain/core/embeddings";
import type { AIMessageChunk, BaseMessage } from "@langchain/core/messages";
import type { StructuredToolParams } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";
import type { Config } from "./config.ts";
import { MnemailError } from "./errors.ts";
import { count } from "./meter.ts";
import { parseJson } from "./parse-json.ts";
import { startStandIn } from "./stand-in/server.ts";
import { maskUrl } from "./store-config/masks.ts";

/** The name by which records tell that the stand-in answered. */
const STAND_IN = "stand-in";

/** The models the assistant calls. `embeddings` is absent when memory is searched by words alone. */
export interface Models {
  chat: ChatOpenAI;
  embeddings?: EmbeddingsInterface;
}

/** Models with what was started for them; disposing stops the stand-in, if it was started. */
export interface OpenModels extends Models, AsyncDisposable {
  /** Names the vectors of `embeddings`. */
  embeddingModel: string;
  /** One line for people: which model answers, and where. */
  description: string;
}

/** How models are opened beside their configuration: `fetch` is what their client asks servers by. */
export interface ModelOptions {
  fetch?: typeof fetch;
}

/**
 * Opens the models of the configuration. Without a key the same OpenAI client talks to the stand-in, which
 * this starts on a free loopback port.
 */
export async function openModels(config: Config, options: ModelOptions = {}): Promise<OpenModels> {
  if (config.model.kind === "stand-in") {
    const server = await startStandIn({ unref: true });
    return {
      ...createModels({ ...config, chatModel: STAND_IN }, { baseUrl: server.url, apiKey: STAND_IN }, options),
      embeddingModel: STAND_IN,
      description: "the stand-in, which proves wiring and not quality (set OPENAI_API_KEY for a real model)",
      [Symbol.asyncDispose]: () => server.close(),
    };
  }
  const { baseUrl, apiKey } = config.model;
  return {
    ...createModels(config, { baseUrl, apiKey: apiKey ?? "none" }, options),
    embeddingModel: config.embeddingModel,
    description: `${config.chatModel} at ${maskUrl(baseUrl ?? "https://api.openai.com/v1")}`,
    [Symbol.asyncDispose]: async () => {},
  };
}

function createModels(
  config: Config,
  server: { baseUrl: string | undefined; apiKey: string },
  { fetch }: ModelOptions,
): Models {
  const connection = {
    apiKey: server.apiKey,
    timeout: config.modelTimeoutMs,
    maxRetries: config.modelMaxRetries,
    configuration: { baseURL: server.baseUrl ?? "https://api.openai.com/v1", ...(fetch ? { fetch } : {}) },
  };
  const chat = new ChatOpenAI({ ...connection, model: config.chatModel, useResponsesApi: false });
  if (config.embeddingModel === "none") return { chat };
  // Two at once is the default: a third would wait, and be sent in the asynchronous context of another.
  const maxConcurrency = Number.POSITIVE_INFINITY;
  return { chat, embeddings: new MeteredEmbeddings({ ...connection, model: config.embeddingModel, maxConcurrency }) };
}

/** Counts each request, and says in one line what went wrong with it. */
class MeteredEmbeddings extends OpenAIEmbeddings {
  override async embedDocuments(texts: string[]): Promise<number[][]> {
    count("embedding_calls");
    try {
      return await super.embedDocuments(texts);
    } catch (error) {
      throw modelError(error, this.model, this.clientConfig.baseURL);
    }
  }

  override async embedQuery(text: string): Promise<number[]> {
    const [vector] = await this.embedDocuments([text]);
    return vector ?? [];
  }
}

/**
 * Asks for one answer of the given shape, by a strict JSON schema. Counts the call and its tokens.
 *
 * @throws MnemailError("model") when the model cannot be reached, refuses, or answers something else.
 */
export async function askForJson<T>(
  chat: ChatOpenAI,
  request: { name: string; schema: z.ZodType<T>; messages: BaseMessage[] },
): Promise<T> {
  const asked = once(chat, request.schema, () =>
    chat.withConfig({
      response_format: {
        type: "json_schema",
        json_schema: { name: request.name, strict: true, schema: strictJsonSchema(request.schema) },
      },
    }),
  );
  const message = await invoke(chat, () => asked.invoke(request.messages));
  const answer = request.schema.safeParse(parseJson(message.text));
  if (answer.success) return answer.data;
  throw new MnemailError(
    "model",
    `the model ${chat.model} answered something else than the JSON asked for (${request.name}): ${excerpt(message.text)}`,
    "try again, or set CHAT_MODEL to a model that supports structured output",
  );
}

/**
 * Asks for the next step of a conversation in which the model must call at least one of `tools`; where `choice` is
 * `auto`, it may answer in words instead.
 *
 * @throws MnemailError("model") when the model cannot be reached or refuses.
 */
export async function askForToolCalls(
  chat: ChatOpenAI,
  request: { tools: StructuredToolParams[]; messages: BaseMessage[]; choice?: "required" | "auto" },
): Promise<AIMessageChunk> {
  const { tools, choice = "required" } = request;
  const asked = once(chat, tools, () => chat.bindTools(tools, { tool_choice: choice, strict: true }));
  return invoke(chat, () => asked.invoke(request.messages));
}

type Bound = ReturnType<ChatOpenAI["withConfig"]>;
const BOUND = new WeakMap<ChatOpenAI, WeakMap<object, Bound>>();

/** To bind a model makes another client, and to name a schema walks through it: once for each schema and list of tools. */
function once(chat: ChatOpenAI, what: object, bind: () => Bound): Bound {
  const known = BOUND.get(chat) ?? new WeakMap<object, Bound>();
  BOUND.set(chat, known);
  const bound = known.get(what) ?? bind();
  known.set(what, bound);
  return bound;
}

async function invoke(chat: ChatOpenAI, call: () => Promise<AIMessageChunk>): Promise<AIMessageChunk> {
  count("model_calls");
  try {
    const message = await call();
    const tokens = tokensSchema.parse(message.usage_metadata ?? {});
    count("input_tokens", tokens.input_tokens);
    count("output_tokens", tokens.output_tokens);
    return message;
  } catch (error) {
    throw modelError(error, chat.model, undefined);
  }
}

/** Some compatible servers report no usage. */
const tokensSchema = z.object({ input_tokens: z.number().catch(0), output_tokens: z.number().catch(0) });

function strictJsonSchema(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _, ...json } = z.toJSONSchema(schema);
  return json;
}

function excerpt(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return JSON.stringify(line.length > 80 ? `${line.slice(0, 80)}…` : line);
}

const failureSchema = z.object({
  status: z.number().optional().catch(undefined),
  name: z.string().catch("Error"),
  message: z.string().catch(""),
});

function modelError(error: unknown, model: string, url: string | null | undefined): MnemailError {
  if (error instanceof MnemailError) return error;
  const { status, name, message } = failureSchema.parse(error);
  const where = url ? ` at ${maskUrl(url)}` : "";
  const because = (what: string, hint: string) => new MnemailError("model", what, hint, { cause: error });
  if (name === "SyntaxError") {
    return because(
      `the model ${model} answered something else than the JSON asked for: ${excerpt(message)}`,
      "try again, or set CHAT_MODEL to a model that supports structured output",
    );
  }
  if (status === 401 || status === 403) {
    return because(`OPENAI_API_KEY was refused (${status}) for ${model}${where}`, "set a valid key or OPENAI_BASE_URL");
  }
  if (status === 404)
    return because(`the model ${model} is not known${where} (404)`, "set CHAT_MODEL or EMBEDDING_MODEL");
  if (status === 429) return because(`the model ${model} refused for now (429, rate or quota)`, "try again later");
  if (status !== undefined && status >= 500) return because(`the model server failed (${status})`, "try again later");
  if (/timeout|timed out/i.test(`${name} ${message}`)) {
    return because(`the model ${model} did not answer in time`, "try again, or raise MODEL_TIMEOUT_MS");
  }
  if (/abort/i.test(name)) return because("stopped before the model answered", "run it again");
  if (/connection/i.test(`${name} ${message}`)) {
    return because(`no connection to the model server${where}`, "check OPENAI_BASE_URL and the network");
  }
  return because(`the model ${model} failed: ${excerpt(message)}`, "try again");
}
