// kindred presets: the settings of published runs, of every method.

import type { Method } from '../methods/entry.ts'
import { methods } from '../methods/registry.ts'
import { UsageError } from '../training/choice.ts'
import { leaves } from '../training/history.ts'
import { nearestName } from '../kernels/options.ts'
import { command } from './command.ts'

/** The lines of a method's presets, for its help. */
export const presetLines = ({ presets }: Pick<Method, 'presets'>) =>
  Object.entries(presets)
    .map(([name, { about }]) => `  ${name.padEnd(20)} ${about}`)
    .join('\n')

/** Prints every preset with its source, or the settings of the one that is named, each by the path
 *  that --set takes; or JSON. Throws UsageError. */
export function listPresets(
  name: string | undefined,
  { json = false }: { readonly json?: boolean },
): number {
  if (name !== undefined) return showPreset(name, json)
  for (const method of methods.values())
    if (json) {
      for (const [preset, { about, size }] of Object.entries(method.presets))
        console.log(JSON.stringify({ method: method.name, name: preset, size, about }))
    } else console.log(`${command('train', method.name)} --preset ...\n${presetLines(method)}\n`)
  return 0
}

const ofRuns = `--set takes these, and what every run has beside its preset: seed, subset, size, precision,
activations, checkpointEvery, knn.every, knn.k, knn.bank and knn.queries.`

function showPreset(name: string, json: boolean): number {
  const all = [...methods.values()].flatMap((method) =>
    Object.entries(method.presets).map(([own, preset]) => ({ own, method: method.name, preset })),
  )
  const found = all.find(({ own }) => own === name)
  if (!found) {
    const near = nearestName(
      name,
      all.map(({ own }) => own),
    )
    const hint = near === undefined ? '' : `did you mean ${near}? `
    throw new UsageError(`presets: there is no ${name}; ${hint}${command('presets')} lists them`)
  }
  const { method, preset } = found
  const { size, about } = preset
  const settings = preset.settings(size)
  if (json) console.log(JSON.stringify({ method, name, size, about, settings }))
  else {
    const values = [...leaves(settings)].map(
      ([path, value]) => `  ${path} = ${JSON.stringify(value)}`,
    )
    console.log(
      `${command('train', method)} --preset ${name}\n  ${about}\n\n${values.join('\n')}\n\n${ofRuns}`,
    )
  }
  return 0
}
