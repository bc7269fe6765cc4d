import { createConnection } from "node:net";
import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { expect, test } from "vitest";
import { z } from "zod";
import { startStandIn } from "../../src/stand-in/server.ts";
import { chatClient } from "./client.ts";
import { post, quoteMail, respondBody, start, tools, triageBody, triageSchema } from "./support.ts";

const question = { subject: "API", body: "Which version should we use? 🙂" };
const messages = [
  new SystemMessage("You sort email."),
  new HumanMessage(`Now: 2026-03-02T09:00 (Monday).\n\n<email>\n${quoteMail(question)}\n</email>`),
];
const completionSchema = z.object({
  object: z.literal("chat.completion"),
  choices: z
    .array(z.object({ finish_reason: z.string(), message: z.object({ content: z.string().nullable() }) }))
    .length(1),
  usage: z.object({ prompt_tokens: z.number(), completion_tokens: z.number(), total_tokens: z.number() }),
});
const errorSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

test("structured output with a strict schema arrives parsed", async () => {
  const model = chatClient(await start());
  const asked = model.withStructuredOutput(triageSchema, {
    name: "triage",
    method: "jsonSchema",
    strict: true,
    includeRaw: true,
  });
  const { parsed, raw } = await asked.invoke(messages);
  expect(parsed).toEqual({ label: "respond", reason: "[stand-in] asks a direct question" });
  expect(z.object({ total_tokens: z.number().min(10) }).safeParse(Reflect.get(raw, "usage_metadata")).success).toBe(
    true,
  );
});

test("tool calls arrive, at once and streamed, the same", async () => {
  const model = chatClient(await start()).bindTools(tools, { tool_choice: "required", strict: true });
  const whole = await model.invoke(messages);
  let streamed: Awaited<ReturnType<typeof model.invoke>> | undefined;
  for await (const chunk of await model.stream(messages)) streamed = streamed?.concat(chunk) ?? chunk;
  const names = (said: typeof streamed) => said?.tool_calls?.map(({ name, args }) => ({ name, args }));
  expect(names(whole)).toEqual([{ name: "write_email", args: expect.objectContaining({ subject: "Re: API" }) }]);
  expect(names(streamed)).toEqual(names(whole));
  expect(streamed?.usage_metadata).toEqual(whole.usage_metadata);
});

test("text arrives, at once and streamed, the same", async () => {
  const standIn = await start({ answers: [{ when: {}, content: "Grüße, 👩‍🚀! ".repeat(9) }] });
  const model = chatClient(standIn);
  const whole = await model.invoke("Hi");
  let streamed = "";
  for await (const chunk of await model.stream("Hi")) streamed += chunk.text;
  expect(streamed).toBe(whole.text);
  expect(streamed).toBe("Grüße, 👩‍🚀! ".repeat(9));
});

test("a stream ends with usage, when that is asked for, and [DONE]", async () => {
  const standIn = await start();
  const lines = async (extra: object) =>
    (await post(standIn, "/chat/completions", { ...triageBody(question), stream: true, ...extra })).text
      .trim()
      .split("\n\n");
  const plain = await lines({});
  expect(plain.at(-1)).toBe("data: [DONE]");
  expect(plain.join("")).not.toContain("usage");
  const counted = await lines({ stream_options: { include_usage: true } });
  expect(counted.at(-2)).toMatch(/"usage":\{"prompt_tokens":\d+.*"choices":\[\]/);
});

test("a completion says how it ended and counts four characters as a token", async () => {
  const standIn = await start();
  const { status, text } = await post(standIn, "/chat/completions", triageBody(question));
  const { choices, usage } = completionSchema.parse(JSON.parse(text));
  expect(status).toBe(200);
  expect(choices[0]?.finish_reason).toBe("stop");
  expect(usage.completion_tokens).toBe(Math.ceil((choices[0]?.message.content ?? "").length / 4));
  expect(usage.total_tokens).toBe(usage.prompt_tokens + usage.completion_tokens);
  const called = completionSchema.parse(
    JSON.parse((await post(standIn, "/chat/completions", respondBody(question))).text),
  );
  expect(called.choices[0]).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
});

test("tool_choice decides which tools may be called", async () => {
  const standIn = await start();
  const body = respondBody({ body: "Can we meet?" });
  const only = { type: "function", function: { name: "write_email" } };
  const named = await post(standIn, "/chat/completions", { ...body, tool_choice: only });
  expect(named.text).toContain('"name":"write_email"');
  const none = await post(standIn, "/chat/completions", { ...body, tool_choice: "none" });
  expect(none.text).not.toContain("tool_calls");
});

test("a request that is none of Mnemail's is told so, whatever it asks for", async () => {
  const standIn = await start();
  const said = await chatClient(standIn).invoke("Write a poem.");
  expect(said.text).toBe("[stand-in] This model understands only the prompts of Mnemail.");
  const { response_format, ...rest } = triageBody(question);
  const json_schema = { ...response_format.json_schema, name: "poem" };
  const { status, text } = await post(standIn, "/chat/completions", {
    ...rest,
    response_format: { type: "json_schema", json_schema },
  });
  expect(status).toBe(200);
  expect(text).toContain("only the prompts of Mnemail");
});

test("the models are listed", async () => {
  const { url } = await start();
  expect(await (await fetch(`${url}/models`)).json()).toMatchObject({ object: "list", data: [{ id: "stand-in" }] });
});

test.each<[string, string, unknown, number]>([
  ["an unknown route", "/responses", {}, 404],
  ["a body that is no JSON", "/chat/completions", "{", 400],
  ["a body that is null", "/chat/completions", "null", 400],
  ["no messages", "/chat/completions", { model: "any", messages: [] }, 400],
  ["an unknown role", "/chat/completions", { model: "any", messages: [{ role: "king", content: "" }] }, 400],
  [
    "a tool result without a call",
    "/chat/completions",
    { model: "any", messages: [{ role: "tool", tool_call_id: "1", content: "" }] },
    400,
  ],
  [
    "a call without a result",
    "/chat/completions",
    {
      ...respondBody(question),
      messages: [
        ...respondBody(question, { done: [{ name: "write_email", result: "" }] }).messages.slice(0, -1),
        { role: "user", content: "Well?" },
      ],
    },
    400,
  ],
  ["nothing to embed", "/embeddings", { model: "any", input: [] }, 400],
  ["no dimensions", "/embeddings", { model: "any", input: "a", dimensions: 0 }, 400],
])("%s is refused in OpenAI's words", async (_, path, body, status) => {
  const answer = await post(await start(), path, body);
  expect(answer.status).toBe(status);
  expect(errorSchema.parse(JSON.parse(answer.text)).error.type).toBe("invalid_request_error");
});

test("a body of more than 20 MB is refused", async () => {
  const { status, text } = await post(await start(), "/chat/completions", " ".repeat(20 * 1024 * 1024 + 1));
  expect(status).toBe(413);
  expect(errorSchema.safeParse(JSON.parse(text)).success).toBe(true);
});

test("another key than the server's is refused, and not repeated", async () => {
  const standIn = await start({ apiKey: "right" });
  await expect(chatClient(standIn, { apiKey: "wrong" }).invoke("Hi")).rejects.toMatchObject({ status: 401 });
  const { status, text } = await post(standIn, "/chat/completions", triageBody(question), {
    authorization: "Bearer wr0ng",
  });
  expect(status).toBe(401);
  expect(text).not.toContain("wr0ng");
  expect(errorSchema.parse(JSON.parse(text)).error.code).toBe("invalid_api_key");
  expect((await chatClient(standIn, { apiKey: "right" }).invoke("Hi")).text).toContain("[stand-in]");
});

test("the last 1,000 requests can be read back", async () => {
  const standIn = await start();
  const socket = createConnection(Number(new URL(standIn.url).port), "127.0.0.1");
  const paths = Array.from({ length: 1_010 }, (_, at) => `/v1/${at}`);
  socket.end(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`).join(""));
  await new Promise((resolve) => socket.resume().once("end", resolve));
  expect(standIn.requests.map(({ path }) => path)).toEqual(paths.slice(10));
  await post(standIn, "/chat/completions", triageBody(question));
  expect(standIn.requests.at(-1)).toEqual({ path: "/v1/chat/completions", body: triageBody(question) });
});

test("closing ends open connections, frees the port, and may be done twice", async () => {
  const standIn = await startStandIn();
  const port = Number(new URL(standIn.url).port);
  const idle = createConnection(port, "127.0.0.1");
  const ended = new Promise((resolve) => idle.once("close", resolve));
  idle.on("error", () => {});
  await fetch(`${standIn.url}/models`);
  await standIn.close();
  await standIn[Symbol.asyncDispose]();
  await ended;
  const next = await start({ port });
  expect(next.url).toBe(`http://127.0.0.1:${port}/v1`);
  await expect(startStandIn({ port })).rejects.toThrow("EADDRINUSE");
});
