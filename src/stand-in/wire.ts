import { z } from "zod";

const jsonObject = z.record(z.string(), z.unknown());

/** The parts of a message's content joined; parts without text (images, audio) are passed over. */
const text = z
  .union([z.string(), z.array(z.looseObject({ type: z.string(), text: z.string().optional() })), z.null()])
  .optional()
  .transform((content) =>
    Array.isArray(content) ? content.map((part) => part.text ?? "").join("\n") : (content ?? ""),
  );

const messageSchema = z.object({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content: text,
  tool_call_id: z.string().optional(),
  tool_calls: z
    .array(
      z.object({
        id: z.string(),
        type: z.literal("function"),
        function: z.object({ name: z.string(), arguments: z.string() }),
      }),
    )
    .nullish(),
});

const toolSchema = z.object({
  type: z.literal("function"),
  function: z.object({
    name: z.string().regex(/^[\w-]{1,64}$/),
    parameters: jsonObject.optional(),
    strict: z.boolean().nullish(),
  }),
});

/** The body of POST /v1/chat/completions, as far as the stand-in reads it. */
export const chatBodySchema = z.object({
  model: z.string().min(1),
  messages: z.array(messageSchema).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
  tools: z.array(toolSchema).nullish(),
  tool_choice: z
    .union([
      z.enum(["none", "auto", "required"]),
      z.object({ type: z.literal("function"), function: z.object({ name: z.string() }) }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: z
    .discriminatedUnion("type", [
      z.object({ type: z.enum(["text", "json_object"]) }),
      z.object({
        type: z.literal("json_schema"),
        json_schema: z.object({
          name: z.string().regex(/^[\w-]{1,64}$/),
          schema: jsonObject.optional(),
          strict: z.boolean().nullish(),
        }),
      }),
    ])
    .nullish(),
});

/** The body of POST /v1/embeddings. Token arrays, which OpenAI takes too, are refused. */
export const embeddingBodySchema = z.object({
  model: z.string().min(1),
  input: z.union([z.string().transform((one) => [one]), z.array(z.string()).min(1).max(2048)]),
  encoding_format: z.enum(["float", "base64"]).default("float"),
  dimensions: z.int().min(1).max(4096).default(256),
});

/** A named JSON schema the answer must fit; `strict` ones are checked as OpenAI does. */
export interface NamedSchema {
  name: string;
  strict: boolean;
  schema: Record<string, unknown> | undefined;
}

/** One message; `tool` names the tool whose result it is. */
export interface Message {
  role: z.infer<typeof messageSchema>["role"];
  text: string;
  tool?: string | undefined;
}

/** One chat request in the form that behaviour and scripts read. */
export interface ChatRequest {
  model: string;
  messages: Message[];
  /** The schema of `response_format`, if one is asked for. */
  format: NamedSchema | undefined;
  /** The tools the model may call, after `tool_choice`. */
  tools: Map<string, NamedSchema>;
  parallelCalls: boolean;
  /** The results of tools by tool name, each with the last one's text. */
  results: Map<string, string>;
  stream: boolean;
  includeUsage: boolean;
  /** Characters of messages, tools and response format as JSON. */
  size: number;
}

/** What the model says: text, or calls of tools. */
export interface Answer {
  content: string;
  calls: { name: string; args: Record<string, unknown> }[];
}

/** A failure in the shape of OpenAI's API: `{ error: { message, type, param, code } }` with a status. */
export class WireError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;

  constructor(status: number, message: string, detail: { type?: string; param?: string; code?: string } = {}) {
    super(message);
    this.status = status;
    this.type = detail.type ?? "invalid_request_error";
    this.param = detail.param ?? null;
    this.code = detail.code ?? null;
  }
}

/**
 * Parses a request's body.
 *
 * @throws WireError(400) that names the first field that is wrong.
 */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const param = issue?.path.join(".") ?? "";
  throw new WireError(400, `Invalid value for '${param}': ${issue?.message ?? "not as expected"}`, { param });
}

/**
 * Parses a chat request.
 *
 * @throws WireError(400) for a body of another shape, and for tool results that answer no call or calls without
 * results, as OpenAI does.
 */
export function parseChat(json: unknown): ChatRequest {
  const body = parseBody(chatBodySchema, json);
  const { tools, response_format: format, tool_choice: choice, messages } = body;
  const offered = (tools ?? []).map(({ function: tool }): [string, NamedSchema] => [
    tool.name,
    { name: tool.name, strict: tool.strict === true, schema: tool.parameters },
  ]);
  const allowed = offered.filter(([name]) =>
    typeof choice === "object" && choice !== null ? choice.function.name === name : choice !== "none",
  );
  const read = readMessages(messages);
  return {
    model: body.model,
    messages: read,
    format:
      format?.type === "json_schema"
        ? {
            name: format.json_schema.name,
            strict: format.json_schema.strict === true,
            schema: format.json_schema.schema,
          }
        : undefined,
    tools: new Map(allowed),
    parallelCalls: body.parallel_tool_calls !== false,
    results: new Map(read.flatMap(({ tool, text }) => (tool === undefined ? [] : [[tool, text] as const]))),
    stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true,
    size: JSON.stringify({ messages, tools, response_format: format }).length,
  };
}

function readMessages(messages: z.infer<typeof messageSchema>[]): Message[] {
  const waiting = new Map<string, string>();
  return messages.map(({ role, content, tool_call_id, tool_calls }, at) => {
    const param = `messages.[${at}]`;
    const tool = waiting.get(tool_call_id ?? "");
    if (role !== "tool" && waiting.size > 0) {
      throw new WireError(
        400,
        `'tool_calls' must be followed by tool messages responding to each 'tool_call_id': ${[...waiting.keys()].join(", ")}`,
        { param },
      );
    }
    if (role === "tool" && tool === undefined) {
      throw new WireError(400, "a message with role 'tool' must be a response to a preceding 'tool_calls'", { param });
    }
    if (tool !== undefined) waiting.delete(tool_call_id ?? "");
    for (const call of tool_calls ?? []) waiting.set(call.id, call.function.name);
    return { role, text: content, ...(tool === undefined ? {} : { tool }) };
  });
}
