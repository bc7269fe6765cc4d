import { existsSync } from "node:fs";
import { z } from "zod";
import { emailSchema } from "../email.ts";
import { PROFILE_KEY, readProfileFields } from "../memory/profile.ts";
import { LABELS, labelSchema } from "../memory/records.ts";
import { readExamples, similarityText } from "../memory/semantic.ts";
import { hashText } from "../prompts.ts";
import { userNamespaces, userRoots } from "../store/namespaces.ts";
import { openStore } from "../store/open-store.ts";
import { isBelow, type KeptRow } from "../store/row-driver.ts";
import { localPathOf } from "../store-config/describe-store.ts";
import type { StoreConfig } from "../store-config/store-config.ts";
import { type TriageCase, triageCaseSchema } from "./cases.ts";
import { type Cases, checkIds, NO_CASES } from "./load-cases.ts";
import { hashJson, type ReadLine, readLines } from "./read-lines.ts";

const anyCaseSchema = z.string().toLowerCase().trim().pipe(labelSchema);

/** An email with its label, as people keep them: flat, or with the email below `email`; the label has several names. */
const labelledSchema = z
  .looseObject({
    label: anyCaseSchema.optional(),
    classification: anyCaseSchema.optional(),
    expected_triage: anyCaseSchema.optional(),
  })
  .transform((line, context) => {
    const label = line.label ?? line.classification ?? line.expected_triage;
    const email = emailSchema.safeParse(line);
    if (label === undefined) {
      context.addIssue({ code: "custom", path: ["label"], message: `expected ${LABELS.join(", ")}` });
    }
    for (const { path, message } of email.error?.issues ?? []) context.addIssue({ code: "custom", path, message });
    return label === undefined || !email.success ? z.NEVER : { label, email: email.data };
  });

/**
 * Reads labelled mail, one email a line: cases as `mnemail eval import` writes them, or emails (in any form that
 * `mnemail run` reads) with a `label`, `classification` or `expected_triage`. They become cases of one user.
 *
 * @throws MnemailError("input") that names file, line and field.
 */
export async function readLabelledMail(path: string, userId: string): Promise<ReadLine<TriageCase>[]> {
  const lines = await readLines(
    path,
    z.union([
      triageCaseSchema,
      labelledSchema.transform(
        ({ email, label }): TriageCase => ({
          ...{ id: caseId(email.id), user: userId, split: "dev", origin: "imported", email, label },
        }),
      ),
    ]),
  );
  const own = lines.map((line) => ({ ...line, value: { ...line.value, user: userId } }));
  checkIds(own);
  return own;
}

/** The id of an email as that of a case, which has no other signs than letters, digits and .@+#_- */
export function caseId(emailId: string): string {
  const id = emailId.replace(/[^\w.@+#-]+/g, "-").slice(0, 180);
  // Two ids that differ in other signs alone stay apart.
  return id === emailId ? id : `${id}-${hashText(emailId, 8)}`;
}

/** Labelled mail as the cases of a run. */
export async function loadInboxCases(path: string, userId: string, rows: readonly KeptRow[]): Promise<Cases> {
  const lines = await readLabelledMail(path, userId);
  const profile = rows.find(
    ({ key, namespace }) => key === PROFILE_KEY && isBelow(namespace, userNamespaces(userId).profile),
  );
  const user = { id: userId, about: "", profile: readProfileFields(profile?.value), now: new Date().toISOString() };
  return {
    ...NO_CASES,
    folder: path,
    users: new Map([[userId, { ...user, memory: { rules: [], examples: [], facts: [] } }]]),
    triage: lines.map(({ value }) => value),
    lockable: lines.map(({ value, hash }) => ({ id: value.id, split: value.split, hash })),
    files: [{ name: path, cases: lines.length, hash: hashJson(lines.map(({ hash }) => hash)) }],
  };
}

/** A copy of what the configured store has of a user; nothing is written there. */
export async function copyMemory(store: StoreConfig, userId: string, warn: (line: string) => void): Promise<KeptRow[]> {
  const path = localPathOf(store);
  if (path !== undefined && !existsSync(path)) return [];
  const opened = await openStore(store, { warn });
  try {
    const rows: KeptRow[] = [];
    for await (const page of opened.pages(Object.values(userRoots(userId)))) rows.push(...page);
    return rows;
  } finally {
    await opened.stop();
  }
}

/**
 * Rows without the examples that are emails of the cases, or the answers would be in the questions. What rules were made of
 * cannot be told.
 */
export function withoutCases(rows: readonly KeptRow[], userId: string, cases: readonly TriageCase[]): KeptRow[] {
  const { examples } = userNamespaces(userId);
  const asked = new Set(cases.map(({ email }) => similarityText(email)));
  const ids = new Set(cases.map(({ email }) => email.id));
  return rows.filter(({ namespace, key, value, createdAt, updatedAt }) => {
    if (!isBelow(namespace, examples)) return true;
    const [example] = readExamples([{ namespace, key, value, createdAt, updatedAt }]);
    return !ids.has(key) && !(example && asked.has(similarityText(example.record.email)));
  });
}
