// The plan of kindred compare: the settings of the comparison and of each run, and compare.json,
// which holds them.

import { encoders } from '../methods/settings/encoders.ts'
import { join } from 'node:path'
import { makeFolder, readBytes, writeAtomic } from '../engine/node-files.ts'
import { mocoPresets } from '../methods/presets/moco.ts'
import { exists, utf8 } from '../run-folder/run-config.ts'
import { UsageError } from '../training/choice.ts'
import type { ConfigOptions } from '../training/config.ts'
import { absoluteSource } from './data-source.ts'
import type { GpuFlags } from './gpu-options.ts'

/** Options of kindred compare. */
export interface CompareFlags extends GpuFlags {
  readonly data?: string
  readonly out?: string
  readonly negatives?: readonly number[]
  readonly subset?: number
  readonly model?: string
  readonly width?: number
  readonly epochs?: number
  readonly batch?: number
  readonly lr?: number
  readonly seed?: number
  readonly json?: boolean
}

/** The mechanisms that are compared, in the order of the columns. */
export const mechanisms = ['end-to-end', 'memory-bank', 'moco'] as const
export type Mechanism = (typeof mechanisms)[number]

const PLAN = 'compare.json'
const SIDE = 32 // pixels, of the images that the presets are made for

/** Settings of a comparison, as compare.json holds them. */
export interface Plan {
  readonly preset: 'demo' | 'cifar10'
  readonly data: string
  readonly negatives: readonly number[]
  readonly subset: number
  readonly epochs: number
  readonly batch: number
  readonly width?: number
  readonly seed: number
  readonly model?: string
  readonly lr?: number
}

/** Puts the flags over the defaults, which take a quarter of an hour on a CPU adapter. All
 *  mechanisms learn at one rate on the built-in images. */
export function planOf(flags: CompareFlags): Plan {
  const { data, negatives = [32, 128, 512], subset = 1000, batch = 64 } = flags
  const { epochs = 40, seed = 0, model = 'resnet8' } = flags
  const narrow = encoders.get(model)?.rules['width'] ? 8 : undefined // of encoders with a width
  const width = flags.width ?? narrow
  const lr = flags.lr ?? (data === undefined ? 1e-3 : undefined)
  return {
    preset: data === undefined ? 'demo' : 'cifar10',
    data: absoluteSource(data ?? 'procedural'),
    negatives: [...new Set(negatives)],
    ...{ subset, batch, epochs, seed, model },
    ...(width === undefined ? {} : { width }),
    ...(lr === undefined ? {} : { lr }),
  }
}

/** Throws UsageError for a number of negatives or a batch that a mechanism cannot use. */
export function checkPlan(plan: Plan) {
  const { batch, negatives } = plan
  const few = negatives.find((K) => K < 2)
  if (few !== undefined)
    throw new UsageError(
      "--negatives: each must be 2 or more, as end-to-end's batch is its number of " +
        `negatives, got ${few}`,
    )
  const splits = splitsOf(plan)
  if (batch % splits !== 0 || batch < 2 * splits)
    throw new UsageError(
      `--batch: must be a multiple of ${splits} from ${2 * splits} on, as MoCo's batch ` +
        `norm goes over ${splits} groups of 2 images or more, got ${batch}`,
    )
}

/** Returns the groups of batch norm in the preset of MoCo's runs. */
const splitsOf = ({ preset, batch }: Plan): number =>
  mocoPresets[`moco-v1-${preset}`]?.settings(SIDE, batch).bnSplits ?? 1

/** Returns the options of one run: a mechanism with K negatives. */
export function pointOf(mechanism: Mechanism, K: number, plan: Plan): ConfigOptions {
  const { preset, negatives: _negatives, batch, ...settings } = plan
  const own = {
    'end-to-end': { batch: K },
    'memory-bank': { batch, negatives: K },
    moco: { batch, queue: K },
  }
  const named = {
    moco: `moco-v1-${preset}`,
    'memory-bank': `memory-bank-${preset}`,
    'end-to-end': `end-to-end-${preset}`,
  }
  return {
    ...settings,
    ...own[mechanism],
    ...{ preset: named[mechanism], stem: 'cifar', knnEvery: 0 },
  }
}

/** Reads compare.json in `out`, null if there is none. Throws UsageError if it holds another
 *  comparison, and Error if it cannot be read. */
export async function savedPlan(out: string, plan: Plan): Promise<string | null> {
  const path = join(out, PLAN)
  if (!(await exists(path))) return null
  const saved = new TextDecoder().decode(await readBytes(path))
  if (withoutData(saved) === withoutData(textOf(plan))) return saved
  throw new UsageError(
    `--out: ${out} holds a comparison with other settings; choose another folder`,
  )
}

/** Writes the plan to `out` unless the saved plan is equal. The path of the images may differ. */
export async function savePlan(out: string, plan: Plan, saved: string | null) {
  const text = textOf(plan)
  await makeFolder(out)
  if (saved !== text) await writeAtomic(join(out, PLAN), utf8(text))
}

const textOf = (plan: Plan) => `${JSON.stringify(plan, null, 2)}\n`

/** Returns the settings of compare.json as text, without the path of the images. Each run checks
 *  the images by their fingerprint. */
function withoutData(text: string): string {
  try {
    const { data: _data, ...settings } = JSON.parse(text) as Partial<Plan>
    return JSON.stringify(settings)
  } catch {
    return '' // no plan
  }
}
