import { z } from "zod";
import type { Answer, ChatRequest } from "./wire.ts";

const matcher = {
  schema: z.string().optional().describe("name of the response_format's JSON schema"),
  tool: z.string().optional().describe("a tool of this name is offered"),
  contains: z.string().optional().describe("this stands in the text of any message, or in an input to embed"),
  after: z.string().optional().describe("a result of the tool of this name is there already"),
};
const times = z.int().min(1).optional().describe("how often it is used; without it, always");
const jsonObject = z.record(z.string(), z.unknown());

/** An answer given in place of the built-in behaviour: text, JSON, tool calls, or text with tool calls. */
export const scriptedAnswerSchema = z
  .strictObject({
    when: z.strictObject(matcher),
    content: z.string().optional(),
    json: jsonObject.optional(),
    tool_calls: z.array(z.strictObject({ name: z.string(), args: jsonObject })).optional(),
    times,
  })
  .refine(({ content, json, tool_calls }) => content !== undefined || json !== undefined || tool_calls !== undefined, {
    message: "expected content, json or tool_calls",
  })
  .refine(({ content, json }) => content === undefined || json === undefined, {
    message: "expected content or json, not both",
  });

/**
 * A failure in place of an answer. `timeout`: no answer until the client gives up; `cut_stream`: the connection
 * ends in the middle of the body; `malformed_json`: 200 with half of the JSON; `nonsense`: a well-formed completion
 * whose text is not what was asked for (for embeddings: vectors of one dimension).
 */
export const faultSchema = z.strictObject({
  when: z.strictObject({ ...matcher, path: z.enum(["chat", "embeddings"]).optional() }).optional(),
  kind: z.enum(["rate_limit", "server_error", "unauthorized", "timeout", "cut_stream", "malformed_json", "nonsense"]),
  times,
});

/** A script as a file can hold it: `{ answers?: [...], faults?: [...] }`. Unknown keys are refused. */
export const scriptSchema = z.strictObject({
  answers: z.array(scriptedAnswerSchema).optional(),
  faults: z.array(faultSchema).optional(),
});

/** See {@link scriptedAnswerSchema}. */
export type ScriptedAnswer = z.infer<typeof scriptedAnswerSchema>;
/** See {@link faultSchema}. */
export type Fault = z.infer<typeof faultSchema>;

/** What a script's conditions are compared with. */
export interface Matchable {
  path: "chat" | "embeddings";
  texts: string[];
  schema?: string | undefined;
  tools?: readonly string[];
  results?: readonly string[];
}

/** A chat request as a script sees it. */
export function matchableChat(request: ChatRequest): Matchable {
  return {
    path: "chat",
    texts: request.messages.map((message) => message.text),
    schema: request.format?.name,
    tools: [...request.tools.keys()],
    results: [...request.results.keys()],
  };
}

/** A running script: it counts how often each entry was used. The first entry that matches wins. */
export class Script {
  readonly #answers: Counted<ScriptedAnswer>[];
  readonly #faults: Counted<Fault>[];

  /** @throws ZodError for entries of another shape. */
  constructor(script: z.input<typeof scriptSchema>) {
    const { answers = [], faults = [] } = scriptSchema.parse(script);
    this.#answers = answers.map(counted);
    this.#faults = faults.map(counted);
  }

  /** The scripted answer to a request, if there is one; using it counts. */
  takeAnswer(request: Matchable): Answer | undefined {
    const entry = take(this.#answers, request);
    if (!entry) return undefined;
    const { content, json, tool_calls = [] } = entry;
    return { content: content ?? (json ? JSON.stringify(json) : ""), calls: tool_calls };
  }

  /** The failure a request meets, if any; using it counts. */
  takeFault(request: Matchable): Fault["kind"] | undefined {
    return take(this.#faults, request)?.kind;
  }
}

interface Counted<T> {
  entry: T;
  left: number;
}

function counted<T extends { times?: number | undefined }>(entry: T): Counted<T> {
  return { entry, left: entry.times ?? Number.POSITIVE_INFINITY };
}

function take<T extends { when?: Fault["when"] }>(entries: Counted<T>[], request: Matchable): T | undefined {
  const found = entries.find(({ entry, left }) => left > 0 && matches(entry.when ?? {}, request));
  if (!found) return undefined;
  found.left -= 1;
  return found.entry;
}

function matches(when: NonNullable<Fault["when"]>, { path, texts, schema, tools = [], results = [] }: Matchable) {
  const { contains } = when;
  return (
    (when.path ?? path) === path &&
    (when.schema ?? schema) === schema &&
    (when.tool === undefined || tools.includes(when.tool)) &&
    (when.after === undefined || results.includes(when.after)) &&
    (contains === undefined || texts.some((each) => each.includes(contains)))
  );
}
