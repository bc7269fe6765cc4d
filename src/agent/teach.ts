import type { Feedback } from "../learning/feedback.ts";
import type { Answer } from "./review.ts";

/**
 * What an answer says about the assistant's work, as typed feedback; its key makes that it is learnt once. Where an answer
 * says nothing, why not.
 */
export function feedbackOf({
  action,
  decision,
  args,
}: Pick<Answer, "action" | "decision" | "args">): Feedback | { note: string } {
  if (decision.learn === false) return { note: "as you wished, nothing is learnt from this" };
  const said = { id: `review-${action.id}`, email_id: action.email.id, actor: "user", channel: "review" };
  const message = "message" in decision ? decision.message : undefined;
  const text = message ? { text: message } : {};
  switch (action.name) {
    case "notify":
      if (decision.type === "approve") return { ...said, kind: "seen" };
      return { ...said, kind: "relabel", label: decision.type === "reject" ? "ignore" : "respond", ...text };
    case "write_email": {
      if (decision.type === "approve") return { ...said, kind: "accepted_draft" };
      if (decision.type === "edit") {
        const after = String(args["body"]);
        if (after === action.args["body"]) return { ...said, kind: "accepted_draft" };
        return { ...said, kind: "edited_draft", after };
      }
      if (message) return { ...said, kind: "rejected_draft", text: message };
      return { note: "nothing is learnt from a rejection without a reason" };
    }
    case "schedule_meeting":
    case "ask_user":
      if (message) return { ...said, kind: "text", text: message };
      return { note: "nothing is learnt from this answer" };
  }
}
