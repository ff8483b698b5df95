// All presets of all methods, and kindred presets, which lists them.

import { amdimPresets } from '../methods/presets/amdim.ts'
import { endToEndPresets, memoryBankPresets } from '../methods/presets/mechanisms.ts'
import { mocoPresets } from '../methods/presets/moco.ts'
import type { PresetOf } from '../methods/presets/settings.ts'
import { simclrPresets } from '../methods/presets/simclr.ts'
import { UsageError, choice } from './choice.ts'
import { leaves } from './history.ts'
import { nearest } from './nearest.ts'
import { command } from './command.ts'
import type { MethodConfig } from './config.ts'

export type Method = MethodConfig['method']

/** A method as messages name it, its presets, and which of them a run takes that names none: on the
 *  built-in images, and on other data. */
interface About {
  readonly title: string
  readonly demo: string
  readonly usual: string
  readonly presets: Readonly<Record<string, PresetOf<MethodConfig>>>
}

const named = <S, M extends Method>(method: M, presets: Readonly<Record<string, PresetOf<S>>>) =>
  Object.fromEntries(
    Object.entries(presets).map(([name, preset]) => [
      name,
      {
        ...preset,
        settings: (size: number, batch?: number) => ({ method, ...preset.settings(size, batch) }),
      },
    ]),
  )

/** What there is to train. */
export const methods: Readonly<Record<Method, About>> = {
  simclr: {
    title: 'SimCLR',
    demo: 'simclr-demo',
    usual: 'simclr-cifar10',
    presets: named('simclr', simclrPresets),
  },
  moco: {
    title: 'MoCo',
    demo: 'moco-v2-demo',
    usual: 'moco-v1-cifar10',
    presets: named('moco', mocoPresets),
  },
  'memory-bank': {
    title: 'Memory bank',
    demo: 'memory-bank-demo',
    usual: 'memory-bank-cifar10',
    presets: named('memory-bank', memoryBankPresets),
  },
  'end-to-end': {
    title: 'End-to-end',
    demo: 'end-to-end-demo',
    usual: 'end-to-end-cifar10',
    presets: named('end-to-end', endToEndPresets),
  },
}

/** The preset that the flags name, or the method's own for such data. Throws UsageError. */
export function presetOf(
  method: Method,
  flags: { readonly preset?: string; readonly data?: string },
) {
  const { demo, usual, presets } = methods[method]
  const name = flags.preset ?? (flags.data === undefined ? demo : usual)
  const preset = presets[name]
  if (!preset) throw choice('--preset', name, Object.keys(presets))
  return { name, ...preset }
}

/** What is trained by a method, AMDIM included, whose settings are its own. */
const presetsOf = (method: Method | 'amdim') =>
  method === 'amdim' ? amdimPresets : methods[method].presets

/** The lines of a method's presets, for its help. */
export const presetLines = (method: Method | 'amdim') =>
  Object.entries(presetsOf(method))
    .map(([name, { about }]) => `  ${name.padEnd(20)} ${about}`)
    .join('\n')

/** Prints every preset with its source, or the settings of the one that is named, each by the path
 *  that --set takes; or JSON. Throws UsageError. */
export function listPresets(
  name: string | undefined,
  { json = false }: { readonly json?: boolean },
): number {
  const known = [...(Object.keys(methods) as Method[]), 'amdim' as const]
  if (name !== undefined) return showPreset(known, name, json)
  for (const method of known) {
    if (json) {
      for (const [preset, { about, size }] of Object.entries(presetsOf(method)))
        console.log(JSON.stringify({ method, name: preset, size, about }))
    } else console.log(`${command('train', method)} --preset ...\n${presetLines(method)}\n`)
  }
  return 0
}

const ofRuns = `--set takes these, and what every run has beside its preset: seed, subset, size, precision,
activations, checkpointEvery, knn.every, knn.k, knn.bank and knn.queries.`

function showPreset(known: readonly (Method | 'amdim')[], name: string, json: boolean): number {
  const method = known.find((one) => Object.hasOwn(presetsOf(one), name))
  const preset = method && presetsOf(method)[name]
  if (!preset) {
    const near = nearest(
      name,
      known.flatMap((one) => Object.keys(presetsOf(one))),
    )
    const hint = near === null ? '' : `did you mean ${near}? `
    throw new UsageError(`presets: there is no ${name}; ${hint}${command('presets')} lists them`)
  }
  const settings = preset.settings(preset.size)
  if (json)
    console.log(JSON.stringify({ method, name, size: preset.size, about: preset.about, settings }))
  else {
    const lines = [...leaves(settings)].filter(([path]) => path !== 'method')
    const values = lines.map(([path, value]) => `  ${path} = ${JSON.stringify(value)}`)
    console.log(
      `${command('train', method)} --preset ${name}\n  ${preset.about}\n\n${values.join('\n')}\n\n${ofRuns}`,
    )
  }
  return 0
}
