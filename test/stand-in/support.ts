import { afterEach } from "vitest";
import { z } from "zod";
import { answer } from "../../src/stand-in/behaviour.ts";
import { type StandIn, type StandInOptions, startStandIn } from "../../src/stand-in/server.ts";
import { type Answer, parseChat } from "../../src/stand-in/wire.ts";

const started: StandIn[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((each) => each.close()));
});

/** Starts a stand-in that is stopped after the test. */
export async function start(options?: StandInOptions): Promise<StandIn> {
  const standIn = await startStandIn(options);
  started.push(standIn);
  return standIn;
}

/** POSTs JSON by hand and returns the status and the text of the answer. */
export async function post({ url }: StandIn, path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

export const triageSchema = z.object({
  label: z.enum(["ignore", "notify", "respond"]),
  reason: z.string(),
});

const strictObject = (properties: Record<string, object>) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});
const string = { type: "string" };
const nullable = { type: ["string", "null"] };

/** The tools of Mnemail's answering step, as they go over the wire. */
export const tools = Object.entries({
  write_email: strictObject({ to: string, subject: string, body: string }),
  check_calendar_availability: strictObject({ days: { type: "array", items: string } }),
  schedule_meeting: strictObject({
    title: string,
    attendees: { type: "array", items: string },
    start: string,
    duration_minutes: { type: "number" },
  }),
  manage_memory: strictObject({
    content: nullable,
    action: { type: "string", enum: ["create", "update", "delete"] },
    id: nullable,
  }),
  search_memory: strictObject({ query: string }),
}).map(([name, parameters]) => ({ type: "function" as const, function: { name, strict: true, parameters } }));

export interface MailText {
  from?: string;
  subject?: string;
  body?: string;
  date?: string;
  list?: string;
}

/** An email as a prompt shows it. */
export function quoteMail({
  from = "Tom <tom@partner.example>",
  subject = "Hello",
  body = "",
  date,
  list,
}: MailText): string {
  const optional = [...(date ? [`Date: ${date}`] : []), ...(list ? [`List-Id: ${list}`] : [])];
  const headers = [`From: ${from}`, "To: me@home.example", ...optional, `Subject: ${subject}`];
  return [...headers, "", ...body.split("\n")].map((line) => `> ${line}`.trimEnd()).join("\n");
}

/** A learnable prompt's text with rules at its end, and text after it. */
export function systemWith(rules: string[]): string {
  const list = rules.length > 0 ? `\n\nRules from the user:\n${rules.map((rule) => `- ${rule}`).join("\n")}` : "";
  return `You sort email.${list}\n\n# Next\n\n- no rule`;
}

/** The body of a request to label an email. */
export function triageBody(mail: MailText, rules: string[] = [], examples: (MailText & { label: string })[] = []) {
  const shown = examples.map((each) => `<example label="${each.label}">\n${quoteMail(each)}\n</example>\n\n`).join("");
  return {
    model: "any",
    messages: [
      { role: "system", content: systemWith(rules) },
      { role: "user", content: `${shown}The email to label:\n\n<email>\n${quoteMail(mail)}\n</email>` },
    ],
    response_format: {
      type: "json_schema",
      json_schema: {
        name: "triage",
        strict: true,
        schema: strictObject({ label: { type: "string", enum: ["ignore", "notify", "respond"] }, reason: string }),
      },
    },
  };
}

/** What the stand-in's behaviour says to a request body. */
export function ask(body: unknown): Answer {
  return answer(parseChat(body));
}

/** The label and reason the behaviour gives an email. */
export function triage(mail: MailText, rules: string[] = [], examples: (MailText & { label: string })[] = []) {
  return triageSchema.parse(JSON.parse(ask(triageBody(mail, rules, examples)).content));
}

/** The body of a request to answer an email; `done` are the calls made and their results. */
export function respondBody(
  mail: MailText,
  { rules = [], memories = [], done = [], offered = tools.map((tool) => tool.function.name) }: RespondOptions = {},
) {
  const shown =
    memories.length > 0 ? `<memories>\n${memories.map((each) => `> ${each}`).join("\n")}\n</memories>\n\n` : "";
  const turns = done.flatMap(({ name, result }, at) => [
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: `call_${at}`, type: "function", function: { name, arguments: "{}" } }],
    },
    { role: "tool", tool_call_id: `call_${at}`, content: result },
  ]);
  return {
    model: "any",
    messages: [
      { role: "system", content: systemWith(rules) },
      {
        role: "user",
        content: `Now: 2026-03-02T09:00 (Monday), time zone Europe/Oslo.\n\n${shown}The email to answer:\n\n<email>\n${quoteMail(mail)}\n</email>`,
      },
      ...turns,
    ],
    tools: tools.filter((tool) => offered.includes(tool.function.name)),
  };
}

export interface RespondOptions {
  rules?: string[];
  memories?: string[];
  done?: { name: string; result: string }[];
  offered?: string[];
}
