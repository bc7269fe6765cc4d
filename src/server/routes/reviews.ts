import { Hono } from "hono";
import { decisionSchema } from "../../agent/review.ts";
import { MnemailError } from "../../errors.ts";
import type { Reviews } from "../../reviews/reviews.ts";
import { type Caller, type HttpEnv, pathKey, readBody } from "../caller.ts";

const ID = /^[0-9a-f]{32}$/;

/** What waits for the caller, what an answer would teach, and the answer. */
export function reviewRoutes(reviewsOf: (caller: Caller) => Reviews): Hono<HttpEnv> {
  return new Hono<HttpEnv>()
    .get("/reviews", async (c) => {
      const caller = c.get("caller");
      const reviews = reviewsOf(caller);
      const [waiting, elsewhere] = await Promise.all([reviews.list(caller.userId), reviews.elsewhere(caller.userId)]);
      return c.json({ reviews: waiting, elsewhere });
    })
    .get("/reviews/:id", async (c) => {
      const caller = c.get("caller");
      return c.json(await reviewsOf(caller).find(caller.userId, pathKey(c, "id", "review")));
    })
    .post("/reviews/:id/preview", async (c) => {
      const caller = c.get("caller");
      const decision = await readBody(c, decisionSchema, "decision");
      return c.json(await reviewsOf(caller).preview(caller.userId, wholeId(pathKey(c, "id", "review")), decision));
    })
    .post("/reviews/:id/decision", async (c) => {
      const caller = c.get("caller");
      const decision = await readBody(c, decisionSchema, "decision");
      const id = wholeId(pathKey(c, "id", "review"));
      return c.json(await reviewsOf(caller).decide(caller.userId, id, decision));
    });
}

/** An id stands for exactly one payload; its beginning could stand for another by the time it is answered. */
function wholeId(id: string): string {
  if (ID.test(id)) return id;
  throw new MnemailError("missing", "review: there is none of that id", "answer by the whole id of 32 digits");
}
