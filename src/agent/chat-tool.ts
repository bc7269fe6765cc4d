import type { z } from "zod";
import { oneLine, quoteUntrusted } from "../email.ts";
import type { LearningParts } from "../learning/learn.ts";
import type { StoreAccess } from "../memory/access.ts";
import type { Trust } from "../memory/trust.ts";
import type { ChatChange } from "./chat-state.ts";

/** What waits for the user's approval, as far as a chat shows it. */
export interface WaitingAction {
  id: string;
  email: { id: string; from: string; subject: string };
  action: { name: string };
  description: string;
  is_expired: boolean;
}

/** What a tool of a chat works on: the words of one user so far, and whose words the chat holds besides. */
export interface ChatToolContext {
  userId: string;
  /** The user's own words in each of their messages, oldest first. */
  userTexts: readonly string[];
  /** Names the last of these messages. */
  messageId: string;
  trust: Trust;
  access: StoreAccess;
  learning: LearningParts;
  listReviews: ((userId: string) => Promise<readonly WaitingAction[]>) | undefined;
}

/** What a tool did: the text the model is told, whether a stranger's words are in it, and what it changed. */
export interface ChatToolResult {
  text: string;
  trust?: Trust;
  changes?: ChatChange[];
}

/** A tool of the chat. Its schema is strict: what may be left out is nullable. */
export interface ChatTool {
  name: string;
  description: string;
  schema: z.ZodObject;
  /** Parses the model's arguments and runs. @throws ZodError, MnemailError: nothing was done then. */
  call(args: unknown, context: ChatToolContext): Promise<ChatToolResult>;
}

/** Makes a tool of its parts. */
export function defineTool<S extends z.ZodObject>(tool: {
  name: string;
  description: string;
  schema: S;
  run(args: z.output<S>, context: ChatToolContext): Promise<ChatToolResult>;
}): ChatTool {
  const { name, description, schema } = tool;
  return { name, description, schema, call: (args, context) => tool.run(schema.parse(args), context) };
}

/** A text on one line, cut where it is longer. */
export function cut(text: string, limit: number): string {
  const line = oneLine(text);
  return line.length > limit ? `${line.slice(0, limit - 1)}…` : line;
}

/** Lines that begin with `> ` already, each made harmless. */
export function quoteLines(lines: readonly string[]): string {
  return lines.map((line) => quoteUntrusted(line.slice(2))).join("\n");
}
