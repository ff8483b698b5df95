// report.html: loss, learning rate and kNN accuracy of a run as curves, its last figures, and its
// configuration, in one file.

import { basename, resolve } from 'node:path'
import { writeAtomic } from '../engine/node-files.ts'
import { type Chart, type Curve, type ReportRows, page, uplotFiles } from './report-page.ts'
import { type Metric, comparable } from '../training/metrics.ts'
import { readRun } from './runs.ts'

const MOST = 4000 // points of a curve: more than a screen is wide

/** Writes report.html from the files of the run folder. Resolves to its path. Throws Error in
 *  words. */
export async function writeReport(dir: string): Promise<string> {
  const run = await readRun(dir)
  const metrics = await run.metrics()
  const html = page({
    title: basename(resolve(dir)),
    figures: figuresOf(metrics),
    config: flat(run.config),
    charts: [...lossCharts(metrics), ...accuracyCharts(metrics)],
    uplot: await uplotFiles(),
  })
  const path = run.path('report.html')
  await writeAtomic(path, new TextEncoder().encode(html), { retry: run.retry })
  return path
}

const has = (key: 'loss' | 'lr' | 'knn') => (metric: Metric) => typeof metric[key] === 'number'

/** Charts loss and learning rate against step. */
function lossCharts(metrics: readonly Metric[]): Chart[] {
  const steps = thinned(metrics.filter(has('loss')))
  if (steps.length === 0) return []
  const x = steps.map(({ step }) => step)
  const loss = steps.map((metric) => metric.loss ?? null)
  const charts: Chart[] = [
    {
      title: 'Loss',
      xLabel: 'step',
      x,
      curves: [
        { label: 'loss', y: loss, colour: 'pale' },
        { label: 'running mean', y: smooth(loss, Math.ceil(loss.length / 50)), colour: 'strong' },
      ],
    },
  ]
  charts.push(...termCharts(steps, x))
  if (steps.some(has('lr')))
    charts.push({
      title: 'Learning rate',
      xLabel: 'step',
      x,
      curves: [{ label: 'learning rate', y: steps.map(({ lr }) => lr ?? null), colour: 'strong' }],
    })
  return charts
}

/** Charts each term of the loss. */
function termCharts(steps: readonly Metric[], x: readonly number[]): Chart[] {
  const names = [...new Set(steps.flatMap(({ terms }) => Object.keys(terms ?? {})))]
  return names.map((name) => {
    const y = steps.map(({ terms }) => terms?.[name] ?? null)
    return {
      title: `Loss: ${name}`,
      xLabel: 'step',
      x: [...x],
      curves: [
        { label: name, y, colour: 'pale' },
        { label: 'running mean', y: smooth(y, Math.ceil(y.length / 50)), colour: 'strong' },
      ],
    }
  })
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
  return [{ title: 'kNN accuracy, %', xLabel: 'epoch', x, curves }]
}

const baselines = (metrics: readonly Metric[]) => ({
  untrained: metrics.find((metric) => typeof metric.untrained === 'number')?.untrained,
  pixels: metrics.find((metric) => typeof metric.pixels === 'number')?.pixels,
})

function figuresOf(metrics: readonly Metric[]): ReportRows {
  const rows: [string, string][] = [['steps done', String(metrics.at(-1)?.step ?? 0)]]
  const loss = metrics.findLast(has('loss'))?.loss
  if (loss !== undefined) rows.push(['last loss', loss.toFixed(4)])
  const percent = (name: string, value: number | undefined) =>
    value === undefined || rows.push([name, `${value.toFixed(1)}%`])
  const measured = comparable(metrics)
    .filter(has('knn'))
    .map(({ knn = NaN }) => knn)
  percent('kNN accuracy, last', measured.at(-1))
  percent('kNN accuracy, best', measured.length > 0 ? Math.max(...measured) : undefined)
  const { untrained, pixels } = baselines(metrics)
  percent('kNN accuracy, untrained encoder', untrained)
  percent('kNN accuracy, raw pixels', pixels)
  return rows
}

/** Lists nested settings as one row each, by path: knn.k. */
export function flat(settings: Readonly<Record<string, unknown>>, prefix = ''): ReportRows {
  return Object.entries(settings).flatMap(([key, value]): ReportRows => {
    const name = `${prefix}${key}`
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return flat({ ...value }, `${name}.`)
    return [[name, typeof value === 'string' ? value : JSON.stringify(value)]]
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
    if (last) kept.push({ ...last, loss })
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
