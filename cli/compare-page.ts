// The page of kindred compare: one curve per mechanism over the number of negatives.

import type { Curve } from './report/chart.ts'
import type { ReportRows } from './report/html.ts'
import { page } from './report/page.ts'

/** One trained run. Accuracies are null if it could not be trained or measured. */
export interface ComparedPoint {
  readonly mechanism: string
  readonly negatives: number
  /** kNN top-1 in percent. */
  readonly knn: number | null
  readonly pixels: number | null
}

const colours = ['strong', 'second', 'third'] as const

/** Returns a whole HTML page that refers to nothing outside it. `plan` lists the settings. */
export function comparePage(points: readonly ComparedPoint[], plan: ReportRows): string {
  const x = [...new Set(points.map((p) => p.negatives))].sort((a, b) => a - b)
  const at = (mechanism: string, K: number) =>
    points.find((p) => p.mechanism === mechanism && p.negatives === K)?.knn ?? null
  const mechanisms = [...new Set(points.map((p) => p.mechanism))]
  const curves = mechanisms.map((label, i): Curve => {
    const colour = colours[i % colours.length] ?? 'strong'
    return { label, y: x.map((K) => at(label, K)), colour }
  })
  const pixels = points.find((p) => p.pixels !== null)?.pixels ?? null
  const level: Curve = { label: 'raw pixels', y: x.map(() => pixels), colour: 'pale', dashed: true }
  return page({
    title: 'kNN top-1 over the number of negatives',
    figures: curves.map(({ label, y }) => ({
      name: `${label}, %`,
      value: y.map((knn) => knn?.toFixed(1) ?? '-').join(' / '),
      about: `with ${x.join(' / ')} negatives`,
    })),
    settings: plan,
    charts: [
      {
        title: 'kNN accuracy, %',
        xLabel: 'negatives',
        x,
        logarithmic: true,
        curves: [...curves, level],
      },
    ],
  })
}
