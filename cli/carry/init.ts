// The weights with which a training begins: --init, and kindred import.

import { listed } from '../../data/listed.ts'
import { counted } from '../../data/words.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { load } from '../../engine/node-files.ts'
import type { SafetensorsFile } from '../../engine/safetensors.ts'
import { printable } from '../../kernels/printable.ts'
import type { Trainer } from '../../methods/entry.ts'
import { type Imported, importModel } from '../../models/import-model.ts'
import type { Model } from '../../models/model.ts'
import { variablesOf } from '../../models/state.ts'
import { UsageError } from '../../training/choice.ts'
import type { Prepared } from '../../training/prepare.ts'
import type { Progress } from '../../training/progress.ts'

/** A file of weights. */
export interface InitFile extends SafetensorsFile {
  readonly path: string
  /** What stands before the encoder's names; found by itself where undefined. */
  readonly prefix: string | undefined
  /** The option that gives the prefix. */
  readonly flag: string
}

/** Flags of a command that begins with the weights of a file. */
export interface InitFlags {
  /** File of weights to begin with. */
  readonly init?: string
  /** What stands before the encoder's names in it. */
  readonly initPrefix?: string
}

/** Reads the file of --init; null without it. Throws UsageError for --init-prefix alone, and Error
 *  in words. */
export async function readInit({ init, initPrefix }: InitFlags): Promise<InitFile | null> {
  if (init !== undefined) return readWeights(init, '--init-prefix', initPrefix)
  if (initPrefix !== undefined)
    throw new UsageError('--init-prefix is of the names in the file of --init; give --init too')
  return null
}

/** Reads a file of weights. `flag` is the option that gives the prefix. */
export const readWeights = async (
  path: string,
  flag: string,
  prefix: string | undefined,
): Promise<InitFile> => ({ path, flag, prefix, ...(await load(path)) })

/** Loads a model from a file of weights. Throws Error in words: a list of what is missing or of
 *  another shape, or the prefixes of which one must be chosen. */
export function loadWeights(gpu: Gpu, model: Model, file: InitFile): Imported {
  const { path, tensors, prefix, flag } = file
  try {
    return importModel(gpu, model, tensors, prefix === undefined ? {} : { prefix })
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause
    const words = cause.message
      .replace(/^importModel: /, () => `${printable(path)}: `)
      .replace(/such as \{ prefix: ('.*') \}$/, `such as ${flag} $1`)
    throw new Error(words, { cause })
  }
}

/** Loads the encoder of a trainer, and the key encoder if it has one. Throws Error as `loadWeights`
 *  does. */
export function loadInit(
  gpu: Gpu,
  { encoder, kept }: Pick<Trainer, 'encoder' | 'kept'>,
  file: InitFile,
): Imported {
  const imported = loadWeights(gpu, encoder, file)
  const names = Object.keys(variablesOf(encoder)).join()
  for (const model of Object.values(kept.models))
    if (Object.keys(variablesOf(model)).join() === names)
      loadWeights(gpu, model, { ...file, prefix: imported.prefix })
  return imported
}

/** Begins a training with the weights of a file, if there is one, and notes what was taken. */
export function begun(prepared: Prepared, init: InitFile | null, progress: Progress): Prepared {
  if (init) noteInit(init, loadInit(prepared.gpu, prepared.trainer, init), progress)
  return prepared
}

/** Notes the prefix that was found, and the names that were not used. */
export function noteInit({ path }: InitFile, imported: Imported, progress: Progress) {
  const { prefix, loaded, ignored } = imported
  const where = prefix === '' ? 'without a prefix' : `under the prefix '${printable(prefix)}'`
  const rest =
    ignored.length === 0
      ? ''
      : `; ${counted(ignored.length, 'tensor')} not used: ${listed(ignored, 8)}`
  progress.note(
    `weights of ${printable(path)}: ${counted(loaded.length, 'tensor')} loaded, ${where}${rest}`,
    { init: { path, ...imported } },
  )
}
