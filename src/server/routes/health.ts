import { Hono } from "hono";

/** What the health checks look at. `isStoreReachable` never throws. */
export interface HealthParts {
  isStoreReachable(): Promise<boolean>;
  modelDescription: string;
}

/** `GET /health`: the process is up. `GET /ready`: it can work; 503 where it cannot. Neither asks for a token. */
export function healthRoutes({ isStoreReachable, modelDescription }: HealthParts): Hono {
  return new Hono()
    .get("/health", (c) => c.json({ status: "up" }))
    .get("/ready", async (c) => {
      const isReady = await isStoreReachable();
      const body = {
        status: isReady ? "ready" : "not ready",
        store: isReady ? "reachable" : "not reachable",
        model: modelDescription,
      };
      return c.json(body, isReady ? 200 : 503);
    });
}
