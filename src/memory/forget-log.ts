import type { Change, GateReport, Receipt } from "./feedback-record.ts";
import { namesEmail, type Traces } from "./forget-traces.ts";
import type { Rule } from "./records.ts";
import type { Operation, ProposalRecord, VersionRecord } from "./versions.ts";

/**
 * The operations of a version or proposal without the rules that are forgotten, and without words of forgotten feedback.
 * What followed from them still follows: a rule that a forgotten one took the place of stays gone.
 */
function rewriteOperations(operations: readonly Operation[], cause: string | null, traces: Traces): Operation[] {
  return operations.flatMap((each) => rewriteOperation(each, cause, traces));
}

function rewriteOperation(each: Operation, cause: string | null, traces: Traces): Operation[] {
  const { rules } = traces;
  switch (each.op) {
    case "add":
      return rules.has(each.rule.id) ? [] : [{ ...each, rule: rewriteRule(each.rule, traces) }];
    case "replace":
      if (!rules.has(each.rule.id)) return [{ ...each, rule: rewriteRule(each.rule, traces) }];
      return rules.has(each.id) ? [] : [{ op: "retire", id: each.id, evidence: "" }];
    case "retire":
      return rules.has(each.id) ? [] : [{ ...each, evidence: rewriteEvidence(each.evidence, cause, traces) }];
    case "restore": {
      const kept = each.rules.filter(({ id }) => !rules.has(id));
      return [{ ...each, rules: kept.map((rule) => rewriteRule(rule, traces)) }];
    }
  }
}

function rewriteRule(rule: Rule, traces: Traces): Rule {
  const { origin } = rule;
  return {
    ...rule,
    origin: { ...origin, evidence: rewriteEvidence(origin.evidence, origin.feedback ?? null, traces) },
  };
}

/** Evidence quotes the feedback, or names the emails that were labelled. */
function rewriteEvidence(evidence: string, cause: string | null, { words, feedback, emails }: Traces): string {
  const isQuoted = cause !== null && (words.has(cause) || feedback.has(cause));
  return isQuoted || [...emails.keys()].some((id) => namesEmail(evidence, id)) ? "" : evidence;
}

/** The report of a test without the emails that are forgotten. */
function rewriteGate(gate: GateReport | null, { emails }: Traces): GateReport | null {
  if (!gate) return null;
  const kept = (flips: GateReport["fixed"]) => flips.filter(({ id }) => !emails.has(id));
  const { target, fixed, broken, listed } = gate;
  const isKept = target !== null && !emails.has(target.id);
  return {
    ...gate,
    target: isKept ? target : null,
    ...{ fixed: kept(fixed), broken: kept(broken), listed: kept(listed) },
  };
}

/** A version without what is forgotten. It keeps its number. */
export function rewriteVersion(record: VersionRecord, traces: Traces): VersionRecord {
  const operations = rewriteOperations(record.operations, record.feedback, traces);
  return { ...record, operations, gate: rewriteGate(record.gate, traces) };
}

/** A proposal without what is forgotten; one that is left with nothing to propose is rejected. */
export function rewriteProposal(record: ProposalRecord, traces: Traces): ProposalRecord {
  const changes = record.changes
    .map(({ prompt, operations }) => ({ prompt, operations: rewriteOperations(operations, record.feedback, traces) }))
    .filter(({ operations }) => operations.length > 0);
  const isEmptied = traces.feedback.has(record.feedback) || (changes.length === 0 && record.changes.length > 0);
  if (!isEmptied) return { ...record, changes, gate: rewriteGate(record.gate, traces) };
  const { number, author, feedback, model, at } = record;
  const status = record.status === "open" ? "rejected" : record.status;
  return { ...{ number, status, author, feedback, model, at }, changes: [], gate: null };
}

/** A receipt without what is forgotten: the rules, facts and examples, and the words of the feedback where these go. */
export function rewriteReceipt(receipt: Receipt, traces: Traces): Receipt {
  const isSilent = traces.words.has(receipt.feedback);
  return {
    ...receipt,
    changes: receipt.changes.flatMap((change) => rewriteChange(change, receipt.feedback, traces)),
    notes: isSilent ? [] : receipt.notes,
    gate: rewriteGate(receipt.gate, traces),
  };
}

function rewriteChange(change: Change, cause: string, traces: Traces): Change[] {
  const { emails, memories, ruleTexts } = traces;
  switch (change.kind) {
    case "rule": {
      const { text, was } = change;
      const wasForgotten = was !== null && ruleTexts.has(was);
      if (text === null ? wasForgotten : ruleTexts.has(text)) return [];
      const evidence = rewriteEvidence(change.evidence, cause, traces);
      return [{ ...change, was: wasForgotten ? null : was, evidence }];
    }
    case "fact":
      if (memories.has(change.key)) return [];
      return [{ ...change, superseded: change.superseded.filter(({ key }) => !memories.has(key)) }];
    case "example":
      return emails.has(change.key) ? [] : [change];
  }
}
