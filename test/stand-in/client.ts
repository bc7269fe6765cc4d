import { ChatOpenAI } from "@langchain/openai";
import type { StandIn } from "../../src/stand-in/server.ts";

/** The client Mnemail uses, on a stand-in; it does not retry unless told. */
export function chatClient(
  { url }: StandIn,
  options: { maxRetries?: number; timeout?: number; apiKey?: string } = {},
): ChatOpenAI {
  return new ChatOpenAI({
    model: "any",
    apiKey: "stand-in",
    maxRetries: 0,
    useResponsesApi: false,
    configuration: { baseURL: url },
    ...options,
  });
}
