// The frame of report.html and of other pages with charts: one file that needs nothing from
// outside.

import { createHash } from 'node:crypto'
import script from 'page:main.ts'
import style from 'page:style.css'
import type { Chart } from './chart.ts'
import { Html, type ReportRows, html, jsonHtml, rowTable } from './html.ts'
import type { FeatureMap } from './measured.ts'

/** A number that a page shows first. */
export interface Figure {
  readonly name: string
  readonly value: string
  readonly about?: string
}

/** A part of a page with a heading. */
export interface Section {
  readonly id: string
  readonly title: string
  readonly body: Html
}

/** The content of a page. */
export interface Page {
  readonly title: string
  readonly subtitle?: string
  /** Sentences that the page shows above all else. */
  readonly warnings?: readonly string[]
  /** Numbers above the curves, or a table of them. */
  readonly figures: readonly Figure[] | Html
  readonly charts: readonly Chart[]
  /** Parts below the charts. */
  readonly sections?: readonly Section[]
  /** Absent where a page has none. */
  readonly settings?: Html | ReportRows
  /** Drawn in the section `map`. */
  readonly map?: (FeatureMap & { readonly classes: readonly string[] }) | null
  /** True for a page that is served, and fetches itself again when it has changed. */
  readonly isLive?: boolean
}

const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** Returns the Content-Security-Policy of a page: its own script and style, pictures in it, and
 *  nothing else. A served page may also ask its server. */
export const policy = (isLive: boolean): string =>
  [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    'img-src data:',
    ...(isLive ? ["connect-src 'self'"] : []),
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')

/** Returns a whole HTML page. */
export function page(content: Page): string {
  const { title, charts, map = null, isLive = false } = content
  const parts = partsOf(content)
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy(isLive)}" />
        <meta name="viewport" content="width=device-width" />
        <title>${title}: Kindred</title>
        ${exactly('style', style)}
      </head>
      <body>
        ${headerOf(content, parts)}
        <main>
          ${charts.length === 0 ? html`<p>Nothing has been measured yet.</p>` : null}
          ${parts.map(partOf)}
        </main>
        <script type="application/json" id="data">
          ${jsonHtml({ charts, map, isLive })}
        </script>
        ${exactly('script', script)}
      </body>
    </html> `.text
}

/** Returns the parts of a page: curves, those given, settings. */
function partsOf({ charts, sections = [], settings }: Page): Section[] {
  const curves = {
    ...{ id: 'curves', title: 'Curves' },
    body: html`<div id="charts" class="charts"></div>`,
  }
  const body = settings instanceof Html || !settings ? settings : rowTable(settings)
  return [
    ...(charts.length > 0 ? [curves] : []),
    ...sections,
    ...(body ? [{ id: 'settings', title: 'Settings', body }] : []),
  ]
}

function headerOf(content: Page, parts: readonly Section[]): Html {
  const { title, subtitle = '', warnings = [], figures } = content
  return html`<header>
    <h1>${title}</h1>
    <p class="subtitle" id="subtitle">${subtitle}</p>
    <div id="warnings">
      ${warnings.map((line) => html`<p class="warning" role="alert">${line}</p>`)}
    </div>
    ${
      figures instanceof Html
        ? figures
        : html`<dl class="figures" id="figures">${figures.map(card)}</dl>`
    }
    <nav aria-label="Parts of this page">
      ${parts.map(({ id, title: name }) => html`<a href="#${id}">${name}</a>`)}
    </nav>
  </header>`
}

const partOf = ({ id, title, body }: Section) =>
  html`<section id="${id}" aria-labelledby="${id}-title">
    <h2 id="${id}-title">${title}</h2>
    ${body}
  </section> `

/** Makes an element with this text and no space around it, which its hash counts. */
const exactly = (name: string, text: string) => new Html(`<${name}>${text}</${name}>`)

const card = ({ name, value, about = '' }: Figure) =>
  html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
    ${about === '' ? null : html`<dd class="about">${about}</dd>`}
  </div>`
