import { addressList, senderAddress } from "../email.ts";
import type { FeedbackRecord } from "../memory/feedback-record.ts";
import type { KeptEmail, Label, Rule, RuleMatch } from "../memory/records.ts";
import { domainOf, isPublicDomain } from "../memory/scope.ts";
import type { Example } from "../memory/semantic.ts";
import type { PromptChange } from "../memory/version-puts.ts";
import { hashText, type LearnablePrompt } from "../prompts.ts";

/**
 * How many of the user's labels make a rule. One message of a mailing list speaks for the list; a sender needs a
 * second one, and a domain several senders. Inbox Zero, too, waits for repeated evidence before it keeps a sender's
 * pattern (elie222/inbox-zero, learned patterns).
 */
const NEEDED = { list: 1, sender: 2, domain: 4, sendersOfDomain: 2 };
/** An address or domain that can stand in a rule: no quoted local part, which can hold whole sentences. */
const ADDRESS = /^[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[a-z0-9-]+\.)+[a-z]{2,}$/;

/** The prompts that hold the rules of each label. */
export const PROMPT_OF = {
  ignore: "triage_ignore",
  notify: "triage_notify",
  respond: "triage_respond",
} as const satisfies Record<Label, LearnablePrompt>;

type Labelled = { email: Pick<KeptEmail, "id" | "from" | "list_id">; label: Label };

/**
 * What a relabel changes in the triage prompts, by code alone. A rule of an earlier relabel that says otherwise about
 * this email is retired: it was made because no label disagreed. A new one is written once enough of the user's labels agree and none disagrees: about the
 * mailing list, else the sender, else the domain; all that it names is copied from headers.
 */
export function relabelChanges(
  feedback: FeedbackRecord & { kind: "relabel" },
  email: KeptEmail,
  { userId, examples, rules }: { userId: string; examples: readonly Example[]; rules: Record<Label, readonly Rule[]> },
): { retired: PromptChange[]; added: PromptChange[]; note: string | undefined } {
  const { label } = feedback;
  const others = examples.filter(({ key }) => key !== email.id);
  const labelled: Labelled[] = [
    { email, label },
    ...others.map(({ key, record }) => ({
      email: { ...record.email, id: key, list_id: record.list_id },
      label: record.label,
    })),
  ];
  const wrong = (["ignore", "notify", "respond"] as const).filter((other) => other !== label);
  const retired = wrong.flatMap((other): PromptChange[] => {
    const gone = rules[other].filter(({ match }) => match && matches(match, email));
    if (gone.length === 0) return [];
    return [
      {
        prompt: PROMPT_OF[other],
        operations: gone.map(({ id }) => ({ op: "retire" as const, id, evidence: email.id })),
      },
    ];
  });
  if (rules[label].some(({ match }) => match && matches(match, email))) return { retired, added: [], note: undefined };
  const found = support(email, label, labelled, userId);
  if (!found) return { retired, added: [], note: waiting(email, label, labelled) };
  const { match, name, emails } = found;
  const text = `Label emails ${name} as ${label}`;
  const rule: Rule = {
    id: ruleId(feedback.id, text),
    text,
    origin: { actor: feedback.actor, at: feedback.at, evidence: emails.join(", "), feedback: feedback.id },
    match,
  };
  return { retired, added: [{ prompt: PROMPT_OF[label], operations: [{ op: "add", rule }] }], note: undefined };
}

/** The id of a rule: the same feedback and words make the same rule, however often they are written. */
export function ruleId(feedbackId: string, text: string): string {
  return `r-${hashText(`${feedbackId} ${text}`).slice(0, 8)}`;
}

/** What enough labels of the user support and none contradicts: the list, else the whole domain, else the sender. */
function support(email: KeptEmail, label: Label, labelled: readonly Labelled[], userId: string) {
  const address = senderAddress(email);
  const domain = domainOf(address);
  const own = [userId.toLowerCase(), ...addressList(email.to)];
  // Colleagues share a domain with the user, and little else.
  const isShared = isPublicDomain(domain) || own.some((each) => each.endsWith(`@${domain}`));
  const among = (match: RuleMatch) => labelled.filter((each) => matches(match, each.email));
  const agree = (all: readonly Labelled[]) => all.every((each) => each.label === label);
  const ids = (all: readonly Labelled[]) => all.map((each) => each.email.id);
  // Nobody answers a whole list because of one message.
  if (email.list_id !== undefined && label !== "respond") {
    const all = among({ list_id: email.list_id });
    if (agree(all) && all.length >= NEEDED.list) {
      return { match: { list_id: email.list_id }, name: `of the list ${email.list_id}`, emails: ids(all) };
    }
  }
  if (!ADDRESS.test(address)) return undefined;
  const bySender = among({ from: address });
  if (!agree(bySender)) return undefined;
  const byDomain = among({ domain });
  const senders = new Set(byDomain.map((each) => senderAddress(each.email)));
  if (!isShared && agree(byDomain) && byDomain.length >= NEEDED.domain && senders.size >= NEEDED.sendersOfDomain) {
    return { match: { domain }, name: `from ${domain}`, emails: ids(byDomain) };
  }
  if (bySender.length < NEEDED.sender) return undefined;
  return { match: { from: address }, name: `from ${address}`, emails: ids(bySender) };
}

function waiting(email: KeptEmail, label: Label, labelled: readonly Labelled[]): string {
  const address = senderAddress(email);
  const bySender = labelled.filter((each) => matches({ from: address }, each.email));
  const isContradicted = bySender.some((each) => each.label !== label);
  return isContradicted
    ? `no rule: you gave emails of ${address} different labels; the example alone is used`
    : `no rule yet: this is one email of ${address}; another with this label would make one`;
}

/** Whether an email has the header that a match names. */
export function matches({ from, domain, list_id }: RuleMatch, email: Labelled["email"]): boolean {
  const address = senderAddress(email);
  if (list_id !== undefined) return email.list_id === list_id;
  if (from !== undefined) return address === from;
  return domain !== undefined && address.endsWith(`@${domain}`);
}
