// The settings of a run in its report, those that differ from the preset's first.

import { isObject } from '../../training/json.ts'
import type { Config } from '../../training/storage.ts'
import { type Html, type ReportRows, html, rowTable } from './html.ts'

const ASIDE = ['about', 'history'] // of config.json: no settings

const shown = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

/** Lists nested settings as one row each, by path: knn.k. */
export function flat(settings: Readonly<Record<string, unknown>>, prefix = ''): ReportRows {
  return Object.entries(settings).flatMap(([key, value]): ReportRows => {
    const name = `${prefix}${key}`
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return flat({ ...value }, `${name}.`)
    return [[name, shown(value)]]
  })
}

/** Makes the part of a report that lists the settings. */
export function settingsPart(config: Config): Html {
  const settings = Object.entries(config).filter(([key]) => !ASIDE.includes(key))
  const { about, preset } = config
  const machine = isObject(about) ? Object.entries(about).filter(([key]) => key !== 'changes') : []
  return html`${differences(config)}
    <details>
      <summary>All settings${typeof preset === 'string' ? ` (preset ${preset})` : ''}</summary>
      ${rowTable([...flat(Object.fromEntries(settings)), ...flat(Object.fromEntries(machine))])}
    </details>`
}

/** The settings that differ from the preset's, and those that changed since the run began. */
function differences({ about, history, preset }: Config): Html {
  const changes = isObject(about) && isObject(about['changes']) ? about['changes'] : null
  const later = Array.isArray(history) ? history.filter(isObject) : []
  return html`${
    changes === null
      ? null
      : Object.keys(changes).length === 0
        ? html`<p>As the preset ${shown(preset)} has them.</p>`
        : html`<p>These differ from the preset ${shown(preset)}:</p>
            ${changeTable(changes, 'preset', 'this run')}`
  }${later.map(({ step, changes: since }) =>
    isObject(since)
      ? html`<p>Changed after step ${shown(step)}:</p>
          ${changeTable(since, 'before', 'after')}`
      : html``,
  )}`
}

const changeTable = (changes: Readonly<Record<string, unknown>>, from: string, to: string): Html =>
  html`<table class="changes">
    <thead>
      <tr>
        <th scope="col">setting</th>
        <th scope="col">${from}</th>
        <th scope="col">${to}</th>
      </tr>
    </thead>
    <tbody>
      ${Object.entries(changes).map(([path, change]) => {
        const { from: old = null, to: now = null } = isObject(change) ? change : {}
        return html`<tr>
          <th scope="row">${path}</th>
          <td>${shown(old)}</td>
          <td>${shown(now)}</td>
        </tr>`
      })}
    </tbody>
  </table>`
