import { cleanText } from "../../email.ts";
import type { Report } from "../report.ts";
import type { Trial } from "../trial.ts";
import { describeArm, SUITE_TITLES } from "./arms.ts";
import type { WrongGroup } from "./document.ts";
import { escapeHtml } from "./escape-html.ts";
import { count } from "./format.ts";

/**
 * The wrong trials, arm by arm, each folded away: what was expected, what came, and the prompt that led to it. A prompt
 * that led to several stands at the first, and the others link to it. Everything here is a stranger's text.
 */
export function wrongHtml(groups: readonly WrongGroup[], requests: Report["requests"]): string {
  const shown = new Map<string, string>();
  return groups
    .map((group) => {
      const { suite, arm, trials, isMain } = group;
      const number = `<data data-key="${escapeHtml(`wrong/${suite}/${arm}`)}" data-value="${trials.length}">${count(trials.length)}</data>`;
      const about = describeArm(suite, arm);
      return `<details class="folded"${isMain ? " open" : ""}><summary>${escapeHtml(SUITE_TITLES[suite].title)}, <code>${escapeHtml(arm)}</code>${about === "" ? "" : ` (${escapeHtml(about)})`}: ${number} wrong</summary>
${suite === "curve" ? listHtml(trials) : trials.map((trial) => trialHtml(trial, requests, shown)).join("\n")}
</details>`;
    })
    .join("\n");
}

/** Emails of the learning curve are those of triage, whose prompts stand there. */
function listHtml(trials: readonly Trial[]): string {
  return `<ul class="checks">
${trials
  .map(
    (trial) =>
      `<li ${attributes(trial)}><code>${escapeHtml(trial.case)}</code> ${labels(trial)} <span class="where">${escapeHtml(where(trial))}</span></li>`,
  )
  .join("\n")}
</ul>`;
}

function trialHtml(trial: Trial, requests: Report["requests"], shown: Map<string, string>): string {
  const { draft } = trial;
  return `<details class="case" ${attributes(trial)}>
<summary><code>${escapeHtml(trial.case)}</code> ${labels(trial)} <span class="where">${escapeHtml(where(trial))}</span></summary>
<ul class="checks">${trial.checks
    .filter(({ met }) => met !== true)
    .map(
      ({ kind: what, name, met, note }) =>
        `<li>${met === null ? "nobody could tell" : "not met"} (${what}): <bdi>${escapeHtml(name)}</bdi>${note === undefined ? "" : `; found: <bdi>${escapeHtml(note)}</bdi>`}</li>`,
    )
    .join("")}</ul>
${draft === null ? "" : `<h4>Draft</h4>\n${textHtml(draft)}`}
${requestHtml(trial, requests, shown)}
</details>`;
}

/** Names the trial, so that a test can find it. */
function attributes({ suite, arm, case: id, repeat, position, expected, got }: Trial): string {
  return Object.entries({ suite, arm, case: id, repeat, position, expected, got })
    .map(([name, value]) => `data-${name}="${escapeHtml(String(value ?? ""))}"`)
    .join(" ");
}

function labels({ expected, got }: Trial): string {
  if (expected === null && got === null) return "";
  return `<span class="labels">${escapeHtml(expected ?? "none")} → ${escapeHtml(got ?? "none")}</span>`;
}

function where({ suite, user, repeat, position, kind }: Trial): string {
  return [
    user,
    ...(kind === undefined ? [] : [kind === "stays" ? "must stay" : "must change"]),
    ...(position === undefined || suite !== "curve" ? [] : [`place ${position + 1}`]),
    ...(repeat === 0 ? [] : [`${suite === "curve" ? "order" : "repeat"} ${repeat + 1}`]),
  ].join(", ");
}

function requestHtml({ request }: Trial, requests: Report["requests"], shown: Map<string, string>): string {
  const messages = request === null ? undefined : requests[request];
  if (request === null || messages === undefined) return "<p>The prompt was not kept.</p>";
  const earlier = shown.get(request);
  if (earlier !== undefined) return `<p><a href="#${earlier}">The prompt</a> is that of an earlier case.</p>`;
  const anchor = `prompt-${shown.size + 1}`;
  shown.set(request, anchor);
  return `<div id="${anchor}" class="prompt"><h4>Prompt</h4>
${messages.map(({ role, text }) => `<h5>${escapeHtml(role)}</h5>\n${textHtml(text)}`).join("\n")}
</div>`;
}

function textHtml(text: string): string {
  return `<pre>${escapeHtml(cleanText(text))}</pre>`;
}
