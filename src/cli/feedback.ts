import { z } from "zod";
import { loadConfig } from "../config.ts";
import type { Change } from "../learning/learn.ts";
import { labelSchema } from "../memory/records.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { printJson } from "./output.ts";
import { openSession } from "./session.ts";

const optionsSchema = z.object({
  user: z.string(),
  text: z.string().optional(),
  email: z.string().optional(),
  label: labelSchema.optional(),
  json: z.boolean().default(false),
});

/** `mnemail feedback`: changes memory by what the user says, and prints what changed. Returns the exit code. */
export async function feedback(rawOptions: unknown): Promise<number> {
  const { user, text, email, label, json } = optionsSchema.parse(rawOptions);
  encodeUserId(user);
  await using assistant = await openSession(loadConfig());
  const { changes, usage } = await assistant.learn(user, { text, emailId: email, label });
  if (json) printJson({ user, changes, usage });
  else for (const change of changes) console.log(renderChange(change));
  return 0;
}

function renderChange(change: Change): string {
  switch (change.kind) {
    case "rule":
      return change.changed
        ? `learnt (${change.prompt}, version ${change.version}): ${change.text}`
        : `known already (${change.prompt}, version ${change.version}): ${change.text}`;
    case "fact":
      return `${change.changed ? "remembered" : "known already"} (${change.key}): ${change.text}`;
    case "example":
      return `example ${change.key}: ${change.label}${change.was === change.label ? " (confirmed)" : ` (was ${change.was})`}`;
  }
}
