// What a report says first: its figures, warnings and state in words.

import { type Metric, comparable } from '../../training/metrics.ts'
import { collapseWarning, isCollapsed, untrainedSpread } from '../../training/sphere.ts'
import type { Config } from '../../training/storage.ts'
import { baselines } from './curves.ts'
import type { Measured } from './measured.ts'
import type { Figure } from './page.ts'
import type { Timing } from './timings.ts'

/** What is known of a run. */
export interface Known {
  readonly config: Config
  readonly metrics: readonly Metric[]
  readonly timings: readonly Timing[]
  readonly measured: Measured | null
}

type Key = 'loss' | 'knn' | 'probe' | 'spread'
const last = (metrics: readonly Metric[], key: Key) =>
  metrics.findLast((metric) => typeof metric[key] === 'number')?.[key]

const percent = (value: number) => `${value.toFixed(1)}%`

/** Returns the figures of a run. Leaves out what was not measured. */
export function figuresOf({ metrics, timings, measured }: Known): Figure[] {
  return [
    ...accuracies(metrics, measured),
    ...lossFigures(metrics),
    ...(timings.length > 0
      ? [{ name: 'images per second', value: median(timings).toPrecision(3), about: 'median' }]
      : []),
    ...(measured?.rank
      ? [
          {
            name: 'effective rank',
            value: measured.rank.effectiveRank.toFixed(1),
            about: `of ${measured.rank.features} dimensions`,
          },
        ]
      : []),
  ]
}

function accuracies(metrics: readonly Metric[], measured: Measured | null): Figure[] {
  const known = comparable(metrics).flatMap(({ knn }) => (knn === undefined ? [] : [knn]))
  const knn = known.at(-1)
  const { untrained, pixels } = baselines(metrics)
  const level = (words: string, value: number | undefined) =>
    value === undefined ? [] : [`${words} ${percent(value)}`]
  const figures: Figure[] = []
  if (knn !== undefined)
    figures.push({
      ...{ name: 'kNN accuracy', value: percent(knn) },
      about: [`best ${percent(Math.max(...known))}`, ...level('untrained', untrained)]
        .concat(level('raw pixels', pixels))
        .join(', '),
    })
  else if (untrained !== undefined)
    figures.push({
      ...{ name: 'kNN accuracy, untrained', value: percent(untrained) },
      about: level('raw pixels', pixels).join(),
    })
  const probe = last(comparable(metrics), 'probe')
  if (probe !== undefined) {
    const before = metrics.find((metric) => typeof metric.untrainedProbe === 'number')
    const about = level('untrained', before?.untrainedProbe).join()
    figures.push({ name: 'linear probe', value: percent(probe), ...(about && { about }) })
  }
  if (measured?.report)
    figures.push({
      ...{ name: 'balanced accuracy', value: percent(100 * measured.report.balancedAccuracy) },
      about: 'kNN, mean of all classes',
    })
  return figures
}

function lossFigures(metrics: readonly Metric[]): Figure[] {
  const [loss, spread] = [last(metrics, 'loss'), last(metrics, 'spread')]
  return [
    { name: 'steps done', value: String(metrics.at(-1)?.step ?? 0) },
    ...(loss === undefined ? [] : [{ name: 'last loss', value: loss.toFixed(4) }]),
    ...(spread === undefined
      ? []
      : [{ name: 'spread of features', value: spread.toFixed(3), about: '1 even, 0 collapsed' }]),
  ]
}

function median(timings: readonly Timing[]): number {
  const sorted = timings.map(({ rate }) => rate).sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}

/** Returns what a reader must know before the figures: collapse, and pictures of another step.
 *  `again` is the command that measures anew. */
export function warningsOf({ metrics, measured }: Known, again: string): string[] {
  const spread = last(metrics, 'spread')
  const step = metrics.at(-1)?.step ?? 0
  return [
    ...(spread !== undefined && step > 0 && isCollapsed(spread, untrainedSpread(metrics))
      ? [collapseWarning(spread)]
      : []),
    ...(measured && measured.step !== step
      ? [
          `The pictures are of step ${measured.step}, the curves go to step ${step}; measure again with: ${again}`,
        ]
      : []),
    ...(measured === null && step > 0
      ? [`Only the curves so far; views, map, neighbours and classes come with: ${again}`]
      : []),
  ]
}

/** Says in a line what a run is and how far it is. */
export function subtitleOf({ config, metrics }: Known): string {
  const { method, preset, data, epochs } = config
  const done = metrics.findLast(({ epoch }) => epoch !== undefined)?.epoch
  const far =
    done === undefined || typeof epochs !== 'number'
      ? []
      : [`epoch ${Number(done.toFixed(2))} of ${epochs}${done >= epochs ? '' : ', not finished'}`]
  return [method, preset, data]
    .filter((part) => typeof part === 'string')
    .concat(far)
    .join(' · ')
}
