// The weights with which a training begins: --init, and kindred import.

import { listed } from '../../data/listed.ts'
import { counted } from '../../data/words.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { load } from '../../engine/node-files.ts'
import type { SafetensorsFile } from '../../engine/safetensors.ts'
import { printable } from '../../kernels/printable.ts'
import type { Trainer } from '../../methods/entry.ts'
import { type Imported, importModel } from '../../models/import-model.ts'
import { variablesOf } from '../../models/state.ts'
import type { Prepared } from '../../training/prepare.ts'
import type { Progress } from '../../training/progress.ts'

/** A file of weights. */
export interface InitFile extends Pick<SafetensorsFile, 'tensors'> {
  readonly path: string
}

/** Reads the file of --init; null without it. Throws Error in words. */
export const readInit = async (path: string | undefined): Promise<InitFile | null> =>
  path === undefined ? null : { path, tensors: (await load(path)).tensors }

/** Loads the encoder of a trainer, and the key encoder if it has one. Throws Error that lists what
 *  is missing or of another shape. */
export function loadInit(
  gpu: Gpu,
  { encoder, kept }: Pick<Trainer, 'encoder' | 'kept'>,
  { path, tensors }: InitFile,
  prefix?: string,
): Imported {
  try {
    const imported = importModel(gpu, encoder, tensors, prefix === undefined ? {} : { prefix })
    const names = Object.keys(variablesOf(encoder)).join()
    for (const model of Object.values(kept.models))
      if (Object.keys(variablesOf(model)).join() === names)
        importModel(gpu, model, tensors, { prefix: imported.prefix })
    return imported
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause
    throw new Error(cause.message.replace(/^importModel: /, `${printable(path)}: `), { cause })
  }
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
