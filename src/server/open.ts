import type { Hono } from "hono";
import { type OpenAssistant, openAssistant } from "../assistant.ts";
import { createClosing } from "../closing.ts";
import type { Config } from "../config.ts";
import { openLog } from "../log.ts";
import { StoreAccess } from "../memory/access.ts";
import { openModels } from "../models.ts";
import { loadPrompts } from "../prompts.ts";
import { hasThreads, openCheckpointer } from "../store/open-checkpointer.ts";
import { openStore } from "../store/open-store.ts";
import { isVolatile } from "../store-config/describe-store.ts";
import type { Caller, HttpEnv } from "./caller.ts";
import { type ForgetParts, forget } from "./forget.ts";
import { createHttpApp, type HttpParts } from "./http-app.ts";
import type { Tokens } from "./tokens.ts";
import { describeFailure, withoutQuoted } from "./warning.ts";

const READY_MS = 5_000;

/** How the threads of emails are run: by this process, or by the LangGraph server it is part of. */
export interface ThreadRunner extends Pick<HttpParts, "reviews" | "deliver" | "threadOf"> {
  /** The server whose threads forgetting looks through too. */
  clientOf?(caller: Caller): ForgetParts["client"];
}

/** An assistant with the parts that the HTTP routes need besides. */
export interface OpenServer extends AsyncDisposable {
  assistant: OpenAssistant;
  createApp(runner: ThreadRunner): Hono<HttpEnv>;
}

/**
 * Opens the assistant of a configuration for a server. `keepThreads` is false where a LangGraph server keeps them. `warn`
 * is told lines without any text of mail.
 *
 * @throws MnemailError as {@link openAssistant}.
 */
export async function openServer(
  config: Config,
  options: { tokens: Tokens | undefined; warn: (line: string) => void; keepThreads: boolean },
): Promise<OpenServer> {
  const { tokens, keepThreads } = options;
  const warn = (line: string) => options.warn(withoutQuoted(line));
  const { use, close } = createClosing();
  try {
    const log = openLog(config, "info");
    const models = use(await openModels(config));
    const { embeddings, embeddingModel: model } = models;
    const index = embeddings ? { index: { embeddings, model } } : {};
    const store = use(await openStore(config.store, { warn, language: config.searchLanguage, ...index }));
    // What is kept in memory is not found by opening it again.
    const isOnlyHere = keepThreads && isVolatile(config.store);
    const own = isOnlyHere ? use(await openCheckpointer(config.store, { warn })) : undefined;
    const checkpointer = keepThreads ? own?.checkpointer : false;
    const assistant = use(
      await openAssistant(config, {
        models,
        store,
        warn,
        log,
        ...(checkpointer === undefined ? {} : { checkpointer }),
      }),
    );
    const access = new StoreAccess(store, warn);
    const openThreads: ForgetParts["openThreads"] = async () => {
      if (own) return { ...own, [Symbol.asyncDispose]: async () => {} };
      return (await hasThreads(config.store, warn)) ? openCheckpointer(config.store, { warn }) : undefined;
    };
    const isStoreReachable = async () => {
      const read = access.batch([{ namespace: ["email_assistant", "readiness"], key: "readiness" }]);
      return within(READY_MS, read).catch((error: unknown) => {
        options.warn(`the store cannot be reached: ${describeFailure(error)}`);
        return false;
      });
    };
    const prompts = loadPrompts();
    return {
      assistant,
      createApp: (runner) =>
        createHttpApp({
          ...{ assistant, tokens, isStoreReachable },
          ...{ reviews: runner.reviews, deliver: runner.deliver, threadOf: runner.threadOf },
          forget: (caller, target, { confirm }) =>
            forget(
              caller.userId,
              target,
              { confirm, time: new Date().toISOString() },
              { store, access, prompts, openThreads, client: runner.clientOf?.(caller) },
            ),
          log,
        }),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Whether something ends in so many milliseconds. @throws what it fails with. */
async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
