import type { Item, PutOperation } from "@langchain/langgraph-checkpoint";
import { type Email, quoteUntrusted, renderEmail } from "../email.ts";
import { hashText } from "../prompts.ts";
import type { UserNamespaces } from "../store/namespaces.ts";
import type { RankedSearch } from "../store/operations.ts";
import { EXAMPLE_CHOICE } from "./example-parameters.ts";
import {
  type ComparedEmail,
  compareEmail,
  decisionRecordSchema,
  type ExampleRecord,
  exampleRecordSchema,
  type KeptEmail,
  type Label,
  type UsedMemory,
} from "./records.ts";

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
  const list = email.list_id === undefined ? {} : { list_id: email.list_id };
  const value = { email: compareEmail(email), label, at, ...list } satisfies ExampleRecord;
  return { namespace: namespaces.examples, key: email.id, value, index: ["email"] };
}

/** The id of an email where another email of its id came before it: a Message-ID is the sender's choice. */
export function suffixedId(email: ComparedEmail & { id: string }): string {
  return `${email.id}#${hashText(similarityText(email)).slice(0, 8)}`;
}

/** Message-IDs are the sender's choice: an email may not take the place of another that came before it. */
export function distinguish(email: Email, decided: unknown): Email {
  const earlier = decisionRecordSchema.safeParse(decided).data?.email;
  if (!earlier || similarityText(earlier) === similarityText(email)) return email;
  return { ...email, id: suffixedId(email) };
}

/**
 * The searches of one batch among whose items `chooseExamples` chooses. Both rankings embed one text, the one that
 * recall embeds too; the newest need none.
 */
export function exampleSearches(
  namespaces: UserNamespaces,
  email: ComparedEmail,
): [hybrid: RankedSearch, vector: RankedSearch, newest: RankedSearch] {
  const near = {
    namespacePrefix: namespaces.examples,
    query: similarityText(email),
    limit: EXAMPLE_CHOICE.candidates,
  };
  return [
    { ...near, ranking: "hybrid" },
    { ...near, ranking: "vector" },
    { namespacePrefix: namespaces.examples, limit: EXAMPLE_CHOICE.recent },
  ];
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
