// The table of few labels: mean and spread over seeds, for each amount of labels and each way of
// using them.

import { type Arm, type CellResult, arms } from './few-label-cells.ts'

/** Accuracies of one amount of labels used in one way. */
export interface Spread {
  readonly arm: Arm
  /** The amount as it is typed: '10%' of each class, or '20' images of each. */
  readonly labels: string
  /** Number of labelled images. */
  readonly images: number
  /** Percent, by seed from 0 on. */
  readonly accuracies: readonly number[]
  readonly mean: number
  /** Standard deviation over n - 1; null for one seed. */
  readonly std: number | null
  /** Learning rates of whole networks, by seed; none for the linear probe. */
  readonly rates: readonly number[]
}

/** Says how many fine-tuned networks chose learning rate 0; null if none did. */
export function untrainedNote({ arm, rates }: Spread): string | null {
  const kept = rates.filter((rate) => rate === 0).length
  return kept === 0 ? null : `${kept} of ${rates.length} ${arm} stayed the linear probe (rate 0)`
}

/** Joins the results of all seeds, in the order of their first appearance. */
export function spreads(results: readonly CellResult[]): Spread[] {
  const groups = new Map<string, CellResult[]>()
  for (const result of results) {
    const key = `${result.labels} ${result.arm}`
    groups.set(key, [...(groups.get(key) ?? []), result])
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (!first) return []
    const accuracies = group.map(({ accuracy }) => accuracy)
    const n = accuracies.length
    const mean = accuracies.reduce((a, b) => a + b, 0) / n
    const squares = accuracies.reduce((sum, value) => sum + (value - mean) ** 2, 0)
    const std = n < 2 ? null : Math.sqrt(squares / (n - 1))
    const { arm, labels, indices } = first
    const rates = group.flatMap(({ lr }) => lr ?? [])
    return [{ arm, labels, images: indices.length, accuracies, mean, std, rates }]
  })
}

/** Writes the table, of at most 60 columns, and below it what was not trained further. */
export function tableLines(rows: readonly Spread[], testImages: number): string[] {
  const seeds = Math.max(...rows.map(({ accuracies }) => accuracies.length))
  const cell = (labels: string, arm: Arm) => {
    const found = rows.find((row) => row.labels === labels && row.arm === arm)
    const spread = found?.std ?? null
    const said = found ? found.mean.toFixed(1) : '-'
    return (spread === null ? said : `${said} ± ${spread.toFixed(1)}`).padStart(15)
  }
  const parts = [...new Map(rows.map(({ labels, images }) => [labels, images]))]
  return [
    `accuracy, % of ${testImages} test images, ${seeds} seed${seeds === 1 ? '' : 's, mean ± std'}`,
    `${'labels'.padEnd(14)}${arms.map((arm) => arm.padStart(15)).join('')}`,
    ...parts.map(
      ([labels, images]) =>
        `${`${labels} (${images})`.padEnd(14)}${arms.map((arm) => cell(labels, arm)).join('')}`,
    ),
    ...rows.flatMap((row) => {
      const note = untrainedNote(row)
      return note === null ? [] : [`${row.labels}: ${note}`]
    }),
  ]
}
