// The page that shows runs side by side.

import type { Chart, Curve } from './chart.ts'
import {
  type ComparedRun,
  type Difference,
  type SeedGroup,
  accuracyOf,
  differencesOf,
  groupsOf,
  lastAccuracy,
} from './compared.ts'
import { chartsOf } from './curves.ts'
import { type Html, html } from './html.ts'
import { page } from './page.ts'

const colours = ['strong', 'second', 'fourth', 'fifth', 'sixth', 'third'] as const

/** Returns a whole HTML page: accuracies, curves over each other, and what differs. */
export function comparedPage(runs: readonly ComparedRun[]): string {
  const groups = groupsOf(runs)
  const differences = differencesOf(runs)
  return page({
    title: `${runs.length} runs side by side`,
    subtitle: runs.map(({ name }) => name).join(' \u00b7 '),
    figures: groups.map((group) => ({
      name: group.runs.join(', '),
      value: group.mean === null ? '-' : `${group.mean.toFixed(1)}%`,
      about: `kNN accuracy: ${accuracyOf(group)}`,
    })),
    charts: overlaid(runs),
    sections: [
      { id: 'accuracies', title: 'Accuracies', body: accuracyTable(groups, runs) },
      { id: 'differences', title: 'What differs', body: differenceTable(differences, runs) },
    ],
  })
}

/** Draws each chart that any run has once, with a curve for each run. */
function overlaid(runs: readonly ComparedRun[]): Chart[] {
  const own = runs.map(({ metrics, timings }) => chartsOf(metrics, timings))
  const titles = [...new Set(own.flatMap((charts) => charts.map(({ title }) => title)))]
  return titles.flatMap((title) => {
    const found = own.map((charts) => charts.find((chart) => chart.title === title))
    const [first] = found.filter((chart) => chart !== undefined)
    if (!first) return []
    const x = [...new Set(found.flatMap((chart) => chart?.x ?? []))].sort((a, b) => a - b)
    const curves = found.flatMap((chart, i): Curve[] => {
      const curve = chart?.curves.find(({ colour }) => colour === 'strong')
      if (!chart || !curve) return []
      const at = new Map(chart.x.map((step, j) => [step, curve.y[j] ?? null]))
      return [
        {
          label: runs[i]?.name ?? '',
          y: x.map((step) => at.get(step) ?? null),
          colour: colours[i % colours.length] ?? 'strong',
          ...(i >= colours.length && { dashed: true }),
        },
      ]
    })
    return [{ ...first, x, curves }]
  })
}

const accuracyTable = (groups: readonly SeedGroup[], runs: readonly ComparedRun[]): Html =>
  html`<p class="about">
      Last kNN top-1. Runs that differ in nothing but the seed are one line: their mean, the
      standard deviation over seeds, and each.
    </p>
    <div class="panel scroll">
      <table class="changes">
        <thead>
          <tr>
            <th scope="col">settings</th>
            <th scope="col">accuracy</th>
            <th scope="col">runs</th>
          </tr>
        </thead>
        <tbody>
          ${groups.map(
            (group) =>
              html`<tr>
                <th scope="row">${group.settings || 'as all others'}</th>
                <td>${accuracyOf(group)}</td>
                <td>${group.runs.map((name) => each(name, runs)).join(', ')}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`

function each(name: string, runs: readonly ComparedRun[]): string {
  const accuracy = lastAccuracy(runs.find((run) => run.name === name) ?? { metrics: [] })
  return `${name} ${accuracy === null ? '-' : `${accuracy.toFixed(1)}%`}`
}

const differenceTable = (differences: readonly Difference[], runs: readonly ComparedRun[]): Html =>
  differences.length === 0
    ? html`<p>The settings of all runs are equal.</p>`
    : html`<div class="panel scroll">
        <table class="changes">
          <thead>
            <tr>
              <th scope="col">setting</th>
              ${runs.map(({ name }) => html`<th scope="col">${name}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${differences.map(
              ({ path, values }) =>
                html`<tr>
                  <th scope="row">${path}</th>
                  ${values.map((value) => html`<td>${value}</td>`)}
                </tr>`,
            )}
          </tbody>
        </table>
      </div>`
