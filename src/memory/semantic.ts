import type { Item, PutOperation } from "@langchain/langgraph-checkpoint";
import { type Email, quoteUntrusted, renderEmail } from "../email.ts";
import type { UserNamespaces } from "../store/namespaces.ts";
import type { RankedSearch } from "../store/operations.ts";
import {
  type ComparedEmail,
  compareEmail,
  type ExampleRecord,
  exampleRecordSchema,
  type KeptEmail,
  type Label,
  type UsedMemory,
} from "./records.ts";

/** How many of the nearest examples triage is shown. */
const NEAREST_EXAMPLES = 4;

const EXAMPLE_BODY_LIMIT = 1_000;

/** One example with its key in the store. */
export interface Example {
  key: string;
  record: ExampleRecord;
}

/** The text by which an email is compared with examples and memories. */
export function similarityText(email: ComparedEmail): string {
  return JSON.stringify(compareEmail(email));
}

/** The put that makes an email an example, or corrects the label it has as one. */
export function examplePut(namespaces: UserNamespaces, email: KeptEmail, label: Label, at: string): PutOperation {
  const value = { email: compareEmail(email), label, at } satisfies ExampleRecord;
  return { namespace: namespaces.examples, key: email.id, value, index: ["email"] };
}

/** The search for the examples nearest to an email. */
export function nearestExamples(namespaces: UserNamespaces, email: Email): RankedSearch {
  return {
    namespacePrefix: namespaces.examples,
    query: similarityText(email),
    ranking: "hybrid",
    limit: NEAREST_EXAMPLES,
  };
}

/** Parses found examples; records that other programs wrote in another shape are passed over. */
export function readExamples(items: readonly Item[]): Example[] {
  return items.flatMap((item) => {
    const record = exampleRecordSchema.safeParse(item.value);
    return record.success ? [{ key: item.key, record: record.data }] : [];
  });
}

/** Examples as a user message shows them: quoted, since they are strangers' text, the most similar last. */
export function renderExamples(examples: readonly Example[]): string {
  return [...examples]
    .reverse()
    .map(
      ({ record }) => `<example label="${record.label}">\n${renderEmail(record.email, EXAMPLE_BODY_LIMIT)}\n</example>`,
    )
    .join("\n\n");
}

/** Examples as memories that went into a decision. */
export function usedExamples(examples: readonly Example[]): UsedMemory[] {
  return examples.map(({ key, record }) => ({
    kind: "semantic",
    key,
    content: `${record.label}: ${quoteUntrusted(`${record.email.subject} (${record.email.from})`, 200).slice(2)}`,
  }));
}
