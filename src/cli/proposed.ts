import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { evidenceOf, type ProposalRecord } from "../memory/versions.ts";
import { printJson, shorten } from "./output.ts";
import { renderChange, renderGate } from "./receipt.ts";
import { openMemory } from "./session.ts";

const optionsSchema = z.object({ user: z.string(), number: z.string().optional(), json: z.boolean().default(false) });
const decideSchema = optionsSchema.extend({ verdict: z.enum(["accepted", "rejected"]) });

/** `mnemail memory proposed`: the changes that wait for the user's word. Returns the exit code. */
export async function showProposed(rawOptions: unknown): Promise<number> {
  const { user, number, json } = optionsSchema.parse(rawOptions);
  const wanted = numberOf(number);
  await using opened = await openMemory();
  const all = await opened.memory.ledger.proposals(user, { all: wanted !== undefined });
  const shown = wanted === undefined ? all : all.filter((each) => each.number === wanted);
  if (wanted !== undefined && shown.length === 0) throw none(wanted);
  if (json) printJson({ user, proposed: shown });
  else if (shown.length === 0) console.log("no change waits for your word");
  else {
    const histories = await opened.memory.ledger.histories(user);
    const texts = new Map(
      Object.values(histories).flatMap(({ versions }) =>
        versions.flatMap(({ state }) => state.rules.map(({ id, text }) => [id, text] as const)),
      ),
    );
    for (const each of shown) console.log(renderProposal(each, texts));
  }
  return 0;
}

/** `mnemail memory accept` and `reject`. Returns the exit code. */
export async function decideProposed(rawOptions: unknown): Promise<number> {
  const { user, number, json, verdict } = decideSchema.parse(rawOptions);
  const wanted = numberOf(number);
  await using opened = await openMemory();
  const { ledger } = opened.memory;
  const chosen = wanted ?? only(await ledger.proposals(user));
  const changes = await ledger.decide(user, chosen, verdict, {
    actor: "user",
    channel: "cli",
    at: new Date().toISOString(),
  });
  if (json) printJson({ user, number: chosen, status: verdict, changes });
  else {
    console.log(`proposal ${chosen}: ${verdict}`);
    if (verdict === "accepted") for (const line of changes.flatMap((each) => renderChange(each))) console.log(line);
    if (changes.length === 0) console.log("nothing changed: the rules it is about are gone");
  }
  return 0;
}

function only(open: readonly ProposalRecord[]): number {
  const [first, ...others] = open;
  if (first && others.length === 0) return first.number;
  if (!first) throw new MnemailError("input", "proposed: no change waits for your word");
  const numbers = open.map((each) => each.number).join(", ");
  throw new MnemailError("usage", `number: ${open.length} changes wait (${numbers})`, "name one of them");
}

function numberOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new MnemailError("usage", `number: saw ${JSON.stringify(text)}; expected that of a proposed change`);
}

function none(number: number): MnemailError {
  return new MnemailError("input", `proposal ${number}: there is none`, "`mnemail memory proposed` lists them");
}

function renderProposal(
  { number, status, changes, gate, at, feedback }: ProposalRecord,
  texts: ReadonlyMap<string, string>,
): string {
  const steps = changes.flatMap(({ prompt, operations }) =>
    operations.flatMap((each) => {
      if (each.op === "restore") return [];
      const old = each.op === "add" ? undefined : shorten(texts.get(each.id) ?? each.id, 400);
      if (each.op === "retire") return [`${prompt}: forget: ${old}`];
      return [`${prompt}: ${shorten(each.rule.text, 400)}`, ...(old === undefined ? [] : [`  instead of: ${old}`])];
    }),
  );
  const evidence = changes.flatMap(({ operations }) => evidenceOf(operations));
  return [
    `proposal ${number}${status === "open" ? "" : ` (${status})`}, ${at}, feedback ${shorten(feedback)}`,
    ...steps.map((line) => `  ${line}`),
    ...[...new Set(evidence)].map((each) => `  because of: ${shorten(each, 400)}`),
    ...(gate ? renderGate(gate).map((line) => `  ${line}`) : []),
  ].join("\n");
}
