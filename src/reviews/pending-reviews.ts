import { type ActionName, identify, renderAction } from "../agent/actions.ts";
import { allowedDecisions, teaches } from "../agent/review.ts";
import type { KeptEmail, Label } from "../memory/records.ts";
import type { DecisionType } from "../memory/review-log.ts";
import type { ThreadValues } from "./threads.ts";

/** An action that waits for its user. `id` stands for exactly what would be done; times are ISO 8601. */
export interface PendingReview {
  id: string;
  thread_id: string;
  user_id: string;
  email: KeptEmail;
  label: Label | null;
  reason: string;
  action: { name: ActionName; args: Record<string, unknown> };
  /** In which the times of the action are. */
  time_zone: string;
  /** Of the user's addresses the one that an answer or an invitation comes from; null where none is known. */
  sender: string | null;
  allowed: DecisionType[];
  /** What would be done, for people. */
  description: string;
  /** What each answer would teach, in a sentence. */
  learning: Partial<Record<DecisionType, string>>;
  /** What the model wants to remember of this email; it waits apart, among the pending memories. */
  memories: { content: string }[];
  proposed_at: string;
  expires_at: string;
  is_expired: boolean;
  on_server: boolean;
}

/** What waits in the state of a thread, for people and programs; nothing of another user's thread. */
export function pendingReviews(
  { user_id, actions, proposals, attempt }: Pick<ThreadValues, "user_id" | "actions" | "proposals" | "attempt">,
  { userId, threadId, now, onServer }: { userId: string; threadId: string; now: Date; onServer: boolean },
): PendingReview[] {
  if (user_id !== userId) return [];
  return actions
    .map((action) => identify(action, { userId, threadId }))
    .map((action) => ({
      ...{ id: action.id, thread_id: threadId, user_id: userId, email: action.email },
      ...{ label: action.label, reason: action.reason, action: { name: action.name, args: action.args } },
      ...{ time_zone: action.time_zone, sender: action.sender },
      allowed: allowedDecisions(action, attempt),
      description: renderAction(action),
      learning: teaches(action),
      memories: action.attempt === attempt ? proposals.map(({ content }) => ({ content })) : [],
      ...{ proposed_at: action.proposed_at, expires_at: action.expires_at },
      is_expired: now.getTime() >= Date.parse(action.expires_at),
      on_server: onServer,
    }));
}
