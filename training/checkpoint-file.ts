// A checkpoint as a file: its name, and what makes it one that a run can go on from.

import type { SafetensorsFile } from '../engine/safetensors.ts'
import { notFinite, someOf } from '../engine/not-finite.ts'
import { areSettingsWhole } from './history.ts'
import type { Checkpoint } from './storage.ts'

/** Name of the file of the best checkpoint. */
export const BEST = 'best.safetensors'
const NAME = /^step-(\d+)\.safetensors$/
const COUNTER = /^(optimizer\.t|queue\.pointer)$/ // beside `step`

/** Returns the name of the file of a step: step-00000123.safetensors. */
export const fileOfStep = (step: number) => `step-${String(step).padStart(8, '0')}.safetensors`

/** Returns the steps that have a file among these names, the newest first. */
export const stepsIn = (names: readonly string[]): readonly number[] =>
  names
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a)

/** Returns the content of the file at `path` as a checkpoint. Throws Error in words if it is none,
 *  or holds what nothing can go on from. */
export function wholeCheckpoint({ tensors, metadata }: SafetensorsFile, path: string): Checkpoint {
  const step = wholeIn(metadata, 'step')
  if (step === undefined)
    throw new Error(`${path}: it holds no step; it is not a checkpoint of a run`)
  const [, named] = NAME.exec(path.slice(path.lastIndexOf('step-'))) ?? []
  if (named !== undefined && step !== null && Number(named) !== step)
    throw new Error(
      `${path}: it holds step ${step}, and its name says ${Number(named)}; the file was renamed`,
    )
  const wrong =
    step === null
      ? 'step'
      : Object.keys(metadata).find((name) => COUNTER.test(name) && wholeIn(metadata, name) === null)
  if (wrong !== undefined)
    throw new Error(
      `${path}: its ${wrong} must be a whole number from 0 on, got ` +
        `${JSON.stringify(metadata[wrong])}; the file is damaged`,
    )
  if (step === null || !areSettingsWhole(metadata))
    throw new Error(`${path}: its settings (config) are not what was saved; the file is damaged`)
  const bad = notFinite(tensors)
  if (bad.length > 0)
    throw new Error(
      `${path}: it holds values that are not finite, in ${someOf(bad)}; nothing can go on from it`,
    )
  return { tensors, metadata, step, path }
}

/** Returns a counter of the metadata: undefined if missing, null if it is no whole number. */
function wholeIn(
  metadata: Readonly<Record<string, string>>,
  name: string,
): number | null | undefined {
  const { [name]: text } = metadata
  if (text === undefined) return undefined
  return /^\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : null
}
