// The cells of a few-label table: where the network begins, how many labels, which seed; and the
// files that keep each cell's result, so that the same command goes on where it was cut short.

import { join } from 'node:path'
import { counted } from '../data/words.ts'
import { readBytes } from '../engine/node-files.ts'
import { exists } from '../run-folder/run-config.ts'
import { UsageError } from '../training/choice.ts'
import { type LabelPart, partName } from './label-parts.ts'

/** How the labels are used, in the order of the columns. */
export const arms = ['from scratch', 'linear probe', 'fine-tuned'] as const
export type Arm = (typeof arms)[number]

/** One training. */
export interface Cell {
  readonly arm: Arm
  readonly part: LabelPart
  /** Seed of the split, of the initial weights and of all draws. */
  readonly seed: number
}

/** What all cells of a folder share. A result counts for no other settings. */
export interface CellSettings {
  /** Step of the checkpoint, or the file of --init. */
  readonly weights: string
  readonly data: string
  readonly testImages: number
  readonly steps: number
  readonly batch: number
  /** One learning rate, or those to choose from, as in '0.001,0.003'. */
  readonly lr: string
  readonly weightDecay: number
  /** What whole networks are trained on. */
  readonly views: 'mild crop and flip'
}

/** The result of a cell, as its file holds it. */
export interface CellResult {
  readonly arm: Arm
  readonly labels: string
  readonly seed: number
  readonly settings: CellSettings
  /** Percent of the test images. */
  readonly accuracy: number
  /** Learning rate of a whole network; 0 if it is the linear probe as it is. */
  readonly lr?: number
  /** Percent of the labels held out, on which the rate was chosen among several. */
  readonly heldOut?: number
  /** The training images whose labels were used. */
  readonly indices: readonly number[]
}

/** Returns the file of a cell's result in a folder, or of its network. */
export const cellFile = (
  out: string,
  { arm, part, seed }: Cell,
  kind: 'json' | 'safetensors' = 'json',
): string =>
  join(out, `${arm.replaceAll(' ', '-')}-${partName(part).replace('%', 'pc')}-seed${seed}.${kind}`)

/** Writes an amount of labels: '10% of the labels' or '5 labels of each class'. */
export const amountInWords = (labels: string): string =>
  labels.endsWith('%')
    ? `${labels} of the labels`
    : `${counted(Number(labels), 'label')} of each class`

/** Reads a cell's result, null if there is none. Throws UsageError for a result of other settings,
 *  and Error for a file that is no result. */
export async function keptCell(
  out: string,
  cell: Cell,
  settings: CellSettings,
): Promise<CellResult | null> {
  const path = cellFile(out, cell)
  if (!(await exists(path))) return null
  const kept = resultIn(path, new TextDecoder().decode(await readBytes(path)))
  if (kept.settings.views !== settings.views)
    throw new UsageError(
      `${out}: its results were made by an earlier version, which trained on other views; ` +
        'choose another --out',
    )
  const names = Object.keys(settings) as (keyof CellSettings)[]
  const other = names.find((name) => kept.settings[name] !== settings[name])
  if (other !== undefined)
    throw new UsageError(
      `${path}: its ${other} must be ${settings[other]}, as now, got ${kept.settings[other]}; ` +
        'give the settings of before, or another folder with --out',
    )
  return kept
}

/** Reads the text of a result. Throws Error in words. */
function resultIn(path: string, text: string): CellResult {
  const fault = () => new Error(`${path}: it is no result of few labels; delete it to train anew`)
  let value: Partial<CellResult> | null
  try {
    value = JSON.parse(text) as Partial<CellResult> | null
  } catch {
    throw fault()
  }
  const { accuracy, settings, indices } = value ?? {}
  const isWhole = typeof accuracy === 'number' && Array.isArray(indices)
  if (!isWhole || typeof settings !== 'object') throw fault()
  return value as CellResult
}
