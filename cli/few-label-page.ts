// The page of kindred eval few-labels: accuracy by the number of labels and each way of using them,
// as a table and as curves, with its spread over seeds.

import { type Arm, amountInWords, arms } from './few-label-cells.ts'
import { type Spread, untrainedNote } from './few-label-table.ts'
import type { Curve } from './report/chart.ts'
import { type Html, type ReportRows, html } from './report/html.ts'
import { page } from './report/page.ts'

const colours: Readonly<Record<Arm, Curve['colour']>> = {
  'from scratch': 'third',
  'linear probe': 'second',
  'fine-tuned': 'strong',
}

/** Returns a whole HTML page that refers to nothing outside it. `settings` are listed. */
export function fewLabelPage(rows: readonly Spread[], settings: ReportRows): string {
  const x = [...new Set(rows.map(({ images }) => images))].sort((a, b) => a - b)
  const curves = arms.map((arm): Curve => {
    const own = x.map((n) => rows.find((row) => row.arm === arm && row.images === n))
    const edge = (sign: 1 | -1) =>
      own.map((row) => (row && row.std !== null ? row.mean + sign * row.std : null))
    const mean = { label: arm, y: own.map((row) => row?.mean ?? null), colour: colours[arm] }
    const isSpread = own.some((row) => row && row.std !== null)
    return isSpread ? { ...mean, band: { low: edge(-1), high: edge(1) } } : mean
  })
  const isSpread = curves.some(({ band }) => band)
  const seeds = Math.max(...rows.map(({ accuracies }) => accuracies.length))
  const over = isSpread ? `mean and standard deviation over ${seeds} seeds` : 'one seed'
  return page({
    title: 'Accuracy with few labels',
    subtitle: `% of the test images, ${over}`,
    figures: table(rows),
    settings,
    charts: [
      {
        ...{ title: 'Test accuracy, %', xLabel: 'labelled images', x, logarithmic: true, curves },
        ...(isSpread && { about: 'Bands: one standard deviation up and down.' }),
      },
    ],
  })
}

/** Makes the table: a row for each amount of labels, a column for each way of using them. */
function table(rows: readonly Spread[]): Html {
  const amounts = [...new Map(rows.map(({ labels, images }) => [labels, images]))]
  const cell = (labels: string, arm: Arm): Html => {
    const row = rows.find((one) => one.labels === labels && one.arm === arm)
    if (!row) return html`<td>-</td>`
    const spread = row.std === null ? null : html` <small>± ${row.std.toFixed(1)}</small>`
    return html`<td><b>${row.mean.toFixed(1)}</b>${spread}</td>`
  }
  return html`<div class="panel spreads">
    <table>
      <thead>
        <tr>
          <th scope="col">labels</th>
          ${arms.map((arm) => html`<th scope="col">${arm}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${amounts.map(
          ([labels, images]) =>
            html`<tr>
              <th scope="row">${amountInWords(labels)} <small>(${images})</small></th>
              ${arms.map((arm) => cell(labels, arm))}
            </tr>`,
        )}
      </tbody>
    </table>
    ${rows.map((row) => {
      const note = untrainedNote(row)
      return note === null
        ? html``
        : html`<p class="about">${amountInWords(row.labels)}: ${note}</p>`
    })}
  </div>`
}
