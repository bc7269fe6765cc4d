import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 90_000,
    hookTimeout: 90_000,
    // The default leaves one core idle, which on two cores is half of them; most tests wait for processes.
    maxWorkers: "100%",
    // No test file leaves anything behind in a module; loading LangChain for each of them takes longer than they do.
    isolate: false,
  },
});
