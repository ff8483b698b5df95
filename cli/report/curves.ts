// The curves of a run: loss, learning rate, accuracy, how its features lie, speed.

import type { Metric } from '../../training/metrics.ts'
import type { Chart, Curve } from './chart.ts'
import type { Timing } from './timings.ts'

const MOST = 2000 // points of a curve: more than a screen is wide

/** Returns the charts of a run. Leaves out what was not measured. */
export const chartsOf = (metrics: readonly Metric[], timings: readonly Timing[]): Chart[] => [
  ...lossCharts(metrics),
  ...accuracyCharts(metrics),
  ...probeCharts(metrics),
  ...sphereCharts(metrics),
  ...rateCharts(metrics, timings),
]

type Key = 'loss' | 'lr' | 'knn' | 'probe' | 'spread' | 'alignment' | 'uniformity'
const has = (key: Key) => (metric: Metric) => typeof metric[key] === 'number'

/** Charts the loss and its terms against step. */
function lossCharts(metrics: readonly Metric[]): Chart[] {
  const steps = thinned(metrics.filter(has('loss')))
  if (steps.length === 0) return []
  const x = steps.map(({ step }) => step)
  const loss = { title: 'Loss', y: steps.map((metric) => metric.loss ?? null) }
  const names = [...new Set(steps.flatMap(({ terms }) => Object.keys(terms ?? {})))]
  const terms = names.map((name) => ({
    title: `Loss: ${name}`,
    y: steps.map((metric) => metric.terms?.[name] ?? null),
  }))
  return [loss, ...terms].map(({ title, y }) => ({
    ...{ title, xLabel: 'step', x },
    curves: [
      { label: 'of each step', y, colour: 'pale' },
      { label: 'running mean', y: smooth(y, Math.ceil(y.length / 50)), colour: 'strong' },
    ],
  }))
}

/** Charts the learning rate and the speed against step. */
function rateCharts(metrics: readonly Metric[], timings: readonly Timing[]): Chart[] {
  const steps = thinned(metrics.filter(has('lr')))
  const charts: Chart[] = []
  if (steps.length > 0)
    charts.push({
      ...{ title: 'Learning rate', xLabel: 'step', x: steps.map(({ step }) => step) },
      curves: [{ label: 'learning rate', y: steps.map(({ lr }) => lr ?? null), colour: 'strong' }],
    })
  const every = Math.ceil(timings.length / MOST)
  const some = timings.filter((_, i) => i % every === 0)
  if (some.length > 0)
    charts.push({
      ...{ title: 'Images per second', xLabel: 'step', x: some.map(({ step }) => step) },
      fromZero: true,
      curves: [{ label: 'images per second', y: some.map(({ rate }) => rate), colour: 'strong' }],
    })
  return charts
}

/** Charts kNN accuracy against epoch, beside the untrained encoder and raw pixels. */
function accuracyCharts(metrics: readonly Metric[]): Chart[] {
  const { untrained, pixels } = baselines(metrics)
  const measured = metrics.filter(has('knn'))
  if (measured.length === 0) return []
  const x = [0, ...measured.map(({ epoch, step }) => epoch ?? step)]
  const all = (value: number | undefined) => x.map(() => value ?? null)
  const curves: Curve[] = [
    {
      label: 'encoder',
      y: [untrained ?? null, ...measured.map(({ knn }) => knn ?? null)],
      colour: 'strong',
    },
  ]
  if (untrained !== undefined)
    curves.push({ label: 'untrained encoder', y: all(untrained), colour: 'second', dashed: true })
  if (pixels !== undefined)
    curves.push({ label: 'raw pixels', y: all(pixels), colour: 'third', dashed: true })
  return [{ title: 'kNN accuracy, %', xLabel: 'epoch', x, fromZero: true, curves }]
}

/** Charts the accuracy of a linear probe against epoch, beside the untrained encoder's. */
function probeCharts(metrics: readonly Metric[]): Chart[] {
  const measured = metrics.filter(has('probe'))
  if (measured.length === 0) return []
  const untrained =
    metrics.find((metric) => typeof metric.untrainedProbe === 'number')?.untrainedProbe ?? null
  const x = [0, ...measured.map(({ epoch, step }) => epoch ?? step)]
  const y = [untrained, ...measured.map(({ probe }) => probe ?? null)]
  const flat: Curve = {
    ...{ label: 'untrained encoder', y: x.map(() => untrained), colour: 'second', dashed: true },
  }
  const curves: Curve[] = [{ label: 'encoder', y, colour: 'strong' }]
  if (untrained !== null) curves.push(flat)
  return [{ title: 'Linear probe accuracy, %', xLabel: 'epoch', x, fromZero: true, curves }]
}

/** Returns the accuracies of the untrained encoder and of raw pixels, in percent. */
export const baselines = (metrics: readonly Metric[]) => ({
  untrained: metrics.find((metric) => typeof metric.untrained === 'number')?.untrained,
  pixels: metrics.find((metric) => typeof metric.pixels === 'number')?.pixels,
})

const meters = [
  {
    key: 'spread',
    title: 'Collapse meter',
    about: 'Spread of unit features: 1 when even, 0 when all images look alike',
  },
  {
    key: 'alignment',
    title: 'Alignment',
    about: 'Squared distance between two views of an image: the less the better',
  },
  {
    key: 'uniformity',
    title: 'Uniformity',
    about: 'How evenly features lie on the sphere: the more negative the better',
  },
] as const

/** Charts how the features lie on the unit sphere against epoch. */
function sphereCharts(metrics: readonly Metric[]): Chart[] {
  return meters.flatMap(({ key, title, about }) => {
    const measured = metrics.filter(has(key))
    if (measured.length === 0) return []
    const x = measured.map(({ epoch, step }) => epoch ?? step)
    const y = measured.map((metric) => metric[key] ?? null)
    const fromZero = key !== 'uniformity'
    const curves = [{ label: title, y, colour: 'strong' as const }]
    return [{ title, about, xLabel: 'epoch', x, fromZero, curves }]
  })
}

/** Thins metrics to at most MOST groups of equal size, the last metric included. Keeps the last
 *  metric of each group, with the group's mean loss. */
function thinned(metrics: readonly Metric[]): Metric[] {
  const size = Math.ceil(metrics.length / MOST)
  if (size <= 1) return [...metrics]
  const kept: Metric[] = []
  for (let end = metrics.length; end > 0; end -= size) {
    const group = metrics.slice(Math.max(0, end - size), end)
    const last = group.at(-1)
    const loss = group.reduce((sum, metric) => sum + (metric.loss ?? NaN), 0) / group.length
    if (last) kept.push(Number.isNaN(loss) ? last : { ...last, loss })
  }
  return kept.reverse()
}

/** Averages each value with up to `span` values on either side. */
function smooth(values: readonly (number | null)[], span: number): (number | null)[] {
  return values.map((_, i) => {
    const near = values.slice(Math.max(0, i - span), i + span + 1).filter((v) => v !== null)
    return near.length > 0 ? near.reduce((a, b) => a + b, 0) / near.length : null
  })
}
