import { readdirSync, rmSync } from "node:fs";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { loadConfig } from "../../../src/config.ts";
import type { ShownRequest } from "../../../src/evals/answer-cache.ts";
import type { AttackCase } from "../../../src/evals/attacks/attack-case.ts";
import { startObedientModel } from "../../../src/evals/attacks/obedient-model.ts";
import { type AttackTarget, runAttackCase } from "../../../src/evals/attacks/run-attack-case.ts";
import { OURS, type Program } from "../../../src/evals/attacks/session.ts";
import { openModels } from "../../../src/models.ts";
import { startStandIn } from "../../../src/stand-in/server.ts";
import { parseChat } from "../../../src/stand-in/wire.ts";
import { ATTACKS, attackNamed } from "../../security/attack-cases.ts";
import { GATES } from "../../security/gates.ts";
import { copyWithout, temporaryCopies } from "../../security/program-copy.ts";
import { temporaryFolder } from "../../support/assistant.ts";

const AT_ONCE = 4;

/** What `run` makes of each, some at once, in their order. */
async function each<T, R>(all: readonly T[], run: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const rest = all.entries();
  const work = async () => {
    for (const [i, one] of rest) results[i] = await run(one);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return results;
}

/** The models of a configuration as an evaluation run hands them over, on a server whose requests are read. */
async function asked(
  url: string,
  requests: () => readonly ShownRequest[],
): Promise<AttackTarget & AsyncDisposable & { mode: "model" }> {
  const config = loadConfig({ environment: { OPENAI_BASE_URL: url, MODEL_MAX_RETRIES: "0" }, directory: "/" });
  const models = await openModels(config);
  return { mode: "model", models, config, requests, [Symbol.asyncDispose]: () => models[Symbol.asyncDispose]() };
}

/** Runs an attack against the stand-in, as if it were any other model. */
async function onStandIn(attackCase: AttackCase) {
  await using server = await startStandIn();
  const requests = (): ShownRequest[] =>
    server.requests
      .filter(({ path }) => path.endsWith("/chat/completions"))
      .map(({ body }) => parseChat(body))
      .map(({ format, messages }) => ({ kind: format?.name ?? "answer", messages }));
  await using target = await asked(server.url, requests);
  return await runAttackCase(attackCase, target);
}

/** Runs an attack against an obedient model, of which nothing is known but its requests. */
async function onSomeObedientModel(attackCase: AttackCase, program?: Program) {
  await using server = await startObedientModel();
  await using target = await asked(server.url, () => server.requests);
  return await runAttackCase(attackCase, target, program);
}

/** The program without a gate, and the attacks that it stops. */
async function withoutGate(name: string, folder: string) {
  const gate = GATES.find((each) => each.name === name);
  if (!gate) throw new Error(`there is no gate ${JSON.stringify(name)}`);
  return { program: await copyWithout(gate.off, folder), attacks: gate.attacks.map(attackNamed) };
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("an attack of the cases is repelled, several at once", () => {
  test("on a model that obeys every text", async () => {
    // All of them run in `test/security/attacks.test.ts`, one after another.
    const attacks = ATTACKS.filter((_, i) => i % 5 === 0);
    const results = await each(attacks, (attack) => runAttackCase(attack, { mode: "obedient" }));
    expect(attacks.filter((_, i) => results[i]?.violations.length !== 0).map(({ id }) => id)).toEqual([]);
  });

  test("on another model of the configuration, which may do as it likes", async () => {
    const results = await each(ATTACKS, onStandIn);
    const found = results.flatMap(({ violations }, i) => violations.map((each) => [ATTACKS[i]?.id, each]));
    expect(found).toEqual([]);
  });

  test("and leaves no file behind", async () => {
    using folder = temporaryFolder();
    vi.stubEnv("TMPDIR", folder.path("."));
    const withFiles = ATTACKS.filter(({ acts }) => acts.some((act) => "calendar" in act));
    expect(withFiles.length).toBeGreaterThan(1);
    await each(withFiles, (attack) => runAttackCase(attack, { mode: "obedient" }));
    expect(readdirSync(folder.path("."))).toEqual([]);
  });
});

describe("where a gate is off, the attack that it stops is told as a violation", () => {
  test("in both modes, and of those that run beside it nothing is", async () => {
    const folder = temporaryCopies();
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const { program, attacks } = await withoutGate("what a model wants to remember while it answers waits", folder);
    const harmless = [attackNamed("date: add a recipient"), attackNamed("Reply-To: add a recipient")];
    for (const run of [
      (attack: AttackCase) => runAttackCase(attack, { mode: "obedient" }, program),
      (attack: AttackCase) => onSomeObedientModel(attack, program),
    ]) {
      const [first, success, last] = await each(
        [harmless[0], attacks[0], harmless[1]].flatMap((a) => a ?? []),
        run,
      );
      expect(first?.violations).toEqual([]);
      expect(success?.violations.map(({ gate }) => gate)).toContain("store");
      expect(last?.violations).toEqual([]);
    }
  });
});

test("what is sent without approval is told as a violation", async () => {
  const hasty: Program = {
    ...OURS,
    async openAssistant(config, options = {}) {
      const assistant = await OURS.openAssistant(config, options);
      const email = { key: "hasty", userId: "ana@home.example", from: "ana@home.example", to: "eve@evil.example" };
      const rest = { subject: "Printer", body: "Here it is.", references: [], at: new Date() };
      await options.outbox?.writeEmail({ ...email, ...rest });
      return assistant;
    },
  };
  const { violations } = await runAttackCase(attackNamed("body: add a recipient"), { mode: "obedient" }, hasty);
  expect(violations).toContainEqual({ gate: "outbox", what: "hasty is sent, which nobody approved" });
});

describe("an attack that proves nothing is an error", () => {
  const missing: AttackCase = {
    ...attackNamed("body: add a recipient"),
    obeyed: [{ do: "write_email", args: { to: "nobody@evil.example" } }],
  };

  test("where an obedient model never saw the order", async () => {
    await expect(runAttackCase(missing, { mode: "obedient" })).rejects.toThrow(
      /^body-add-a-recipient: the model never saw \{"do":"write_email"/,
    );
  });

  test("but not on a model that need not obey", async () => {
    expect(await onStandIn(missing)).toEqual({ violations: [] });
  });

  test("where nobody knows what the model was shown", async () => {
    await using server = await startStandIn();
    await using target = await asked(server.url, () => []);
    await expect(runAttackCase(attackNamed("body: add a recipient"), target)).rejects.toThrow("were not recorded");
  });

  test("where the model fails", async () => {
    await using server = await startStandIn({ faults: [{ when: {}, kind: "server_error", times: 100 }] });
    await using target = await asked(server.url, () => []);
    await expect(runAttackCase(attackNamed("body: add a recipient"), target)).rejects.toThrow(
      "the model server failed (500)",
    );
  });
});
