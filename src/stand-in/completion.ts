import { randomUUID } from "node:crypto";
import { misfit } from "./strict-schema.ts";
import { type Answer, type ChatRequest, WireError } from "./wire.ts";

const PIECE = 20;

/**
 * Refuses an answer that a server with strict schemas could not give: one that lacks a required key or leaves an
 * enum. That is a mistake in a script, or a schema the stand-in does not know, and no retry helps.
 *
 * @throws WireError(400) with the code `stand_in_answer`.
 */
export function checkAnswer({ content, calls }: Answer, { format, tools }: ChatRequest): void {
  const refuse = (what: string, why: string): never => {
    throw new WireError(400, `stand-in: the answer does not fit ${what}: ${why}`, { code: "stand_in_answer" });
  };
  for (const { name, args } of calls) {
    const tool = tools.get(name);
    const why = tool?.strict ? misfit(tool.schema, args) : undefined;
    if (why !== undefined) refuse(`the function '${name}'`, why);
  }
  const why = format?.strict && calls.length === 0 ? misfit(format.schema, parseJson(content)) : undefined;
  if (format && why !== undefined) refuse(`the response_format '${format.name}'`, why);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** An approximation of tokens for `usage`: one for each four characters, rounded up. */
export function countTokens(characters: number): number {
  return Math.ceil(characters / 4);
}

/** The answer as a `chat.completion` object. */
export function completion(request: ChatRequest, answer: Answer) {
  const toolCalls = renderCalls(answer);
  return {
    ...head(request, "chat.completion"),
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: answer.content === "" && toolCalls.length > 0 ? null : answer.content,
          refusal: null,
          ...(toolCalls.length > 0 ? { tool_calls: toolCalls } : {}),
        },
        logprobs: null,
        finish_reason: finishReason(answer),
      },
    ],
    usage: usage(request, answer),
  };
}

/** The answer as server-sent events: `chat.completion.chunk` objects, then `[DONE]`. */
export function completionEvents(request: ChatRequest, answer: Answer): string[] {
  const common = { ...head(request, "chat.completion.chunk"), ...(request.includeUsage ? { usage: null } : {}) };
  const chunk = (delta: object, finish: string | null = null) => ({
    ...common,
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  });
  const callDeltas = renderCalls(answer).flatMap(({ id, type, function: called }, index) => [
    { tool_calls: [{ index, id, type, function: { name: called.name, arguments: "" } }] },
    ...pieces(called.arguments).map((text) => ({ tool_calls: [{ index, function: { arguments: text } }] })),
  ]);
  return [
    chunk({ role: "assistant", content: answer.calls.length > 0 ? null : "", refusal: null }),
    ...pieces(answer.content).map((content) => chunk({ content })),
    ...callDeltas.map((delta) => chunk(delta)),
    chunk({}, finishReason(answer)),
    ...(request.includeUsage ? [{ ...common, choices: [], usage: usage(request, answer) }] : []),
  ]
    .map((event) => sse(JSON.stringify(event)))
    .concat(sse("[DONE]"));
}

/** One server-sent event. */
export function sse(data: string): string {
  return `data: ${data}\n\n`;
}

function head({ model }: ChatRequest, object: string) {
  return { id: `chatcmpl-${randomUUID()}`, object, created: Math.floor(Date.now() / 1000), model };
}

function finishReason({ calls }: Answer): string {
  return calls.length > 0 ? "tool_calls" : "stop";
}

function renderCalls({ calls }: Answer) {
  return calls.map(({ name, args }) => ({
    id: `call_${randomUUID().replaceAll("-", "")}`,
    type: "function",
    function: { name, arguments: JSON.stringify(args) },
  }));
}

function usage({ size }: ChatRequest, { content, calls }: Answer) {
  const prompt = countTokens(size);
  const answered = countTokens(content.length + (calls.length > 0 ? JSON.stringify(calls).length : 0));
  return { prompt_tokens: prompt, completion_tokens: answered, total_tokens: prompt + answered };
}

/** Cuts by characters, not code units: half of a surrogate pair cannot be written as UTF-8. */
function pieces(text: string): string[] {
  const characters = [...text];
  return Array.from({ length: Math.ceil(characters.length / PIECE) }, (_, at) =>
    characters.slice(at * PIECE, (at + 1) * PIECE).join(""),
  );
}
