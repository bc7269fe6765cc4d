import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadJudgePrompt, loadPrompts, renderPrompt } from "../src/prompts.ts";

test("every prompt of the project loads, and its slots are those its text uses", () => {
  expect(loadPrompts().triage.slots).toEqual(["profile", "triage_ignore", "triage_notify", "triage_respond"]);
});

test("prompts/README.md lists exactly the prompts there are, with their slots and tokens", () => {
  const all = readdirSync("prompts", { recursive: true, encoding: "utf8" });
  const files = all.filter((file) => file.endsWith(".md") && file !== "README.md");
  const readme = readFileSync("prompts/README.md", "utf8");
  const rows = readme.matchAll(/^\| `([a-z_/]+)` \| ([^|]*) \|/gm);
  const listed = new Map([...rows].map(([, name, slots]) => [name, (slots ?? "").trim()]));
  expect([...listed.keys()].sort()).toEqual(files.map((file) => file.replace(".md", "")).sort());
  const judge = loadJudgePrompt();
  for (const prompt of [...Object.values(loadPrompts()), { ...judge, name: `judges/${judge.name}` }]) {
    expect(listed.get(prompt.name)).toBe(prompt.slots.map((slot) => `\`${slot}\``).join(" ") || "none");
    const tokens = Math.round(prompt.text.length / 40) * 10;
    expect(readme).toMatch(new RegExp(`^\\| \`${prompt.name}\` .* \\| ${tokens} \\|$`, "m"));
  }
});

test("values go into slots as they are, also such that look like slots or replacement patterns", () => {
  const template = { name: "t", text: "A {profile} B {profile}", slots: ["profile"], learnable: false };
  expect(renderPrompt(template, { profile: "$& {profile} $1" })).toBe("A $& {profile} $1 B $& {profile} $1");
  expect(() => renderPrompt(template, {})).toThrow("no value for {profile}");
});

test.each([
  ["a missing file", (folder: string) => rmSync(join(folder, "learn.md"))],
  [
    "a slot that is not declared",
    (folder: string) =>
      writeFileSync(join(folder, "learn.md"), "---\nname: learn\nslots: []\nlearnable: false\n---\n{profile}"),
  ],
  ["no frontmatter", (folder: string) => writeFileSync(join(folder, "learn.md"), "text")],
  [
    "a frame that claims to be learnable",
    (folder: string) =>
      writeFileSync(join(folder, "learn.md"), "---\nname: learn\nslots: []\nlearnable: true\n---\ntext"),
  ],
])("a prompts folder with %s is refused, naming the file", (_, damage) => {
  const folder = mkdtempSync(join(tmpdir(), "mnemail-prompts-"));
  cpSync("prompts", folder, { recursive: true });
  damage(folder);
  expect(() => loadPrompts(folder)).toThrow(/learn\.md/);
  rmSync(folder, { recursive: true });
});

test("a judge's prompt that is missing or claims to be learnable is refused, naming the file", () => {
  const folder = mkdtempSync(join(tmpdir(), "mnemail-prompts-"));
  cpSync("prompts", folder, { recursive: true });
  const file = join(folder, "judges", "answer.md");
  writeFileSync(file, "---\nname: answer\nslots: []\nlearnable: true\n---\ntext");
  expect(() => loadJudgePrompt(folder)).toThrow(/answer\.md: learnable must be false/);
  rmSync(file);
  expect(() => loadJudgePrompt(folder)).toThrow(/answer\.md: missing/);
  rmSync(folder, { recursive: true });
});
