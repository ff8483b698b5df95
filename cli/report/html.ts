// HTML in which every text is escaped, unless it is HTML made here.

/** Text that is HTML. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Part = string | number | Html | readonly Html[] | null

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Makes HTML of a template. Escapes strings, joins lists, and leaves out null. */
export const html = (strings: TemplateStringsArray, ...parts: readonly Part[]): Html =>
  new Html(strings.reduce((all, text, i) => all + textOf(parts[i - 1] ?? null) + text))

function textOf(part: Part): string {
  if (part === null) return ''
  if (part instanceof Html) return part.text
  if (typeof part === 'object') return part.map(({ text }) => text).join('')
  return String(part).replace(/[&<>"']/g, (c) => entities[c] ?? c)
}

/** Writes a value as JSON for a script element. */
export const jsonHtml = (value: unknown): Html =>
  new Html(JSON.stringify(value).replaceAll('<', '\\u003c'))

/** Rows of a name and a value. */
export type ReportRows = readonly (readonly [name: string, value: string])[]

/** Makes a table of names and values. */
export const rowTable = (rows: ReportRows): Html =>
  html`<table class="rows">
    ${rows.map(
      ([key, value]) =>
        html`<tr>
          <th scope="row">${key}</th>
          <td>${value}</td>
        </tr>`,
    )}
  </table>`
