import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/assistant.ts";
import { jsonLines, runCli, startCli } from "../support/cli.ts";

const ANA = "ana@home.example";

test("after kill -9 in the middle of a run the store opens, nothing stored before is lost, and the run can be repeated", async () => {
  using folder = temporaryFolder();
  const environment = { STORE_URL: `sqlite:${folder.path("memory.db")}` };
  const emails = Array.from({ length: 120 }, (_, i) => ({
    id: `q${i}`,
    from: `Person ${i} <p${i}@work.example>`,
    to: ANA,
    subject: `Question ${i}`,
    body: "Could you tell me when the next release is planned?",
  }));
  writeFileSync(folder.path("inbox.json"), JSON.stringify(emails));
  await runCli(["feedback", "--user", ANA, "Always sign my emails with Ana B."], environment);

  const args = ["run", "--user", ANA, "--inbox", folder.path("inbox.json"), "--json"];
  const child = startCli(args, environment);
  const done: string[] = [];
  if (!child.stdout) throw new Error("no stdout");
  for await (const line of createInterface({ input: child.stdout })) {
    done.push(line);
    if (done.length === 8) child.kill("SIGKILL");
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  expect(child.signalCode).toBe("SIGKILL");
  expect(done.length).toBeLessThan(emails.length);

  const { stdout, code } = await runCli(["memory", "show", "--user", ANA, "--json"], environment);
  expect(code).toBe(0);
  const memory = JSON.parse(stdout);
  expect(JSON.stringify(memory.procedural)).toContain("Ana B.");
  const remembered = new Set(memory.episodic.map((each: { source: string }) => each.source));
  for (const { id } of jsonLines(done.join("\n")) as { id: string }[]) expect(remembered).toContain(id);

  const again = await runCli(args, environment);
  expect(again.code).toBe(0);
  expect(jsonLines(again.stdout)).toHaveLength(emails.length);
  const { stdout: after } = await runCli(["memory", "show", "--user", ANA, "--json"], environment);
  expect(JSON.parse(after).episodic).toHaveLength(emails.length);
});
