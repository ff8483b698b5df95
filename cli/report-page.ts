// The HTML of report.html and compare.html. It escapes all text from outside.

import { createRequire } from 'node:module'
import { readBytes } from '../engine/node-files.ts'

/** A curve over x. A value is null where nothing was measured. */
export interface Curve {
  readonly label: string
  readonly y: readonly (number | null)[]
  /** A colour of the page's style sheet. */
  readonly colour: 'strong' | 'pale' | 'second' | 'third'
  /** True for a constant. */
  readonly dashed?: boolean
}

export interface Chart {
  readonly title: string
  readonly xLabel: string
  readonly x: readonly number[]
  /** True for a logarithmic x axis with a mark at each x. */
  readonly logarithmic?: boolean
  /** True for a logarithmic y axis. Values must be positive. */
  readonly logarithmicY?: boolean
  readonly curves: readonly Curve[]
}

export type ReportRows = readonly (readonly [name: string, value: string])[]

export interface Page {
  readonly title: string
  readonly figures: ReportRows
  readonly config: ReportRows
  readonly charts: readonly Chart[]
  /** Text of uPlot's files, which the page includes. */
  readonly uplot: { readonly script: string; readonly style: string }
}

/** Reads uPlot's files. */
export const uplotFiles = async () => ({
  script: await ofUplot('uPlot.iife.min.js'),
  style: await ofUplot('uPlot.min.css'),
})

async function ofUplot(name: string): Promise<string> {
  const path = createRequire(import.meta.url).resolve(`uplot/dist/${name}`)
  return new TextDecoder().decode(await readBytes(path))
}

/** Returns a whole HTML page that refers to nothing outside it. */
export const page = ({ title, figures, config, charts, uplot }: Page): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)}: Kindred</title>
<style>${uplot.style}${style}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
${table(figures, 'figures')}
<main id="charts">${charts.length === 0 ? '<p>Nothing has been measured yet.</p>' : ''}</main>
<h2>Configuration</h2>
${table(config, 'config')}
<script>${uplot.script}</script>
<script>const charts = ${JSON.stringify(charts).replaceAll('<', '\\u003c')}
${script}</script>
</body>
</html>
`

const table = (rows: ReportRows, name: string) =>
  `<table id="${name}">${rows.map(rowOf).join('')}</table>`

const rowOf = ([key, value]: ReportRows[number]) =>
  `<tr><th>${escaped(key)}</th><td>${escaped(value)}</td></tr>`

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
}

const escaped = (text: string) => text.replace(/[&<>"]/g, (c) => entities[c] ?? c)

const style = `
:root {
  color-scheme: light dark;
  --text: #1c2128; --faint: #667080; --grid: #e4e7eb; --back: #ffffff;
  --strong: #1f6feb; --pale: #b6d3fb; --second: #d9730d; --third: #6e7781;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e6e9ee; --faint: #97a1b0; --grid: #2b313a; --back: #14171c;
    --strong: #6cb0ff; --pale: #2c4a73; --second: #f0a35e; --third: #a3adba;
  }
}
body { margin: 2rem auto; padding: 0 1rem; max-width: 60rem; font: 15px/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--back); }
h1, h2, h3 { font-weight: 600; margin: 1.5rem 0 0.5rem; }
h3 { font-size: 1rem; margin-bottom: 0; }
table { border-collapse: collapse; }
th, td { padding: 0.15rem 1.5rem 0.15rem 0; text-align: left; vertical-align: top;
  font-weight: normal; }
#charts th { padding: 0.15rem 0.5rem; }
th { color: var(--faint); }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.u-legend { color: var(--text); text-align: left; }
.u-select { background: color-mix(in srgb, var(--strong) 20%, transparent); }
`

// Runs in the page. A canvas has no style sheet, so the charts are drawn again when the colours
// change.
const script = `
const place = document.getElementById('charts')
let made = []
function draw() {
  for (const plot of made) plot.destroy()
  place.querySelectorAll('h3').forEach((title) => title.remove())
  made = charts.map(make)
}
// Prints 10 digits, since uPlot rounds to three decimals.
function marks(plot, values) {
  return values.map((v) => (v == null ? '' : String(Number(v.toPrecision(10)))))
}
function make({ title, xLabel, x, curves, logarithmic, logarithmicY }) {
  const css = getComputedStyle(document.documentElement)
  const colour = (name) => css.getPropertyValue('--' + name).trim()
  const heading = document.createElement('h3')
  heading.textContent = title
  place.append(heading)
  const line = { stroke: colour('grid'), width: 1 }
  const axis = { stroke: colour('faint'), grid: line, ticks: line, values: marks }
  const series = curves.map((curve) => ({
    label: curve.label,
    stroke: colour(curve.colour),
    width: curve.colour === 'pale' || curve.dashed ? 1.5 : 2,
    points: { show: x.length <= 60 && !curve.dashed, size: 6 },
    spanGaps: true,
    value: (plot, v) => (v == null ? '' : String(Number(v.toPrecision(5)))),
    ...(curve.dashed ? { dash: [6, 4] } : {}),
  }))
  return new uPlot({
    width: place.clientWidth,
    height: 280,
    scales: {
      x: { time: false, ...(logarithmic ? { distr: 3, log: 2 } : {}) },
      y: logarithmicY ? { distr: 3, log: 2 } : {},
    },
    axes: [
      { ...axis, label: xLabel, labelSize: 24, ...(logarithmic ? { splits: () => x } : {}) },
      { ...axis, size: 72 },
    ],
    series: [{ label: xLabel, value: (plot, v) => (v == null ? '' : String(v)) }, ...series],
  }, [x, ...curves.map((curve) => curve.y)], place)
}
draw()
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
addEventListener('resize', () => {
  for (const plot of made) plot.setSize({ width: place.clientWidth, height: 280 })
})
`
