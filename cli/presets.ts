// kindred presets: the presets of every method, and the settings of one.

import type { Method } from '../methods/entry.ts'
import { methods } from '../methods/registry.ts'
import { encoders } from '../methods/settings/encoders.ts'
import { UsageError } from '../training/choice.ts'
import { leaves } from '../training/history.ts'
import { nearestName } from '../kernels/options.ts'
import { command } from './command.ts'
import { wrapped } from './wrapped.ts'

const COLUMNS = 80 // of a terminal
const INDENT = 23 // of a preset's description

/** Wraps lines to the terminal, or to 80 columns where it is wider or there is none. */
export const toTerminal = (text: string): string =>
  wrapped(text, Math.min(COLUMNS, process.stdout.columns ?? COLUMNS))

/** Lists a method's presets, for its help. */
export const presetLines = ({ presets }: Pick<Method, 'presets'>) =>
  toTerminal(
    Object.entries(presets)
      .map(([name, { about }]) => `  ${name.padEnd(INDENT - 4)}  ${about}`)
      .join('\n'),
  )

/** Prints every preset with its source, or the settings of the preset `name`, each by its path for
 *  --set. Throws UsageError for an unknown name. */
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

const ofRuns =
  '--set changes these, and the settings of every run: seed, subset, size, precision, ' +
  'activations, checkpointEvery, knn.every, knn.k, knn.bank and knn.queries.'

/** Prints the settings of one preset. Throws UsageError for an unknown name. */
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
    const names = all.map(({ own }) => own).join(', ')
    if (encoders.has(name))
      throw new UsageError(`presets: ${name} is an encoder, for --model; presets are ${names}`)
    throw new UsageError(`presets: there is no ${name}; ${hint}there are ${names}`)
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
      `${command('train', method)} --preset ${name}\n${toTerminal(`  ${about}`)}\n\n` +
        `${values.join('\n')}\n\n${toTerminal(ofRuns)}`,
    )
  }
  return 0
}
