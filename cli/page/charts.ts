// Draws charts with uPlot. A canvas has no style sheet, so they are made again when colours change.

import uPlot from 'uplot'
import type { Chart, Curve } from '../report/chart.ts'
import { colourOf } from './data.ts'

const HEIGHT = 230

let plots: uPlot[] = []
let charts: readonly Chart[] = []

/** Draws the charts in the place for them, and removes those of before. */
export function drawCharts(given: readonly Chart[]) {
  const place = document.getElementById('charts')
  if (!place) return
  charts = given
  for (const plot of plots) plot.destroy()
  place.replaceChildren()
  plots = charts.map((chart) => drawn(chart, place))
}

addEventListener('resize', () => {
  for (const plot of plots) {
    const width = widthOf(plot.root.parentElement)
    if (width !== plot.width) plot.setSize({ width, height: HEIGHT })
  }
})

function widthOf(figure: HTMLElement | null): number {
  if (!figure) return 0
  const { paddingLeft, paddingRight } = getComputedStyle(figure)
  return figure.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight)
}

function drawn(chart: Chart, place: HTMLElement): uPlot {
  const figure = document.createElement('figure')
  figure.tabIndex = 0
  figure.setAttribute('aria-label', described(chart))
  const heading = document.createElement('h3')
  heading.textContent = chart.title
  figure.append(heading)
  if (chart.about !== undefined) {
    const about = document.createElement('p')
    about.className = 'about'
    about.textContent = chart.about
    figure.append(about)
  }
  place.append(figure)
  const edges = chart.curves.flatMap(({ band }) => (band ? [band.high, band.low] : []))
  const data = [chart.x, ...chart.curves.map(({ y }) => y), ...edges] as uPlot.AlignedData // uPlot copies none
  const plot = new uPlot(optionsOf(chart, widthOf(figure)), data, figure)
  figure.addEventListener('keydown', (event) => moveBy(event, plot, chart))
  return plot
}

/** Says a chart in words. */
function described({ title, xLabel, x, curves }: Chart): string {
  const ends = curves.map(({ label, y }) => {
    const [first, last] = [y.find((v) => v !== null), y.findLast((v) => v !== null)]
    return `${label} from ${short(first)} to ${short(last)}`
  })
  return `${title} over ${xLabel} ${short(x[0])} to ${short(x.at(-1))}: ${ends.join('; ')}`
}

const short = (v: number | null | undefined) => (v == null ? '-' : String(Number(v.toPrecision(4))))

/** Moves the cursor to the next point by the arrow keys. */
function moveBy(event: KeyboardEvent, plot: uPlot, { x }: Chart) {
  const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key]
  if (step === undefined) return
  event.preventDefault()
  const at = Math.min(x.length - 1, Math.max(0, (plot.cursor.idx ?? -1) + step))
  plot.setCursor({ left: plot.valToPos(x[at] ?? 0, 'x'), top: 1 })
}

/** Prints 10 digits, since uPlot rounds to three decimals. */
const marks = (_: uPlot, values: readonly (number | null)[]) =>
  values.map((v) => (v == null ? '' : String(Number(v.toPrecision(10)))))

const valued = (_: uPlot, v: number | null) => (v == null ? '' : String(Number(v.toPrecision(5))))

/** The range of an axis from 0 to above the largest value. */
const fromNothing = (_: uPlot, __: number, most: number) =>
  uPlot.rangeNum(0, Math.max(most, 1e-9), { min: { pad: 0, hard: 0, mode: 1 }, max: { pad: 0.1 } })

/** The bands around curves: for each the number of its curve among the series, and its edges, which
 *  follow the curves. */
const bandsOf = (curves: readonly Curve[]) =>
  curves
    .map(({ band, colour }, i) => ({ band, colour, of: i + 1 }))
    .filter(({ band }) => band)
    .map(({ colour, of }, i) => {
      const high = curves.length + 1 + 2 * i
      return { of, colour, series: [high, high + 1] as [number, number] }
    })

/** Shows and hides the edges of a band with its curve. */
function withEdges(curves: readonly Curve[]) {
  const bands = bandsOf(curves)
  return (plot: uPlot, index: number | null, { show }: uPlot.Series) => {
    const band = bands.find(({ of }) => of === index)
    if (band && show !== undefined) for (const edge of band.series) plot.setSeries(edge, { show })
  }
}

function optionsOf(chart: Chart, width: number): uPlot.Options {
  const { x, xLabel, curves, logarithmic = false, logarithmicY = false, fromZero = false } = chart
  const bands = bandsOf(curves)
  const line = { stroke: colourOf('grid'), width: 1 }
  const axis = { stroke: colourOf('faint'), grid: line, ticks: line, values: marks }
  const log = { distr: 3, log: 2 } as const
  return {
    ...{ width, height: HEIGHT },
    scales: {
      x: { time: false, ...(logarithmic ? log : {}) },
      y: logarithmicY ? log : fromZero ? { range: fromNothing } : {},
    },
    axes: [
      { ...axis, label: xLabel, labelSize: 22, ...(logarithmic ? { splits: () => [...x] } : {}) },
      { ...axis, size: 62 },
    ],
    series: [
      { label: xLabel, value: valued },
      ...curves.map(({ label, colour, dashed = false }) => ({
        label,
        stroke: colourOf(colour),
        width: colour === 'pale' || dashed ? 1.5 : 2,
        points: { show: x.length <= 60 && !dashed, size: 6 },
        spanGaps: true,
        value: valued,
        ...(dashed ? { dash: [6, 4] } : {}),
      })),
      ...bands.flatMap(({ series }) =>
        series.map(() => ({ class: 'edge', width: 0, points: { show: false }, spanGaps: true })),
      ),
    ],
    bands: bands.map(({ series, colour }) => ({ series, fill: `${colourOf(colour)}26` })),
    hooks: { setSeries: [withEdges(curves)] },
  }
}
