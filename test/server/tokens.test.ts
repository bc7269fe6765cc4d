import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, expect, test } from "vitest";
import { loadConfig, renderConfig } from "../../src/config.ts";
import { createTokens } from "../../src/server/tokens.ts";
import { temporaryFolder } from "../support/assistant.ts";

const LONG = "0123456789abcdefghijklmn";
const load = (tokens: string) => loadConfig({ environment: { API_TOKENS: tokens }, directory: tmpdir() });
const problemOf = (tokens: string): string => {
  try {
    load(tokens);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "";
};

describe("API_TOKENS", () => {
  test("names one token or several for each user, in the setting or in a file", () => {
    using folder = temporaryFolder();
    const json = JSON.stringify({ ana: LONG, ben: [`${LONG}1`, `${LONG}2`] });
    const expected = [
      { userId: "ana", tokens: [LONG] },
      { userId: "ben", tokens: [`${LONG}1`, `${LONG}2`] },
    ];
    expect(load(json).apiTokens).toEqual(expected);
    writeFileSync(folder.path("tokens.json"), json);
    expect(load(`file:${folder.path("tokens.json")}`).apiTokens).toEqual(expected);
    expect(load("").apiTokens).toBeUndefined();
  });

  const shared = { ana: `secret-${LONG}`, ben: [`secret-${LONG}`] };
  test.each([
    ["{secret", "is no JSON"],
    ['["secret"]', "expected JSON such as"],
    ["{}", "names nobody"],
    ['{"ana":"secret"}', "entry 1: expected a token of 24 to 512 visible ASCII characters"],
    [JSON.stringify({ ana: `secret ${LONG}` }), "entry 1: expected a token of 24 to 512 visible ASCII characters"],
    [JSON.stringify({ ana: LONG, ben: [] }), "entry 2: expected a token"],
    [JSON.stringify({ [`secret-${LONG}`]: "ana" }), "entry 1: expected a token"],
    [JSON.stringify({ "": `secret-${LONG}` }), "each user id has 1 to 512 characters"],
    [JSON.stringify(shared), "a token is there twice"],
    ["file:/no/secret.json", "the file it names cannot be read"],
  ])("%s is refused without a word of it", (tokens, problem) => {
    expect(problemOf(tokens)).toContain(`API_TOKENS: ${problem}`);
    expect(problemOf(tokens)).not.toContain("secret");
  });

  test("is shown as how many there are", () => {
    const shown = renderConfig(load(JSON.stringify({ ana: LONG, ben: [`${LONG}1`, `${LONG}2`] })));
    expect(shown["api_tokens"]).toBe("set (2 users, 3 tokens)");
    expect(JSON.stringify(shown)).not.toContain(LONG);
  });
});

describe("a token stands for its user", () => {
  const tokens = createTokens([
    { userId: "ana", tokens: [LONG, `${LONG}1`] },
    { userId: "ben", tokens: [`${LONG}2`] },
  ]);
  test.each<[string, Record<string, string>, string | undefined]>([
    ["a bearer token", { authorization: `Bearer ${LONG}1` }, "ana"],
    ["in other case", { authorization: `bearer  ${LONG}2` }, "ben"],
    ["as an API key", { "x-api-key": LONG }, "ana"],
    ["beside a proxy's own authorization", { authorization: "Basic eDp5", "x-api-key": LONG }, "ana"],
    ["a wrong bearer token beside a right key", { authorization: `Bearer ${LONG}9`, "x-api-key": LONG }, undefined],
    ["the beginning of a token", { authorization: `Bearer ${LONG.slice(0, -1)}` }, undefined],
    ["two tokens", { authorization: `Bearer ${LONG} ${LONG}` }, undefined],
    ["an empty one", { authorization: "Bearer ", "x-api-key": "" }, undefined],
    ["none", {}, undefined],
  ])("%s", (_, headers, user) => {
    expect(tokens(new Headers(headers))).toBe(user);
  });
});
