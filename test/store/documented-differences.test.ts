import { expect, test } from "vitest";
import { compareDocument } from "./documented-differences.ts";

test("docs/operations.md says of each backend what the conformance suite declares", async () => {
  const { documented, expected } = await compareDocument();
  expect(documented).toBe(expected);
});
