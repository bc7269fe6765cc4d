import { z } from "zod";
import { type UserNamespaces, userNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut, RankedSearch } from "../store/operations.ts";
import type { StoreAccess } from "./access.ts";
import type { Examples } from "./examples.ts";
import { decisionRecordSchema, type KeptEmail, type Label, labelSchema } from "./records.ts";
import { type Example, readExamples } from "./semantic.ts";

/** Emails with the user's label on which a change is tried at most; each may cost two model calls. */
const MOST_LABELLED = 40;
/** Emails that only a model labelled: what a change would do to them is listed, for the user to see. */
const MOST_LISTED = 10;
/** Newest decisions among which those are looked for. */
const RECENT = 60;
/** Answers that are kept for each email: those of the live prompts and of the last ones tried. */
const KEPT_ANSWERS = 4;
const EXAMPLE_LIMIT = 10_000;

const answersSchema = z.object({ answers: z.array(z.object({ request: z.string(), label: labelSchema })) });

/** An answer of triage, by the name of what the model was shown. */
export type KnownAnswer = z.infer<typeof answersSchema>["answers"][number];

/** One email on which a change is tried. `label` is the one the user gave; null where only a model gave one. */
export interface ReplayedEmail {
  email: KeptEmail;
  label: Label | null;
  /** The examples triage would be shown, this email itself not among them. */
  examples: Example[];
  answers: KnownAnswer[];
}

/** On which emails a change is tried. */
export interface ReplayOptions {
  /** The words of the change: the emails nearest to them come first. */
  query: string;
  /** Whether the change can do anything to an email. */
  affects: (email: Pick<KeptEmail, "from" | "to" | "subject" | "body" | "cc" | "list_id">) => boolean;
  /** The email that the feedback is about: always among them, with the label the user gives it now. */
  target?: { email: KeptEmail; label: Label } | undefined;
}

/**
 * Chooses the emails on which a change is tried: the target, the labelled emails that the change can affect (those
 * nearest to its words, then the newest), and some newest ones that only a model labelled. Each comes with the examples
 * it would be shown, itself and the target left out, and with what triage answered about it before.
 */
export async function readReplays(
  access: StoreAccess,
  examples: Examples,
  { userId, query, affects, target }: ReplayOptions & { userId: string },
): Promise<ReplayedEmail[]> {
  const at = userNamespaces(userId);
  const nearest: RankedSearch = { namespacePrefix: at.examples, query, ranking: "hybrid", limit: MOST_LABELLED };
  const [near, all, recent] = await access.batch([
    nearest,
    { namespacePrefix: at.examples, limit: EXAMPLE_LIMIT },
    { namespacePrefix: at.decisions, limit: RECENT },
  ]);
  const newestFirst = readExamples(all).sort((a, b) => (a.record.at > b.record.at ? -1 : 1));
  const labelled = [...new Map([...readExamples(near), ...newestFirst].map((each) => [each.key, each])).values()]
    .filter(({ key, record }) => key !== target?.email.id && affects({ ...record.email, list_id: record.list_id }))
    .slice(0, MOST_LABELLED);
  const withLabel = new Set([...newestFirst.map(({ key }) => key), ...(target ? [target.email.id] : [])]);
  const listed = recent
    .flatMap(({ value }) => decisionRecordSchema.safeParse(value).data ?? [])
    .filter(({ email }) => !withLabel.has(email.id) && affects(email))
    .slice(0, MOST_LISTED);
  const emails = [
    ...(target ? [target] : []),
    ...labelled.map(({ key, record }) => ({ email: { ...record.email, id: key }, label: record.label })),
    ...listed.map(({ email }) => ({ email, label: null })),
  ];
  if (emails.length === 0) return [];
  const targets = target ? [target.email.id] : [];
  const chosen = await examples.nearest(
    userId,
    emails.map(({ email }) => ({ email, without: new Set([email.id, ...targets]) })),
  );
  const items = await access.batch(
    emails.flatMap(({ email }) => [
      { namespace: at.decisions, key: email.id },
      { namespace: at.replays, key: email.id },
    ]),
  );
  return emails.map(({ email, label }, i) => {
    const decision = decisionRecordSchema.safeParse(items[2 * i]?.value).data;
    const kept = answersSchema.safeParse(items[2 * i + 1]?.value).data?.answers ?? [];
    const decided = decision?.request === undefined ? [] : [{ request: decision.request, label: decision.label }];
    // The decision has the whole email; the example what is compared of it.
    return { email: decision?.email ?? email, label, examples: chosen[i] ?? [], answers: [...kept, ...decided] };
  });
}

/** The put of what triage answered about an email; the oldest answers give way. */
export function replayPut(at: UserNamespaces, { email, answers }: ReplayedEmail): ConditionalPut {
  const distinct = [...new Map(answers.map((answer) => [answer.request, answer])).values()];
  return { namespace: at.replays, key: email.id, value: { answers: distinct.slice(-KEPT_ANSWERS) }, index: false };
}
