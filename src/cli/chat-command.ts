import type { Command, Option } from "commander";

// The command imports its own work when it runs, so that `--help` loads no LangChain module.

/** Adds `mnemail chat`; `user` and `json` make the options that other commands have too. */
export function addChatCommand(program: Command, { user, json }: { user: () => Option; json: () => Option }): void {
  program
    .command("chat")
    .description("talk to the assistant about your email and what it remembers; nothing is sent or approved")
    .addOption(user())
    .argument("[message...]", "one message; without it, a conversation on a terminal, else the text of stdin")
    .option("--thread <id>", "go on with a chat, by the id that it or `mnemail threads list` prints")
    .addOption(json())
    .addHelpText(
      "after",
      `
On a terminal each line is a message; /quit or Ctrl-D ends the chat. What you say is your word: facts are kept and
feedback is learnt. Once emails were shown in a chat, what is to be remembered waits for your approval.

Examples:
  mnemail chat --user alice@example.com
  mnemail chat --user alice@example.com "What do you know about Ada?"
  mnemail chat --user alice@example.com --thread THREAD_ID "Which emails came from her?"`,
    )
    .action(async (message: unknown, options: Record<string, unknown>) => {
      const { chat } = await import("./chat.ts");
      process.exitCode = await chat({ ...options, message });
    });
}
