// The parts of a report below its curves.

import type { ClassFigures, Measured, NearImages } from './measured.ts'
import { type Html, html } from './html.ts'
import type { Section } from './page.ts'

const PLAIN = 40 // classes up to which the confusion matrix is shown whole
const CONFUSED = 20 // pairs of classes that are listed above that

/** Returns the parts for what was measured. */
export function sectionsOf(measured: Measured): Section[] {
  const { views, map, neighbours, report, classes } = measured
  const sections: Section[] = []
  if (views.length > 0)
    sections.push({ id: 'views', title: 'The views that the encoder saw', body: viewsPart(views) })
  if (map && map.layouts.length > 0)
    sections.push({ id: 'map', title: `Map of ${map.of} features`, body: mapPart(map) })
  if (neighbours.length > 0)
    sections.push({
      ...{ id: 'neighbours', title: 'Nearest training images' },
      body: html`<p class="about">By cosine of the features, nearest first.</p>
        <div class="neighbours">${neighbours.map((row) => neighbourRow(row, classes))}</div>`,
    })
  if (report) sections.push({ id: 'classes', title: 'Classes', body: classPart(report, classes) })
  return sections
}

const viewsPart = (views: Measured['views']) =>
  html`<p class="about">
      Of the first images of the first batch: the image, and the two views of it in the first step.
    </p>
    <div class="views">
      ${views.map(
        ({ image, one, two }) =>
          html`<div class="panel">
            ${[
              { picture: image, name: 'image' },
              { picture: one, name: 'view 1' },
              { picture: two, name: 'view 2' },
            ].map(
              ({ picture, name }) =>
                html`<figure>
                  <img class="small" src="${picture}" alt="${name}" />
                  <figcaption>${name}</figcaption>
                </figure>`,
            )}
          </div>`,
      )}
    </div>`

const mapPart = ({ size, from, of }: NonNullable<Measured['map']>) =>
  html`<p class="about">
      ${size === from ? 'All' : `${size} of`} ${from} ${of} images; point at one, tap it, or use the
      arrow keys to see it. A class shows alone when its name is pressed.
    </p>
    <div class="panel map" id="map-place"></div>`

function neighbourRow({ query, before, after }: NearImages, classes: readonly string[]): Html {
  const nameOf = (label: number) => classes[label] ?? ''
  const figure = ({ picture, label }: NearImages['query'], kind: string) =>
    html`<figure class="${kind}" title="${nameOf(label)}">
      <img class="small" src="${picture}" alt="${nameOf(label) || 'an image'}" />
      <figcaption>${nameOf(label)}</figcaption>
    </figure>`
  const kindOf = (label: number) =>
    label < 0 || query.label < 0 ? '' : label === query.label ? 'same' : 'other'
  const five = (title: string, images: NearImages['after']) =>
    html`<div>
      <h3>${title}</h3>
      <div class="five">${images.map((image) => figure(image, kindOf(image.label)))}</div>
    </div>`
  return html`<div class="panel">
    <div class="query">
      <h3>image</h3>
      ${figure(query, '')}
    </div>
    ${five('before training', before)}${five('after training', after)}
  </div>`
}

const percent = (share: number) => `${(100 * share).toFixed(1)}%`

/** How kNN does: each class, and which are taken for which. */
function classPart({ confusion, ...figures }: ClassFigures, classes: readonly string[]): Html {
  const C = classes.length
  const row = (i: number) => confusion.slice(i * C, (i + 1) * C)
  const rows = classes
    .map((name, i) => ({ name, i, row: row(i), total: row(i).reduce((a, b) => a + b, 0) }))
    .filter(({ total }) => total > 0)
  const { k, bank, queries, accuracy, balancedAccuracy, top5 } = figures
  const five = top5 === null ? '' : `, ${percent(top5)} among the five best`
  return html`<p class="about">
      kNN with k ${k}, ${bank} neighbours to choose from and ${queries} test images:
      ${percent(accuracy)} right, ${percent(balancedAccuracy)} as the mean of all classes${five}.
    </p>
    <div class="panel tall">
      <table class="classes">
        <thead>
          <tr>
            <th scope="col">class</th>
            <th scope="col">images</th>
            <th scope="col">right</th>
            <td></td>
          </tr>
        </thead>
        <tbody>
          ${rows.map(classLine)}
        </tbody>
      </table>
    </div>
    <h3 class="above">Taken for another class</h3>
    ${C <= PLAIN ? matrix(rows, classes) : pairs(rows, classes)}`
}

function classLine({ name, i, row, total }: ClassRow): Html {
  const right = (row[i] ?? 0) / total
  return html`<tr>
    <th scope="row">${name}</th>
    <td class="number">${total}</td>
    <td class="number">${percent(right)}</td>
    <td>
      <svg viewBox="0 0 100 5" preserveAspectRatio="none" aria-hidden="true">
        <rect class="track" width="100" height="5" />
        <rect class="bar" width="${(100 * right).toFixed(1)}" height="5" />
      </svg>
    </td>
  </tr>`
}

interface ClassRow {
  readonly name: string
  readonly i: number
  readonly row: readonly number[]
  readonly total: number
}

/** The confusion matrix: a row for each class, a column for each prediction. */
const matrix = (rows: readonly ClassRow[], classes: readonly string[]): Html =>
  html`<p class="about">Rows are classes, columns what kNN calls their images.</p>
    <div class="panel scroll">
      <table class="confusion">
        <thead>
          <tr>
            <td></td>
            ${classes.map((name) => html`<th scope="col">${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            ({ name, row, total }) =>
              html`<tr>
                <th scope="row">${name}</th>
                ${row.map(
                  (count) =>
                    html`<td class="h${shade(count / total)}">${count === 0 ? '' : count}</td>`,
                )}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`

const shade = (share: number) => (share === 0 ? 0 : 1 + Math.min(6, Math.floor(7 * share)))

/** The pairs of classes that are confused most, where a matrix would be too large to read. */
function pairs(rows: readonly ClassRow[], classes: readonly string[]): Html {
  const found = rows.flatMap(({ name, i, row }) =>
    row.flatMap((count, j) =>
      count > 0 && i !== j ? [{ name, as: classes[j] ?? '', count }] : [],
    ),
  )
  const most = found.sort((a, b) => b.count - a.count).slice(0, CONFUSED)
  return html`<div class="panel">
    <table class="rows">
      ${most.map(
        ({ name, as, count }) =>
          html`<tr>
            <th scope="row">${name}</th>
            <td>taken for ${as}: ${count}</td>
          </tr>`,
      )}
    </table>
  </div>`
}
