import { MnemailError } from "../errors.ts";
import { hashText } from "../prompts.ts";

/** The root label of everything Mnemail keeps about a user except the four prompts. */
const ROOT = "email_assistant";

const RESERVED_ROOTS = ["langgraph", ROOT];
const ID_LIMIT = 512;
/** Namespace syntax, control characters and lone surrogates (`u` mode sees pairs as one character). */
const ESCAPED = /[.=:*\p{Cc}\p{Cs}]/gu;

/**
 * Encodes a user id as one namespace label, reversibly: `alice@example.com` becomes `alice@example=2Ecom`.
 * Ids without special characters, such as Python's `user_123`, stay as they are. No two ids share a label, and
 * none is a reserved root.
 *
 * @throws MnemailError("usage") for an empty or overlong id.
 */
export function encodeUserId(userId: string): string {
  if (userId.trim() === "") {
    throw new MnemailError("usage", "user id: saw an empty one; expected an id such as alice@example.com");
  }
  if (userId.length > ID_LIMIT) {
    throw new MnemailError("usage", `user id: saw ${userId.length} characters; at most ${ID_LIMIT} are allowed`);
  }
  const label = userId.replace(ESCAPED, escapeCodeUnit);
  return RESERVED_ROOTS.includes(label) ? `${escapeCodeUnit(label.charAt(0))}${label.slice(1)}` : label;
}

/** The user id that {@link encodeUserId} made the label from. */
export function decodeUserId(label: string): string {
  return label.replace(/=u([0-9A-F]{4})|=([0-9A-F]{2})/g, (_, wide?: string, narrow?: string) =>
    String.fromCharCode(Number.parseInt(wide ?? narrow ?? "0", 16)),
  );
}

function escapeCodeUnit(character: string): string {
  const unit = character.charCodeAt(0);
  const hex = unit.toString(16).toUpperCase();
  return unit > 0xff ? `=u${hex.padStart(4, "0")}` : `=${hex.padStart(2, "0")}`;
}

/** Where each kind of memory of one user is kept (`docs/architecture.md`, Memory). */
export interface UserNamespaces {
  /** Procedural memory: the four prompts. */
  prompts: string[];
  /** Semantic memory: labelled emails. */
  examples: string[];
  /** Episodic memory: what is known about people and conversations. */
  collection: string[];
  /** What a model wants to remember and the user has not approved: listed, never recalled. */
  pending: string[];
  /** What was decided about each processed email. */
  decisions: string[];
  /** The events proposed for each email, so that no time is proposed twice. */
  events: string[];
  /** What waits for the user's approval and what they decided, by the id of the action; no text. */
  reviews: string[];
  /** The emails that were delivered to a server, by a hash of all of them; no text. */
  deliveries: string[];
  /** Which process is at work on a thread, by the thread's id; gone when it is done. */
  leases: string[];
  /** The user's profile. */
  profile: string[];
  /** What the user said, by idempotency key; appended to only. */
  feedback: string[];
  /** What became of each feedback, by the same key. */
  receipts: string[];
  /** The versions of the prompts, each as the operations that made it; appended to only. */
  versions: string[];
  /** Changes that wait for the user's word, by number. */
  proposals: string[];
  /** What triage answered when a change was tested, by email id. */
  replays: string[];
  /** Memories that others took the place of: kept to be looked up, never recalled. */
  superseded: string[];
  /** Emails that are done and whose facts are still to be extracted, by email id. */
  extractions: string[];
  /** What must not come back, by the hash of what it was; no text. */
  tombstones: string[];
  /** What models cost, by time; no text. */
  costs: string[];
  /** Below it, under a label for each thread, its temporary data. */
  temporary: string[];
}

/** The namespaces of one user. @throws MnemailError("usage") as {@link encodeUserId}. */
export function userNamespaces(userId: string): UserNamespaces {
  const label = encodeUserId(userId);
  return {
    prompts: [label],
    examples: [ROOT, label, "examples"],
    collection: [ROOT, label, "collection"],
    pending: [ROOT, label, "pending"],
    decisions: [ROOT, label, "decisions"],
    events: [ROOT, label, "events"],
    reviews: [ROOT, label, "reviews"],
    deliveries: [ROOT, label, "deliveries"],
    leases: [ROOT, label, "leases"],
    profile: [ROOT, label, "profile"],
    feedback: [ROOT, label, "feedback"],
    receipts: [ROOT, label, "receipts"],
    versions: [ROOT, label, "versions"],
    proposals: [ROOT, label, "proposals"],
    replays: [ROOT, label, "replays"],
    superseded: [ROOT, label, "superseded"],
    extractions: [ROOT, label, "extractions"],
    tombstones: [ROOT, label, "tombstones"],
    costs: [ROOT, label, "costs"],
    temporary: [ROOT, label, "temporary"],
  };
}

/** The prefixes at or below which everything of one user lies, and nothing of another's. */
export interface UserRoots {
  prompts: string[];
  memory: string[];
}

/** The roots of one user. @throws MnemailError("usage") as {@link encodeUserId}. */
export function userRoots(userId: string): UserRoots {
  const label = encodeUserId(userId);
  return { prompts: [label], memory: [ROOT, label] };
}

/**
 * Where the temporary data of one thread of a user is kept. The label of a thread is its id, encoded as a user id is; of
 * an id of more than 512 characters, which a Message-ID can be, its hash.
 *
 * @throws MnemailError("usage") for an empty thread id, and as {@link encodeUserId} for the user's.
 */
export function threadNamespace(userId: string, threadId: string): string[] {
  if (threadId === "") throw new MnemailError("usage", "thread id: saw an empty one; expected the id of a thread");
  // No encoded id begins so: an = stands before hexadecimal digits or u only.
  const label =
    threadId.length > ID_LIMIT ? `=sha256-${hashText(threadId, 64)}` : threadId.replace(ESCAPED, escapeCodeUnit);
  return [...userNamespaces(userId).temporary, label];
}
