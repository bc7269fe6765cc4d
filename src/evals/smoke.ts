import { createHash } from "node:crypto";
import type { Cases } from "./load-cases.ts";

/** How many cases of each kind a smoke run has. */
const MOST = { triage: 30, answers: 8, stories: 12, attacks: 16 };

/** Some of the cases, always the same ones as long as their ids stay: those whose ids have the lowest hashes. */
export function smokeCases(cases: Cases): Cases {
  return {
    ...cases,
    triage: some(cases.triage, MOST.triage),
    answers: some(cases.answers, MOST.answers),
    stories: some(cases.stories, MOST.stories),
    attacks: some(cases.attacks, MOST.attacks),
  };
}

function some<T extends { id: string }>(cases: readonly T[], most: number): T[] {
  const kept = [...cases].sort((a, b) => (hashOf(a) < hashOf(b) ? -1 : 1)).slice(0, most);
  return cases.filter((each) => kept.includes(each));
}

function hashOf({ id }: { id: string }): string {
  return createHash("sha256").update(id).digest("hex");
}
