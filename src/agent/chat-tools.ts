import { z } from "zod";
import { quoteUntrusted } from "../email.ts";
import { MnemailError, renderError } from "../errors.ts";
import { listEmails, listReviews, readEmail } from "./chat-mail-tools.ts";
import { giveFeedback, manageMemory, searchMemory, showRules } from "./chat-memory-tools.ts";
import type { ChatTool, ChatToolContext, ChatToolResult } from "./chat-tool.ts";

/** The tools of the chat. None of them sends or approves anything. */
const CHAT_TOOLS = [listEmails, readEmail, listReviews, searchMemory, manageMemory, showRules, giveFeedback];

/** The tools of the chat by their names; `list_reviews` only where reviews can be listed. */
export function chatTools(options: { canListReviews: boolean }): ReadonlyMap<string, ChatTool> {
  const offered = CHAT_TOOLS.filter((tool) => tool !== listReviews || options.canListReviews);
  return new Map(offered.map((tool) => [tool.name, tool]));
}

/** Calls a tool; what the model can mend is answered in words. @throws MnemailError("store") where the store fails. */
export async function callChatTool(
  tools: ReadonlyMap<string, ChatTool>,
  name: string,
  args: unknown,
  context: ChatToolContext,
): Promise<ChatToolResult> {
  const tool = tools.get(name);
  if (!tool) return { text: `Refused: there is no tool ${JSON.stringify(name.slice(0, 80))}.` };
  try {
    return await tool.call(args, context);
  } catch (error) {
    if (error instanceof z.ZodError) return { text: "Refused: the arguments do not fit the tool." };
    if (!(error instanceof MnemailError) || error.code === "store") throw error;
    return { text: `Failed:\n${quoteUntrusted(renderError(error), 500)}` };
  }
}
