import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const folder = new URL("../../src/stand-in/", import.meta.url);
const files = readdirSync(folder).map((name) => ({ name, text: readFileSync(new URL(name, folder), "utf8") }));

test("the stand-in imports nothing but itself, Node and zod", () => {
  const imports = files.flatMap(({ text }) =>
    [...text.matchAll(/(?:from|import)\s*\(?\s*["']([^"']+)["']/g)].map(([, path]) => path ?? ""),
  );
  expect(imports.length).toBeGreaterThan(10);
  expect(imports.filter((path) => !/^(?:zod$|node:|\.\/[\w-]+\.ts$)/.test(path))).toEqual([]);
});

test("its behaviour stays small enough to read", () => {
  expect(files.filter(({ text }) => text.split("\n").length > 201).map(({ name }) => name)).toEqual([]);
});
