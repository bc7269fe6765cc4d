import type { Command } from "commander";

/** Adds `serve`. */
export function addServeCommand(program: Command): void {
  program
    .command("serve")
    .description("serve the HTTP routes (docs/deploy.md) until stopped")
    .option("--port <number>", "the port", "8000")
    .option("--host <address>", "the address to listen on", "127.0.0.1")
    .action(async (options: unknown) => {
      const { serve } = await import("./serve.ts");
      process.exitCode = await serve(options);
    });
}
