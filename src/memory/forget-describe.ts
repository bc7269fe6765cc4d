import type { Item } from "@langchain/langgraph-checkpoint";
import { decodeUserId } from "../store/namespaces.ts";
import { feedbackRecordSchema } from "./feedback-record.ts";
import { rulesOf, type UserItems } from "./forget-items.ts";
import type { Traces } from "./forget-traces.ts";
import { memoryRecordSchema } from "./memory-record.ts";
import { decisionRecordSchema, exampleRecordSchema, type KeptEmail } from "./records.ts";

/** The kinds of what is forgotten, in the order in which they are shown. */
export const FORGOTTEN_GROUPS = [
  "emails",
  "memories",
  "pending",
  "superseded",
  "rules",
  "feedback",
  "temporary",
] as const;

/** One thing that is forgotten: what it says, and why it goes. `text` may be a stranger's. */
export interface ForgottenThing {
  group: (typeof FORGOTTEN_GROUPS)[number];
  key: string;
  text: string;
  why: string;
}

/** One thing that stays without some of its words. `group` is its namespace. */
export interface TouchedThing {
  group: keyof UserItems;
  key: string;
  text: string;
  why: string;
}

/** What goes, once each: an email with its decision, example and exchange is one thing. */
export function describeRemoved(
  user: UserItems,
  gone: readonly { name: keyof UserItems; item: Item }[],
  traces: Traces,
): ForgottenThing[] {
  const things = gone.flatMap(({ name, item }) => describe(name, item, traces) ?? []);
  const rules = rulesOf(user).filter(({ rule }) => traces.rules.has(rule.id));
  things.push(
    ...rules.map(
      ({ rule }): ForgottenThing => ({
        ...{ group: "rules", key: rule.id, text: rule.text, why: traces.rules.get(rule.id) ?? "" },
      }),
    ),
  );
  // Of what is in several places the first that has words is shown.
  const distinct = new Map<string, ForgottenThing>();
  for (const thing of things) {
    const known = distinct.get(`${thing.group} ${thing.key}`);
    if (!known?.text) distinct.set(`${thing.group} ${thing.key}`, thing);
  }
  const order = (thing: ForgottenThing) => FORGOTTEN_GROUPS.indexOf(thing.group);
  return [...distinct.values()].sort((a, b) => order(a) - order(b));
}

function describe(name: keyof UserItems, { namespace, key, value }: Item, traces: Traces): ForgottenThing | undefined {
  switch (name) {
    case "decisions":
    case "examples":
    case "events":
    case "replays":
    case "extractions":
      return { group: "emails", key, text: emailText(value), why: traces.emails.get(key) ?? "" };
    case "collection":
    case "pending":
    case "superseded": {
      const record = memoryRecordSchema.safeParse(value).data;
      const { source = "" } = record ?? {};
      if (record?.kind === "conversation" && traces.emails.has(source)) {
        return { group: "emails", key: source, text: "", why: traces.emails.get(source) ?? "" };
      }
      const group = name === "collection" ? "memories" : name;
      return { group, key, text: record?.content ?? "", why: traces.memories.get(key) ?? "" };
    }
    case "feedback": {
      const why = traces.feedback.get(key) ?? traces.words.get(key) ?? "";
      return { group: "feedback", key, text: feedbackText(value), why };
    }
    case "temporary":
      return {
        ...{ group: "temporary", key: `${decodeUserId(namespace.at(-1) ?? "")}: ${key}`, text: "" },
        why: "it or its thread holds what is forgotten",
      };
    default:
      return undefined;
  }
}

function emailText(value: Item["value"]): string {
  const email: Pick<KeptEmail, "subject" | "from"> | undefined = (
    decisionRecordSchema.safeParse(value).data ?? exampleRecordSchema.safeParse(value).data
  )?.email;
  return email ? `${email.subject} (${email.from})` : "";
}

function feedbackText(value: Item["value"]): string {
  const record = feedbackRecordSchema.safeParse(value).data;
  if (!record) return "";
  const text = "text" in record ? record.text : undefined;
  return text ?? (record.kind === "relabel" ? `label ${record.label}` : record.kind.replaceAll("_", " "));
}

/** What is shown of an item that stays; `kept` is its new value where more than an address is taken out of it. */
export function rewrittenThing(
  name: keyof UserItems,
  { key, value }: Item,
  kept: Item["value"] | undefined,
  { target }: Traces,
): TouchedThing {
  const text = emailText(value) || memoryRecordSchema.safeParse(value).data?.content || feedbackText(value);
  return { group: name, key, text, why: kept ? (WHY[name] ?? "names what is forgotten") : `names ${target.id}` };
}

const WHY: Partial<Record<keyof UserItems, string>> = {
  decisions: "its draft or reason goes: it was written with forgotten memories, examples or rules, and may repeat them",
  events: "their titles go: they were written with forgotten memories or rules, and may repeat them",
  feedback: "its draft may repeat what is forgotten",
  receipts: "lists what is forgotten",
  proposals: "has forgotten rules or tests",
};
