import type { Comparison, Rate, Report, Summary } from "../../src/evals/report.ts";
import type { Trial } from "../../src/evals/trial.ts";
import { verdictOnTrial } from "./recompute-summary.ts";

type Value = number | string | null;

/** What is wrong with the page and the Markdown of a report whose summary is right. */
export function problemsOfPage(report: Report, html: string, markdown: string): string[] {
  const expected = expectedNumbers(report);
  return [
    ...problemsOfNumbers(html, expected),
    ...problemsOfCells(html),
    ...problemsOfDrawings(html, report.summary),
    ...problemsOfWrong(html, report.trials),
    ...problemsOfMarkdown(markdown, html, report.trials),
  ];
}

/** Every number that a page is to show, by its key. */
function expectedNumbers({ summary, trials, thresholds, files, repeat, seed }: Report): Map<string, Value> {
  const numbers = new Map<string, Value>([
    ["cases", new Set(trials.map((trial) => trial.case)).size],
    ["errors", trials.filter(({ error }) => error !== null).length],
    ["model_calls", trials.reduce((sum, { arm, usage }) => sum + (arm === "obedient" ? 0 : usage.model_calls), 0)],
    ["repeat", repeat],
    ["seed", seed],
  ]);
  const add = (key: string, values: Record<string, Value | undefined>) => {
    for (const [name, value] of Object.entries(values)) if (value !== undefined) numbers.set(`${key}/${name}`, value);
  };
  const addRate = (key: string, { right, of, errors, rate, interval }: Rate) =>
    add(key, { right, of, errors, rate, low: interval?.[0] ?? null, high: interval?.[1] });
  for (const { suite, arm, rate, labels, users, checks } of summary.arms) {
    const key = `arm/${suite}/${arm}`;
    addRate(key, rate);
    const own = summary.arms.filter((one) => one.suite === suite);
    const isMany = own.some((one) => (one.labels?.classes.filter(({ support }) => support > 0).length ?? 0) > 1);
    if (suite !== "changes" && isMany) add(key, { macro_f1: labels?.macro_f1 ?? null });
    for (const { label, support, precision, recall, f1 } of labels?.classes ?? []) {
      add(`${key}/label/${label}`, { support, precision, recall, f1 });
    }
    for (const [i, row] of (labels?.confusion ?? []).entries()) {
      for (const [j, value] of row.entries()) {
        numbers.set(`${key}/confusion/${labels?.classes[i]?.label}/${labels?.classes[j]?.label}`, value);
      }
    }
    const everyone = new Set(own.flatMap((one) => one.users.map(({ user }) => user)));
    for (const { user, rate: of } of suite === "triage" && everyone.size > 1 ? users : []) {
      add(`${key}/user/${user}`, { rate: of.rate, right: of.right, of: of.of });
    }
    const kinds = new Set(own.flatMap((one) => one.checks.map(({ kind }) => kind)));
    for (const { kind, met, of, unknown } of suite !== "changes" && kinds.size > 1 ? checks : []) {
      add(`${key}/check/${kind}`, { met, of, unknown: unknown === 0 ? undefined : unknown });
    }
    const wrong = trials.filter(
      (trial) => trial.suite === suite && trial.arm === arm && verdictOnTrial(trial) === false,
    );
    if (wrong.length > 0) numbers.set(`wrong/${suite}/${arm}`, wrong.length);
  }
  for (const comparison of summary.comparisons) {
    const { suite, a, b, interval, name: _, ...values } = comparison;
    const { pairs, groups, rate_a, rate_b, only_a, only_b, ...shown } = values;
    const ends = { low: interval?.[0] ?? null, high: interval?.[1] };
    const more = { pairs, groups, rate_a, rate_b, only_a, only_b };
    add(`comparison/${suite}/${b}/${a}`, { ...shown, ...ends, ...(suite === "changes" ? {} : more) });
  }
  for (const { from, to, on, off } of summary.curve) {
    addRate(`curve/${from}-${to}/on`, on);
    addRate(`curve/${from}-${to}/off`, off);
  }
  if (summary.stays) add("stays", summary.stays);
  if (summary.attacks) add("attacks", summary.attacks);
  if (summary.judge && summary.judge.of > 0) add("judge", summary.judge);
  for (const { suite, arm, trials: of, known, model_calls, ...sums } of summary.costs) {
    const key = `cost/${suite}/${arm}`;
    add(key, { trials: of, known, all_calls: model_calls });
    add(key, Object.fromEntries(Object.entries({ model_calls, ...sums }).map(([name, sum]) => [name, sum / of])));
  }
  for (const [i, { at_least, at_most, found, met }] of thresholds.entries()) {
    add(`threshold/${i}`, { at_least, at_most, found, met: String(met) });
  }
  if (thresholds.length > 0) {
    add("thresholds", { of: thresholds.length, missed: thresholds.filter(({ met }) => !met).length });
  }
  for (const { name, cases } of files) numbers.set(`file/${name}/cases`, cases);
  for (const { suite, arm, error } of trials) {
    if (error === null) continue;
    const key = `error/${JSON.stringify([suite, arm, error.replace(/[\s\u0085]+/g, " ").trim()])}`;
    numbers.set(key, Number(numbers.get(key) ?? 0) + 1);
  }
  return numbers;
}

/** How a number is to be written. */
function written(key: string, value: Value): RegExp | string {
  const field = key.split("/").at(-1) ?? "";
  const minus = (text: string) => text.replace("-", "\u2212");
  if (value === null) return "–";
  if (typeof value === "string") return field === "met" ? (value === "true" ? "met" : /^not met/) : value;
  const isComparison = key.startsWith("comparison/");
  const share = (value * 100).toFixed(1);
  const signed = share === "0.0" || share === "-0.0" ? "0.0" : minus(value > 0 ? `+${share}` : share);
  if (["rate", "rate_a", "rate_b", "precision", "recall", "f1"].includes(field)) return `${share} %`;
  if (isComparison && ["difference", "low", "high"].includes(field)) return signed;
  if (field === "smallest_effect" || field === "low" || field === "high") return share;
  if (field === "macro_f1") return value.toFixed(3);
  if (field === "p") return value < 0.001 ? "< 0.001" : value.toFixed(3);
  if (field === "kappa") return minus(value.toFixed(2));
  if (key.startsWith("threshold/")) return minus(String(Number(value.toFixed(4))));
  const isMean = key.startsWith("cost/") && ["model_calls", "embedding_calls", "store_round_trips"].includes(field);
  return isMean ? value.toFixed(2) : Math.round(value).toLocaleString("en-US");
}

function problemsOfNumbers(html: string, expected: ReadonlyMap<string, Value>): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const [, rawKey = "", rawValue = "", text = ""] of html.matchAll(
    /<data data-key="([^"]*)" data-value="([^"]*)">([^<]*)<\/data>/g,
  )) {
    const [key, shown] = [decode(rawKey), decode(rawValue)];
    const value = expected.get(key);
    seen.add(key);
    if (value === undefined) problems.push(`page: ${key} is a number of nothing`);
    else if (
      typeof value === "number" ? Math.abs(Number(shown) - value) > 1e-6 * Math.max(1, value) : shown !== String(value)
    ) {
      problems.push(`page: ${key} has ${shown}, expected ${value}`);
    } else {
      // As it is shown, from the value beside it: one that lies at the edge of rounding may round either way.
      const form = written(key, typeof value === "number" ? Number(shown) : value);
      if (typeof form === "string" ? decode(text) !== form : !form.test(decode(text))) {
        problems.push(`page: ${key} reads ${decode(text)}, expected ${form}`);
      }
    }
  }
  for (const key of expected.keys()) if (!seen.has(key)) problems.push(`page: ${key} is not shown`);
  return problems;
}

/** In cells of numbers there is no digit but in a number that can be found by its key. */
function problemsOfCells(html: string): string[] {
  return [...html.matchAll(/<td class="number[^"]*"[^>]*>(.*?)<\/td>/g)].flatMap(([, cell = ""]) => {
    const rest = textOf(cell.replace(/<data .*?<\/data>/g, ""));
    return /\d/.test(rest) ? [`page: a cell has a number without a key: ${textOf(cell)}`] : [];
  });
}

/** Each point of a drawing says its numbers, and lies where they are: on a straight scale with the others. */
function problemsOfDrawings(html: string, summary: Summary): string[] {
  const problems: string[] = [];
  const share = (value: number) => `${(value * 100).toFixed(1)} %`;
  const gain = (value: number) => written("comparison/difference", value);
  const title = (name: string, value: number, [low, high]: [number, number], write: (value: number) => unknown) =>
    `${name}: ${write(value)} (${write(low)} to ${write(high)})`;
  const expected = new Map<string, number>();
  const addRate = (name: string, { rate, interval }: Rate) => {
    if (rate !== null && interval !== null) expected.set(title(name, rate, interval, share), rate);
  };
  const addDifference = ({ a, b, difference, interval }: Comparison) => {
    if (difference !== null && interval) expected.set(title(`${b} − ${a}`, difference, interval, gain), difference);
  };
  for (const { suite, arm, rate } of summary.arms) {
    const rules = arm.lastIndexOf("/");
    const isMany = summary.arms.filter((one) => one.suite === suite).length > 1;
    if (suite === "changes") addRate(`${arm.slice(0, rules)}, ${arm.slice(rules + 1)}`, rate);
    else if (isMany) addRate(arm, rate);
  }
  for (const comparison of summary.comparisons.filter(({ suite }) => suite !== "changes")) {
    const isMany = summary.comparisons.filter(({ suite }) => suite === comparison.suite).length > 1;
    if (isMany) addDifference(comparison);
  }
  for (const { from, to, on, off } of summary.curve) {
    addRate(`on, ${(from + to) / 2 + 1}`, on);
    addRate(`off, ${(from + to) / 2 + 1}`, off);
  }
  const shown = new Set<string>();
  for (const [drawing] of html.matchAll(/<svg role="img".*?<\/svg>/gs)) {
    const isOfLines = drawing.includes('aria-label="line"');
    const points = [...drawing.matchAll(/<(?:circle|path) ([^>]*)><title>([^<]*)<\/title>/g)].map(
      ([, at = "", text = ""]) => {
        const [, x, y] = /transform="translate\(([^,]+),([^),]+)\)/.exec(at) ?? [];
        const place = isOfLines ? (y ?? /cy="([^"]+)"/.exec(at)?.[1]) : (x ?? /cx="([^"]+)"/.exec(at)?.[1]);
        return { text: decode(text), place: Number(place) };
      },
    );
    for (const { text } of points) {
      shown.add(text);
      if (!expected.has(text)) problems.push(`drawing: ${text} is a point of nothing`);
    }
    const known = points.map(({ text, place }) => ({ text, place, value: expected.get(text) ?? 0 }));
    const [low, high] = [
      known.toSorted((a, b) => a.value - b.value)[0],
      known.toSorted((a, b) => b.value - a.value)[0],
    ];
    if (!low || !high || high.value - low.value < 1e-9) continue;
    const scale = (high.place - low.place) / (high.value - low.value);
    for (const { text, place, value } of known) {
      const right = low.place + (value - low.value) * scale;
      if (Math.abs(place - right) > 0.1) problems.push(`drawing: ${text} lies at ${place}, expected ${right}`);
    }
  }
  for (const text of expected.keys()) if (!shown.has(text)) problems.push(`drawing: ${text} is not shown`);
  return problems;
}

/** Every wrong trial is named, and no other. */
function problemsOfWrong(html: string, trials: readonly Trial[]): string[] {
  const name = (fields: readonly (string | number | null | undefined)[]) =>
    fields.map((field) => field ?? "").join(" | ");
  const expected = trials
    .filter((trial) => verdictOnTrial(trial) === false)
    .map((trial) =>
      name([trial.suite, trial.arm, trial.case, trial.repeat, trial.position, trial.expected, trial.got]),
    );
  const shown = [
    ...html.matchAll(
      /data-suite="([^"]*)" data-arm="([^"]*)" data-case="([^"]*)" data-repeat="([^"]*)" data-position="([^"]*)" data-expected="([^"]*)" data-got="([^"]*)"/g,
    ),
  ].map(([, ...fields]) => name(fields.map(decode)));
  return [
    ...expected.filter((one) => !shown.includes(one)).map((one) => `page: wrong, but not named: ${one}`),
    ...shown.filter((one) => !expected.includes(one)).map((one) => `page: named, but not wrong: ${one}`),
  ];
}

/** The cells of a table by its caption. */
function tablesOfPage(html: string): Map<string, string[][]> {
  return new Map(
    [...html.matchAll(/<caption>(.*?)<\/caption>(.*?)<\/table>/gs)].map(([, caption = "", body = ""]) => [
      textOf(caption),
      [...body.matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, row = ""]) =>
        [...row.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/gs)].map(([, cell = ""]) => textOf(cell)),
      ),
    ]),
  );
}

/** What Markdown says is what the page says, whose numbers were checked: cell by cell, and line by line. */
function problemsOfMarkdown(markdown: string, html: string, trials: readonly Trial[]): string[] {
  const problems: string[] = [];
  const tables = tablesOfPage(html);
  const paragraphs = new Set([...html.matchAll(/<p(?: [^>]*)?>(.*?)<\/p>/gs)].map(([, text = ""]) => textOf(text)));
  const titles = new Set([...html.matchAll(/<h[12][^>]*>(.*?)<\/h[12]>/gs)].map(([, text = ""]) => textOf(text)));
  let [caption, group, columns]: [string, string, number[]] = ["", "", []];
  let tablesSeen = 0;
  for (const raw of markdown.split("\n")) {
    const line = plainMarkdown(raw);
    if (/^\*\*.*\*\*$/.test(raw)) {
      [caption, columns] = [line.replace(/^\*\*|\*\*$/g, ""), []];
      tablesSeen += 1;
      if (!tables.has(caption)) problems.push(`Markdown: the page has no table "${caption}"`);
    } else if (raw.startsWith("|")) {
      const cells = raw.slice(2, -2).split(/ \| /).map(plainMarkdown);
      const [head = [], ...rows] = tables.get(caption) ?? [];
      if (columns.length === 0) columns = cells.map((cell) => head.indexOf(cell));
      else if (!/^\| -/.test(raw)) {
        const hasRow = rows.some((row) => cells.every((cell, i) => same(row[columns[i] ?? -1], cell)));
        if (!hasRow) problems.push(`Markdown: "${caption}" has another row on the page than ${cells.join(" | ")}`);
      }
    } else if (raw.startsWith("- ")) {
      problems.push(...problemsOfWrongLine(line.slice(2), group, trials));
    } else if (/ wrong$/.test(line)) {
      group = line;
      problems.push(...problemsOfWrongCount(line, trials));
    } else if (line.startsWith("Wrong in the arms")) {
      for (const [, suite = "", arm = "", count] of line.matchAll(/(\w+) ([^ ,]+) ([\d,]+)(?=[,.])/g)) {
        const wrong = wrongOf(trials, suite, arm).length;
        if (wrong !== Number(count?.replaceAll(",", "")))
          problems.push(`Markdown: ${suite} ${arm}: ${count}, expected ${wrong}`);
      }
    } else if (/\d/.test(line) && !paragraphs.has(line) && !titles.has(line.replace(/^#+ /, ""))) {
      problems.push(`Markdown: the page does not say: ${line}`);
    }
  }
  return tablesSeen === 0 ? [...problems, "Markdown: has no table"] : problems;
}

const SUITE_OF: Record<string, string> = {
  Triage: "triage",
  Answers: "answers",
  Learning: "learning",
  Attacks: "attacks",
};

function wrongOf(trials: readonly Trial[], suite: string, arm: string): Trial[] {
  return trials.filter((trial) => trial.suite === suite && trial.arm === arm && verdictOnTrial(trial) === false);
}

function groupOf(line: string): { suite: string; arm: string; count: number } {
  const [, title = "", arm = "", count = ""] = /^(.*), (.*): ([\d,]+) wrong$/.exec(line) ?? [];
  return { suite: SUITE_OF[title] ?? "", arm, count: Number(count.replaceAll(",", "")) };
}

function problemsOfWrongCount(line: string, trials: readonly Trial[]): string[] {
  const { suite, arm, count } = groupOf(line);
  const wrong = wrongOf(trials, suite, arm).length;
  return wrong === count ? [] : [`Markdown: ${line}, expected ${wrong}`];
}

function problemsOfWrongLine(line: string, group: string, trials: readonly Trial[]): string[] {
  if (/^and [\d,]+ more$/.test(line)) return [];
  const { suite, arm } = groupOf(group);
  const [, id, rest = ""] = /^(\S+): (.*)$/.exec(line) ?? [];
  const [, expected, got] = /^expected (\w+), got (\w+)/.exec(rest) ?? [];
  const own = wrongOf(trials, suite, arm).filter((trial) => trial.case === id);
  const isThere = own.some(
    (trial) => expected === undefined || (trial.expected === expected && (trial.got ?? "none") === got),
  );
  return isThere ? [] : [`Markdown: not wrong in ${group}: ${line}`];
}

/** In a code span a page keeps what Markdown cannot show; both are read as words. */
function same(cell: string | undefined, other: string): boolean {
  return cell !== undefined && words(cell) === words(other);
}

function words(text: string): string {
  return text.replace(/[\s\u0085]+/g, " ").trim();
}

function plainMarkdown(text: string): string {
  return words(
    text
      .replace(/(`+) ?(.*?) ?\1/g, (_, __, code: string) => code.replaceAll("\\|", "|"))
      .replace(/\\([^\w\s])|\\(_)/g, "$1$2"),
  );
}

function textOf(html: string): string {
  return words(decode(html.replace(/<[^>]*>/g, "")));
}

function decode(text: string): string {
  return text
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&amp;", "&");
}
