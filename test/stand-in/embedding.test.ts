import { OpenAIEmbeddings } from "@langchain/openai";
import { expect, test } from "vitest";
import { z } from "zod";
import { contentWords, embedText } from "../../src/stand-in/embedding.ts";
import { post, start } from "./support.ts";

const cosine = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, at) => sum + value * (b[at] ?? Number.NaN), 0);

const answerSchema = z.object({ data: z.array(z.object({ embedding: z.array(z.number()) })) });

test("the client's base64 vectors are the float vectors", async () => {
  const standIn = await start();
  const client = new OpenAIEmbeddings({ apiKey: "any", maxRetries: 0, configuration: { baseURL: standIn.url } });
  const texts = ["The invoice for March", "", "Grüße aus Köln"];
  const decoded = await client.embedDocuments(texts);
  const { text } = await post(standIn, "/embeddings", { model: "any", input: texts });
  const floats = answerSchema.parse(JSON.parse(text)).data.map(({ embedding }) => embedding);
  expect(standIn.requests[0]?.body).toMatchObject({ encoding_format: "base64" });
  expect(decoded.map((vector) => Array.from(vector))).toEqual(floats);
  expect(floats.map((vector) => vector.length)).toEqual([256, 256, 256]);
});

test("the dimensions asked for are given", async () => {
  const { text } = await post(await start(), "/embeddings", { model: "any", input: "a text", dimensions: 64 });
  expect(answerSchema.parse(JSON.parse(text)).data[0]?.embedding).toHaveLength(64);
});

test("similar texts are nearer than others", () => {
  const invoice = embedText("Your invoice for March is attached, please pay it by Friday", 256);
  const near = embedText("The March invoice is attached; payment is due Friday", 256);
  const far = embedText("Shall we climb the mountain with Ana this summer?", 256);
  expect(cosine(invoice, near)).toBeGreaterThan(0.4);
  expect(cosine(invoice, near)).toBeGreaterThan(cosine(invoice, far) + 0.3);
});

test.each(["", "a 1 ?", "the of and", "constructor __proto__", "日本語", "\ud800", "x".repeat(200_000)])(
  "any text gives a unit vector (%#)",
  (text) => {
    const vector = embedText(text, 256);
    expect(cosine(vector, vector)).toBeCloseTo(1, 5);
    expect(Array.from(embedText(text, 256))).toEqual(Array.from(vector));
  },
);

test("words whose signs cancel give a unit vector too", () => {
  const words = contentWords(
    Array.from({ length: 400 }, (_, at) => `w${"abcdefghij".at(at % 10)}${at.toString(36).replace(/\d/g, "q")}`).join(
      " ",
    ),
  );
  for (const other of words) {
    const vector = embedText(`${words[0]} ${other}`, 1);
    expect(Math.abs(vector[0] ?? 0)).toBe(1);
  }
});

test("the words of JSON are those of its text", () => {
  const text = "Hello Ana,\n\ncould the nightly build\tend earlier?";
  expect(contentWords(JSON.stringify(text))).toEqual(contentWords(text));
});
