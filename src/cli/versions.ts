import { createTwoFilesPatch } from "diff";
import { z } from "zod";
import { cleanText, splitLines } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { liveVersion, originsOf, type Version } from "../memory/history.ts";
import type { Memory } from "../memory/memory.ts";
import type { PromptHistory } from "../memory/version-puts.ts";
import { evidenceOf } from "../memory/versions.ts";
import { LEARNABLE_PROMPTS, type LearnablePrompt } from "../prompts.ts";
import { printJson, shorten } from "./output.ts";
import { plural } from "./progress.ts";
import { renderGate } from "./receipt.ts";
import { openMemory } from "./session.ts";

const baseSchema = z.object({ user: z.string(), prompt: z.string(), json: z.boolean().default(false) });
const diffSchema = baseSchema.extend({ a: z.string().optional(), b: z.string().optional() });
const rollbackSchema = baseSchema.extend({ version: z.string().optional() });

/** `mnemail memory history`: the versions of a prompt, newest first. Returns the exit code. */
export async function showHistory(rawOptions: unknown): Promise<number> {
  const { user, prompt, json } = baseSchema.parse(rawOptions);
  return withHistory({ user, prompt }, ({ versions, name }) => {
    const newestFirst = versions.toReversed();
    if (json) printJson({ user, prompt: name, versions: newestFirst.map(asJson) });
    else
      for (const [i, version] of newestFirst.entries())
        console.log(renderVersion(version, newestFirst[i + 1], i === 0));
  });
}

/** `mnemail memory diff`: what changed between two versions. Returns the exit code. */
export async function showDiff(rawOptions: unknown): Promise<number> {
  const { user, prompt, json, ...given } = diffSchema.parse(rawOptions);
  const [a, b] = [numberOf(given.a), numberOf(given.b)];
  return withHistory({ user, prompt }, ({ versions, name, find }) => {
    const live = liveVersion(versions);
    const from = a === undefined ? (versions.at(-2) ?? live) : find(a);
    const to = b === undefined ? live : find(b);
    const title = (version: Version) => `${name} version ${version.number}`;
    const patch = createTwoFilesPatch(title(from), title(to), `${from.text}\n`, `${to.text}\n`);
    const diff = from.text === to.text ? "" : patch.split("\n").slice(1).join("\n").trim();
    if (json) printJson({ user, prompt: name, from: from.number, to: to.number, diff });
    else if (diff === "") console.log(`${name}: versions ${from.number} and ${to.number} are the same`);
    else for (const line of splitLines(diff)) console.log(cleanText(line));
  });
}

/** `mnemail memory blame`: where each rule of a prompt comes from. Returns the exit code. */
export async function showBlame(rawOptions: unknown): Promise<number> {
  const { user, prompt, json } = baseSchema.parse(rawOptions);
  return withHistory({ user, prompt }, ({ versions, name, defaultText }) => {
    const { base, rules } = liveVersion(versions).state;
    const origins = originsOf(versions);
    const from = base === defaultText ? "the default" : "an edited or older text";
    if (json) {
      const blamed = rules.map(({ id, text, origin }) => {
        const { number, record } = origins.get(id) ?? {};
        const { feedback = null, author = null, at = null } = record ?? {};
        return { id, text, evidence: origin.evidence, version: number ?? null, feedback, author, at };
      });
      printJson({ user, prompt: name, base: from, rules: blamed });
      return;
    }
    console.log(`${name}: begins with ${from}${rules.length === 0 ? "; no rules learnt" : ""}`);
    for (const { id, text, origin } of rules) {
      const version = origins.get(id);
      console.log(`- ${shorten(text, 400)}`);
      if (version) console.log(`    version ${version.number}: ${renderOrigin(version)}`);
      if (origin.evidence) console.log(`    because of: ${shorten(origin.evidence, 400)}`);
    }
  });
}

/** `mnemail memory rollback`: makes an older version live again. Returns the exit code. */
export async function rollback(rawOptions: unknown): Promise<number> {
  const { user, prompt, json, version } = rollbackSchema.parse(rawOptions);
  const to = numberOf(version);
  const name = promptNamed(prompt);
  await using opened = await openMemory();
  const act = { actor: "user", channel: "cli", at: new Date().toISOString() };
  const done = await opened.memory.ledger.rollback(user, name, to, act);
  if (json) printJson({ user, prompt: name, from: done.from.number, restored: done.to.number, version: done.version });
  else {
    console.log(
      `${name}: version ${done.to.number} is live again, as version ${done.version} (was ${done.from.number})`,
    );
    const lost = done.from.state.rules.filter(({ id }) => !done.to.state.rules.some((rule) => rule.id === id));
    const back = done.to.state.rules.filter(({ id }) => !done.from.state.rules.some((rule) => rule.id === id));
    for (const { text } of lost) console.log(`  - ${shorten(text, 400)}`);
    for (const { text } of back) console.log(`  + ${shorten(text, 400)}`);
  }
  return 0;
}

interface Shown extends PromptHistory {
  name: LearnablePrompt;
  defaultText: string;
  find: (number: number) => Version;
}

async function withHistory(
  { user, prompt }: { user: string; prompt: string },
  show: (history: Shown) => void,
): Promise<number> {
  const name = promptNamed(prompt);
  await using opened = await openMemory();
  const { memory }: { memory: Memory } = opened;
  const history = (await memory.ledger.histories(user))[name];
  const find = (number: number) => memory.ledger.versionOf(history, number);
  show({ ...history, name, defaultText: history.prompt.defaultText, find });
  return 0;
}

function promptNamed(name: string): LearnablePrompt {
  const found = LEARNABLE_PROMPTS.find((each) => each === name);
  if (found) return found;
  throw new MnemailError("usage", `prompt: saw ${JSON.stringify(name)}; expected ${LEARNABLE_PROMPTS.join(", ")}`);
}

function numberOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new MnemailError("usage", `version: saw ${JSON.stringify(text)}; expected a number from 0`);
}

function asJson({ number, text, record, isRecorded }: Version) {
  const { author, feedback, operations, gate, accepted, restores, forgotten, model, at } = record ?? {};
  const parent = record?.parent ?? null;
  const evidence = evidenceOf(operations ?? []);
  return {
    version: number,
    parent,
    at,
    author,
    feedback,
    operations,
    evidence,
    gate,
    accepted,
    restores,
    forgotten,
    model,
    recorded: isRecorded,
    text,
  };
}

function renderVersion(version: Version, parent: Version | undefined, isLive: boolean): string {
  const { number, record } = version;
  if (!record) return `version 0${isLive ? " (live)" : ""}: the default`;
  const steps = record.operations.flatMap((each): string[] => {
    if (each.op === "add") return [`+ ${each.rule.text}`];
    if (each.op === "restore") return [];
    const old = parent?.state.rules.find(({ id }) => id === each.id)?.text ?? each.id;
    return each.op === "replace" ? [`+ ${each.rule.text}`, `- ${old}`] : [`- ${old}`];
  });
  const { forgotten } = record;
  const what = [
    ...(record.restores === null ? [] : [`restores version ${record.restores}`]),
    ...(!forgotten ? [] : [`forgets ${plural(forgotten, "rule")}, which no version has any more`]),
  ];
  const gate = record.gate ? renderGate(record.gate).slice(0, 1) : [];
  return [
    `version ${number}${isLive ? " (live)" : ""}: ${renderOrigin(version)}`,
    ...[...what, ...steps, ...gate, ...(record.accepted ? ["accepted although its test did not pass"] : [])].map(
      (line) => `    ${shorten(line, 400)}`,
    ),
  ].join("\n");
}

function renderOrigin({ record, isRecorded }: Version): string {
  if (!record) return "the default";
  const { at, author, feedback } = record;
  const by = `${shorten(author.actor)} by ${shorten(author.channel)}`;
  return `${at || "time not known"}, ${by}${feedback ? `, feedback ${shorten(feedback)}` : ""}${isRecorded ? "" : " (not yet recorded)"}`;
}
