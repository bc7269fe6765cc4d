import type { ServerResponse } from "node:http";
import { sse } from "./completion.ts";
import type { Fault } from "./scripted.ts";
import { WireError } from "./wire.ts";

/** What goes back: written part by part, so that server-sent events leave as events. */
export interface Reply {
  type: "application/json" | "text/event-stream";
  parts: string[];
}

/**
 * Sends a reply, or the failure that stands in its place. `reply` is not made where no body is sent.
 *
 * @throws WireError for failures that are a status.
 */
export function sendWithFault(response: ServerResponse, fault: Fault["kind"] | undefined, reply: () => Reply): void {
  if (fault === "unauthorized") throw unauthorized();
  if (fault === "server_error") {
    throw new WireError(500, "The server had an error while processing your request.", { type: "server_error" });
  }
  if (fault === "rate_limit") {
    // The openai client reads the header, LangChain the words.
    response.setHeader("retry-after-ms", "10");
    throw new WireError(429, "Rate limit reached for requests. Please try again in 10ms.", {
      type: "requests",
      code: "rate_limit_exceeded",
    });
  }
  // The client's own time limit, or close(), ends the connection.
  if (fault === "timeout") return;
  const whole = reply();
  const text = whole.parts.join("");
  const half = text.slice(0, text.length / 2);
  if (fault === "cut_stream") {
    response.writeHead(200, { "content-type": whole.type });
    response.write(half, () => response.destroy());
  } else if (fault === "malformed_json") {
    const isJson = whole.type === "application/json";
    send(response, { ...whole, parts: isJson ? [half] : [sse('{"id":"chatcmpl-'), sse("[DONE]")] });
  } else {
    send(response, whole);
  }
}

/** A reply of JSON. */
export function jsonReply(value: object): Reply {
  return { type: "application/json", parts: [JSON.stringify(value)] };
}

/** Sends a reply whole. */
export function send(response: ServerResponse, { type, parts }: Reply, status = 200): void {
  response.writeHead(status, { "content-type": type });
  for (const part of parts) response.write(part);
  response.end();
}

/** Sends an error in OpenAI's shape; one without a status is a 500. */
export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const wire = error instanceof WireError ? error : new WireError(500, String(error), { type: "server_error" });
  const { status, message, type, param, code } = wire;
  send(response, jsonReply({ error: { message, type, param, code } }), status);
}

/** OpenAI's refusal of a key. It does not repeat the key. */
export function unauthorized(): WireError {
  return new WireError(401, "Incorrect API key provided.", { code: "invalid_api_key" });
}
