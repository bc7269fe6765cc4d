import { accessSync, constants } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { renderHtml } from "../../src/evals/rendering/html.ts";
import { sampleReport } from "../support/report.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const path = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/bin"]
  .flatMap((folder) => NAMES.map((name) => join(folder, name)))
  .find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
if (path === undefined) console.warn(`report page: not looked at, since none of ${NAMES.join(", ")} is on PATH`);

const SCREENS = [
  { colorScheme: "light", width: 1280, height: 900 },
  { colorScheme: "dark", width: 1280, height: 900 },
  { colorScheme: "light", width: 390, height: 844 },
  { colorScheme: "dark", width: 390, height: 844 },
] as const;

const lookSchema = z.object({
  tables: z.number(),
  tablesShown: z.number(),
  drawings: z.number(),
  pageWidth: z.number(),
  width: z.number(),
  cut: z.array(z.string()),
  outside: z.array(z.string()),
  overlapping: z.array(z.string()),
  pale: z.array(z.string()),
});

/**
 * What a reader of the page would see wrong, measured in the page: text that is cut or outside the screen (but for what
 * scrolls within a container of its own), texts that lie on each other, and text of a contrast below 4.5 : 1 (WCAG 1.4.3).
 */
const LOOK = `(() => {
  const isShown = (element) => element.checkVisibility() && element.getClientRects().length > 0;
  const name = (node) => JSON.stringify((node.textContent ?? "").trim().slice(0, 60));
  const all = [...document.body.querySelectorAll("*")].filter(isShown);
  const scrolls = (element) => element.closest(".scroll") !== null;

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.textContent.trim() === "" || !isShown(node.parentElement) || node.parentElement.closest("title")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const isDrawn = node.parentElement.closest("svg") !== null;
    const rects = [...range.getClientRects()].filter(({ width, height }) => width > 0 && height > 0);
    for (const rect of isDrawn ? [node.parentElement.getBoundingClientRect()] : rects) texts.push({ node, rect });
  }
  const clips = (element) => ["hidden", "clip"].includes(getComputedStyle(element).overflowX);
  const cut = all.filter((e) => clips(e) && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1)).map(name);
  for (const box of document.querySelectorAll(".scroll")) {
    if (!isShown(box)) continue;
    box.scrollLeft = 1e6;
    const [end, table] = [box.getBoundingClientRect().right, box.firstElementChild.getBoundingClientRect().right];
    if (table > end + 1) cut.push(name(box));
    box.scrollLeft = 0;
  }
  const outside = texts
    .filter(({ node, rect }) => !scrolls(node.parentElement) && (rect.left < -0.5 || rect.right > innerWidth + 0.5))
    .map(({ node }) => name(node));

  // Lines are compared with those that begin a little below them.
  const overlapping = [];
  texts.sort((a, b) => a.rect.top - b.rect.top);
  for (const [i, a] of texts.entries()) {
    for (let j = i + 1; j < texts.length && texts[j].rect.top < a.rect.bottom; j += 1) {
      const b = texts[j];
      if (a.node === b.node) continue;
      const wide = Math.min(a.rect.right, b.rect.right) - Math.max(a.rect.left, b.rect.left);
      const high = Math.min(a.rect.bottom, b.rect.bottom) - b.rect.top;
      if (wide > 1 && high > 4) overlapping.push(name(a.node) + " and " + name(b.node));
    }
  }

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], under) => [r, g, b].map((each, i) => each * a + under[i] * (1 - a));
  const ground = (element) =>
    element === null ? [255, 255, 255] : over(rgba(getComputedStyle(element).backgroundColor), ground(element.parentElement));
  const light = (colour) => {
    const [r, g, b] = colour.map((each) => (each / 255 <= 0.04045 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const pale = new Set();
  for (const element of new Set(texts.map(({ node }) => node.parentElement))) {
    const style = getComputedStyle(element);
    const under = ground(element);
    const colour = over(rgba(element.closest("svg") ? style.fill : style.color), under);
    const [high, low] = [light(colour), light(under)].sort((a, b) => b - a);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) pale.add(contrast.toFixed(2) + ": " + name(element));
  }
  return {
    tables: document.querySelectorAll("table").length,
    tablesShown: [...document.querySelectorAll("table")].filter(isShown).length,
    drawings: [...document.querySelectorAll("svg[role=img]")].filter(isShown).length,
    pageWidth: document.documentElement.scrollWidth,
    width: innerWidth,
    cut, outside, overlapping, pale: [...pale],
  };
})()`;

async function look(page: Page): Promise<z.infer<typeof lookSchema>> {
  return lookSchema.parse(await page.evaluate(LOOK));
}

const NOTHING_WRONG = { cut: [], outside: [], overlapping: [], pale: [] };

describe.skipIf(path === undefined)("the page of a report in a browser", () => {
  let browser: Browser;
  let folder: string;
  let url: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mnemail-page-"));
    const file = join(folder, "report.html");
    await writeFile(file, await renderHtml(sampleReport()));
    url = pathToFileURL(file).href;
    browser = await chromium.launch({ ...(path ? { executablePath: path } : {}), args: ["--no-sandbox"] });
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Opens the page; what it says on the console, and what it asks of others, is kept. */
  async function open({ colorScheme, width, height }: (typeof SCREENS)[number]) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme });
    const said: string[] = [];
    page.on("console", (message) => said.push(message.text()));
    page.on("pageerror", (error) => said.push(error.message));
    page.on("request", (request) => request.url() !== url && said.push(`asks for ${request.url()}`));
    await page.goto(url);
    return { page, said };
  }

  test.each(SCREENS)("is whole and readable in $colorScheme at $width wide", async (screen) => {
    const { page, said } = await open(screen);
    const seen = await look(page);
    expect(seen).toMatchObject({ ...NOTHING_WRONG, pageWidth: screen.width, width: screen.width });
    // Two of triage, three of users' rules, answers, two of learning, the curve, attacks: each is shown at one width only.
    expect(seen.drawings).toBe(10);
    expect(seen.tablesShown).toBeGreaterThanOrEqual(15);
    await page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true");
    const opened = await look(page);
    expect(opened).toMatchObject({ ...NOTHING_WRONG, pageWidth: screen.width });
    expect(opened.tablesShown).toBe(opened.tables);
    expect(said).toEqual([]);
    await page.close();
  });

  test("has dark ground in the dark, and light in the light", async () => {
    const grounds = await Promise.all(
      [SCREENS[0], SCREENS[1]].map(async (screen) => {
        const { page } = await open(screen);
        return page.evaluate("getComputedStyle(document.body).backgroundColor");
      }),
    );
    expect(grounds).toEqual(["rgb(255, 255, 255)", "rgb(20, 24, 28)"]);
  });

  test("can be read by the keyboard: what scrolls takes the focus, and a link opens the prompt it leads to", async () => {
    const { page } = await open(SCREENS[2]);
    const unreachable = await page.evaluate(
      "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth && box.tabIndex < 0).length",
    );
    expect(unreachable).toBe(0);
    const isShown = (where: string) => page.locator(where).first().isVisible();
    const link = page.locator("details.case p a").last();
    const target = `${await link.getAttribute("href")}`;
    expect(await isShown(target)).toBe(false);
    await link.dispatchEvent("click");
    await expect.poll(() => isShown(target)).toBe(true);
    await page.close();
  });

  test("is found wanting when text is cut, lies on other text, is pale, or is too wide", async () => {
    const { page } = await open(SCREENS[2]);
    const worse = async (css: string) => {
      await page.addStyleTag({ content: css });
      const seen = await look(page);
      await page.evaluate("document.head.lastElementChild.remove()");
      return seen;
    };
    expect((await worse(".scroll { overflow: hidden; width: 200px }")).cut).not.toEqual([]);
    expect((await worse("h2 { margin-bottom: -30px }")).overlapping).not.toEqual([]);
    expect((await worse(".drawing text { font-size: 30px }")).overlapping).not.toEqual([]);
    expect((await worse(".muted { color: #999 }")).pale).not.toEqual([]);
    expect((await worse("p { width: 500px; max-width: none }")).outside).not.toEqual([]);
    expect((await worse("p { width: 500px; max-width: none }")).pageWidth).toBeGreaterThan(390);
    await page.close();
  });
});

test.runIf(path === undefined)(
  `the page of a report in a browser: not tested, since none of ${NAMES.join(", ")} is there`,
  () => {},
);
