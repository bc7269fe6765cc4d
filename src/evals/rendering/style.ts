/** The style of a report's page: light and dark by the reader's setting, wide and narrow, and for paper. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f5f7f9; --line: #d5dbe1; --ink: #1b2127; --muted: #56606b;
  --edge: #1b212733; --accent: #0b62a8; --second: #a34a00; --good: #166b34; --bad: #b3261e; --link: #0b5cad;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181c; --panel: #1d2329; --line: #38424c; --ink: #e4e8ec; --muted: #a4afba;
    --edge: #000000b0; --accent: #62b0f0; --second: #f0a35a; --good: #6fd08f; --bad: #ff9088; --link: #7cbcf5;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
header, nav, main { max-width: 1180px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 32px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 8px; }
h2 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 12px; }
h4, h5 { margin: 12px 0 4px; font-size: 0.9rem; }
h5 { color: var(--muted); }
p { margin: 0 0 14px; max-width: 46em; }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 12px 0 0; padding: 0 0 12px; list-style: none; border-bottom: 1px solid var(--line); }
section { margin: 40px 0 56px; }
section#run { margin-top: 24px; }
.notice, .result { max-width: none; margin: 0; padding: 12px 16px 0; background: var(--panel); border-left: 4px solid var(--second); }
.notice:not(:has(+ .notice)) { padding-bottom: 12px; }
.notice + .result { margin-top: 16px; }
.result { margin-bottom: 24px; padding: 12px 16px; border-left-color: var(--accent); font-weight: 600; }
code, pre { font: 0.88em/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
.scroll {
  overflow-x: auto;
  background:
    linear-gradient(to right, var(--page) 24px, transparent 40px) 0 0 / 40px 100% no-repeat local,
    linear-gradient(to left, var(--page) 24px, transparent 40px) 100% 0 / 40px 100% no-repeat local,
    linear-gradient(to right, var(--edge), transparent) 0 0 / 14px 100% no-repeat scroll,
    linear-gradient(to left, var(--edge), transparent) 100% 0 / 14px 100% no-repeat scroll;
  margin: 0 0 24px; border: 1px solid var(--line); border-radius: 6px;
}
.scroll:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
caption { text-align: left; font-weight: 600; padding: 10px 12px; }
th, td { padding: 6px 12px; text-align: left; vertical-align: top; border-top: 1px solid var(--line); overflow-wrap: normal; }
thead th { font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead .number { white-space: normal; }
.good { color: var(--good); font-weight: 600; white-space: nowrap; }
.bad { color: var(--bad); font-weight: 600; white-space: nowrap; }
.muted { color: var(--muted); }
.pairs td { overflow-wrap: anywhere; }
.shaded { background: color-mix(in srgb, var(--accent) calc(var(--share) * 0.35), transparent); }
figure { margin: 0 0 20px; }
figcaption { font-weight: 600; font-size: 0.9rem; margin: 0 0 6px; }
.drawing { display: block; max-width: 100%; height: auto; color: var(--ink); }
.drawing text { white-space: pre; }
.narrow { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 6px; padding: 0; list-style: none; font-size: 0.9rem; }
.sample { vertical-align: middle; }
.folded { margin: 0 0 16px; border: 1px solid var(--line); border-radius: 6px; padding: 0 14px; }
.folded > summary { padding: 10px 0; font-weight: 600; cursor: pointer; }
.case { border-top: 1px solid var(--line); padding: 0 0 0 4px; }
.case > summary { padding: 7px 0; cursor: pointer; }
.labels { white-space: nowrap; }
.where { color: var(--muted); font-size: 0.9rem; }
.checks { margin: 4px 0 10px; padding-left: 22px; }
pre { margin: 0 0 12px; padding: 10px 12px; background: var(--panel); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
@media (max-width: 900px) {
  .wide { display: none; }
  .narrow { display: block; }
}
@media (max-width: 600px) {
  header, nav, main { padding: 0 14px; }
  header { padding-top: 20px; }
  th, td { padding: 6px 9px; }
  table:not(.pairs) td:not(.number) { min-width: 10em; }
}
@media print {
  .scroll { overflow: visible; border: 0; }
  section { break-inside: auto; }
}
`;
