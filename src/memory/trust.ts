import { z } from "zod";

/**
 * Whose word something is: `user` is what the user said or did, `mail` is derived from a stranger's text. No approval
 * and no model turns one into the other.
 */
export const trustSchema = z.enum(["user", "mail"]);

/** See {@link trustSchema}. */
export type Trust = z.infer<typeof trustSchema>;

/** The trust of what is derived from some inputs: that of the least trusted. */
export function leastTrust(first: Trust, ...others: readonly Trust[]): Trust {
  return [first, ...others].includes("mail") ? "mail" : "user";
}
