import { expect, test } from "vitest";
import { z } from "zod";
import { misfit, strictSchemaProblem } from "../../src/stand-in/strict-schema.ts";
import { chatClient } from "./client.ts";
import { post, respondBody, start, triageBody } from "./support.ts";

const closed = (properties: Record<string, object>) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

test.each([
  ["an object", closed({ a: { type: "string" } })],
  [
    "nullable fields, lists and references",
    closed({ a: { type: ["string", "null"] }, b: { type: "array", items: closed({}) }, c: { $ref: "#/$defs/x" } }),
  ],
  ["property names of Object.prototype", closed({ constructor: { type: "string" }, toString: { type: "string" } })],
])("%s is a strict schema", (_, schema) => {
  expect(strictSchemaProblem(schema)).toBeUndefined();
});

const open = { type: "object", properties: {}, required: [] };
test.each<[string, Record<string, unknown> | undefined, string]>([
  ["nothing", undefined, "context=()"],
  ["a list at the root", { type: "array", items: closed({}) }, "context=()"],
  ["an open object", open, "'additionalProperties'"],
  ["an optional property", { ...closed({ a: {}, b: {} }), required: ["a"] }, "Missing 'b'"],
  ["a required key that is no property", { ...closed({}), required: ["toString"] }, "'toString'"],
  ["an open object in a property", closed({ a: open }), "context=('properties', 'a')"],
  ["an open object in a list", closed({ a: { type: "array", items: open } }), "context=('properties', 'a', 'items')"],
  [
    "an open object in a union",
    closed({ a: { anyOf: [{ type: "null" }, open] } }),
    "context=('properties', 'a', 'anyOf', '1')",
  ],
  ["an open object in a definition", { ...closed({}), $defs: { x: open } }, "context=('$defs', 'x')"],
  ["oneOf", closed({ a: { oneOf: [] } }), "'oneOf' is not permitted"],
])("%s is not: the path is named", (_, schema, problem) => {
  expect(strictSchemaProblem(schema)).toContain(problem);
});

test("a hostile depth is refused, not followed", () => {
  let schema: Record<string, unknown> = closed({});
  for (let depth = 0; depth < 50_000; depth++) schema = closed({ a: schema });
  expect(strictSchemaProblem(schema)).toContain("too deeply");
});

test("an answer lacks a key, leaves an enum, or fits", () => {
  const schema = closed({ label: { enum: ["a", "b"] }, toString: { type: "string" } });
  expect(misfit(schema, { label: "a" })).toContain("'toString'");
  expect(misfit(schema, { label: "c", toString: "" })).toContain('"c"');
  expect(misfit(schema, [])).toContain("no JSON object");
  expect(misfit(schema, { label: "b", toString: "" })).toBeUndefined();
});

test("the server refuses a schema that is not strict, of the answer and of a tool, only where strict is asked", async () => {
  const standIn = await start();
  const { response_format, ...rest } = triageBody({});
  const withSchema = (strict: boolean) => ({
    ...rest,
    response_format: { ...response_format, json_schema: { name: "triage", strict, schema: open } },
  });
  const refused = await post(standIn, "/chat/completions", withSchema(true));
  expect(refused.status).toBe(400);
  expect(refused.text).toContain("Invalid schema for response_format 'triage'");
  expect((await post(standIn, "/chat/completions", withSchema(false))).status).toBe(200);
  const tool = { type: "function", function: { name: "write_email", strict: true, parameters: open } };
  const { text } = await post(standIn, "/chat/completions", { ...respondBody({}), tools: [tool] });
  expect(text).toContain("Invalid schema for function 'write_email'");
});

test("the client shows the refusal", async () => {
  const model = chatClient(await start()).withConfig({
    response_format: {
      type: "json_schema",
      json_schema: { name: "triage", strict: true, schema: z.toJSONSchema(z.looseObject({})) },
    },
  });
  await expect(model.invoke("Hi")).rejects.toThrow("additionalProperties");
});
