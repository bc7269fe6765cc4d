import type { Memory } from "../memory/memory.ts";
import { similarityText } from "../memory/semantic.ts";
import type { Split, TriageCase } from "./cases.ts";
import { caseId } from "./labelled-mail.ts";

/**
 * What a user decided, as cases: the emails whose label they gave or confirmed, in reviews or by feedback. Labels that only a
 * model gave are no truth. Newest first.
 *
 * @throws MnemailError("store") when the store fails.
 */
export async function recordedCases(memory: Memory, userId: string, split: Split): Promise<TriageCase[]> {
  const cases: TriageCase[] = [];
  for (const { key, record } of await memory.examples.list(userId)) {
    const decision = await memory.findDecision(userId, key);
    // An example may be of an email that was never handled, or of another one that bore the same id.
    const isSame = decision !== undefined && similarityText(decision.email) === similarityText(record.email);
    const email = isSame ? decision.email : { ...record.email, id: key };
    cases.push({ id: caseId(key), user: userId, split, origin: "reviewed", email, label: record.label });
  }
  return cases;
}
