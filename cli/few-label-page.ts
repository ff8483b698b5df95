// The page of kindred eval few-labels: accuracy over the number of labels, a curve for each way of
// using them, and its spread over seeds.

import { type Arm, amountInWords, arms } from './few-label-cells.ts'
import { type Spread, untrainedNote } from './few-label-table.ts'
import type { Curve } from './report/chart.ts'
import type { ReportRows } from './report/html.ts'
import { page } from './report/page.ts'

const colours: Readonly<Record<Arm, Curve['colour']>> = {
  'from scratch': 'third',
  'linear probe': 'second',
  'fine-tuned': 'strong',
}

/** Returns a whole HTML page that refers to nothing outside it. `settings` are listed. */
export function fewLabelPage(rows: readonly Spread[], settings: ReportRows): string {
  const x = [...new Set(rows.map(({ images }) => images))].sort((a, b) => a - b)
  const curves = arms.flatMap((arm): Curve[] => {
    const own = x.map((n) => rows.find((row) => row.arm === arm && row.images === n))
    const colour = colours[arm]
    const edge = (sign: 1 | -1): Curve => ({
      label: `${arm}, mean ${sign === 1 ? '+' : '-'} std`,
      y: own.map((row) => (row && row.std !== null ? row.mean + sign * row.std : null)),
      ...{ colour, dashed: true },
    })
    const mean = { label: arm, y: own.map((row) => row?.mean ?? null), colour }
    return own.some((row) => row && row.std !== null) ? [mean, edge(1), edge(-1)] : [mean]
  })
  return page({
    title: 'Accuracy with few labels',
    figures: rows.map((row) => ({
      name: `${row.arm}, ${amountInWords(row.labels)} (${row.images}), %`,
      value: row.mean.toFixed(1) + (row.std === null ? '' : ` ± ${row.std.toFixed(1)}`),
      about: untrainedNote(row) ?? '',
    })),
    settings,
    charts: [
      { title: 'Test accuracy, %', xLabel: 'labelled images', x, logarithmic: true, curves },
    ],
  })
}
