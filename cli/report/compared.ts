// Runs side by side: which settings differ, and accuracies with their spread over seeds.

import { basename, relative } from 'node:path'
import { leaves } from '../../training/history.ts'
import { type Metric, comparable } from '../../training/metrics.ts'
import type { Config } from '../../training/storage.ts'
import type { Timing } from './timings.ts'

/** Fields of config.json that are no settings. */
const ASIDE = ['about', 'history', 'dataFromRun']
const SEED = 'seed'

/** A run to compare. */
export interface ComparedRun {
  readonly name: string
  readonly config: Config
  readonly metrics: readonly Metric[]
  readonly timings: readonly Timing[]
}

/** A setting in which runs differ, with its value in each. */
export interface Difference {
  readonly path: string
  readonly values: readonly string[]
}

/** Runs with equal settings but for the seed. */
export interface SeedGroup {
  /** The settings by which it differs from other groups. */
  readonly settings: string
  readonly runs: readonly string[]
  /** Last kNN accuracies in percent, of the runs that have one. */
  readonly accuracies: readonly number[]
  readonly mean: number | null
  /** Standard deviation over n - 1; null for fewer than two. */
  readonly deviation: number | null
}

/** Names run folders by the end of their paths, or by their paths where ends are equal. */
export function namesOf(dirs: readonly string[]): string[] {
  const ends = dirs.map((dir) => basename(dir))
  return dirs.map((dir, i) => {
    const end = ends[i] ?? dir
    return ends.filter((other) => other === end).length === 1 ? end : relative('.', dir) || dir
  })
}

const settingsOf = (config: Config) =>
  leaves(Object.fromEntries(Object.entries(config).filter(([key]) => !ASIDE.includes(key))))

const shown = (value: unknown) =>
  value === undefined ? '-' : typeof value === 'string' ? value : JSON.stringify(value)

/** Lists the settings in which runs differ. */
export function differencesOf(runs: readonly ComparedRun[]): Difference[] {
  const all = runs.map(({ config }) => settingsOf(config))
  const paths = [...new Set(all.flatMap((settings) => [...settings.keys()]))]
  return paths
    .map((path) => ({ path, values: all.map((settings) => shown(settings.get(path))) }))
    .filter(({ values }) => new Set(values).size > 1)
}

/** Returns the last kNN accuracy of a run in percent, null where none was measured. */
export const lastAccuracy = ({ metrics }: Pick<ComparedRun, 'metrics'>): number | null =>
  comparable(metrics).findLast(({ knn }) => knn !== undefined)?.knn ?? null

/** Puts runs that differ in nothing but the seed together, in the order of the runs. */
export function groupsOf(runs: readonly ComparedRun[]): SeedGroup[] {
  const differing = differencesOf(runs).filter(({ path }) => path !== SEED)
  const groups = new Map<string, number[]>()
  for (const i of runs.keys()) {
    const key = JSON.stringify(differing.map(({ values }) => values[i]))
    groups.set(key, [...(groups.get(key) ?? []), i])
  }
  return [...groups.values()].map((members) => {
    const accuracies = members.flatMap((i) => lastAccuracy(runs[i] ?? { metrics: [] }) ?? [])
    return {
      settings: differing
        .map(({ path, values }) => `${path} ${values[members[0] ?? 0] ?? '-'}`)
        .join(', '),
      runs: members.map((i) => runs[i]?.name ?? ''),
      accuracies,
      ...spreadOver(accuracies),
    }
  })
}

function spreadOver(values: readonly number[]) {
  const n = values.length
  if (n === 0) return { mean: null, deviation: null }
  const mean = values.reduce((a, b) => a + b, 0) / n
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, deviation: n < 2 ? null : Math.sqrt(squares / (n - 1)) }
}

/** Writes a group's accuracy: 71.2% +- 0.4 over 3 runs. */
export function accuracyOf({ accuracies, mean, deviation }: SeedGroup): string {
  if (mean === null) return 'not measured'
  const spread = deviation === null ? '' : ` \u00b1 ${deviation.toFixed(1)}`
  return `${mean.toFixed(1)}%${spread} over ${accuracies.length} ${accuracies.length === 1 ? 'run' : 'runs'}`
}
