// The lines that a training prints before it begins.

import type { Split } from '../data/dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import { counted } from '../data/words.ts'
import { methodOf } from '../methods/registry.ts'
import { command } from './command.ts'
import { sourceName } from './data-source.ts'
import { type Changes, describeChanges } from '../training/history.ts'
import { ofAll } from '../training/knn.ts'
import { effectOf } from './precision.ts'
import type { Progress } from '../training/progress.ts'
import type { RunFolder } from './runs.ts'
import type { Prepared } from '../training/prepare.ts'

/** Folder, images and output of a training. */
export interface RunPlace {
  readonly run: RunFolder
  readonly data: Split
  readonly progress: Progress
  /** Settings that differ from the preset's. */
  readonly changes: Changes
}

/** Prints the method, the images, the folder, and notes about the settings. */
export function introduce(
  what: string,
  { config, gpu, images, stepsPerEpoch, probe }: Prepared,
  { run, progress, changes, resumed }: RunPlace & { readonly resumed: boolean },
) {
  const { batch, epochs, seed } = config
  const chunk = config.chunk ?? batch
  const cut = chunk < batch ? ` in chunks of ${chunk}` : ''
  const total = epochs * stepsPerEpoch
  progress.start(total, config.knn.every * stepsPerEpoch)
  progress.note(
    `${what} on ${counted(images.size, 'image')} of ${sourceName(config.data, images)}, batch ${batch}${cut}, ` +
      `${counted(epochs, 'epoch')} (${counted(total, 'step')}), seed ${seed}`,
  )
  if (Object.keys(changes).length > 0)
    progress.note(`not as ${config.preset} has it: ${describeChanges(changes)}`, { changes })
  const method = methodOf(config.method)
  noteWarmup(method.warmup(config, stepsPerEpoch), total, progress)
  const adapter = adapterOf(gpu)
  const kind = gpu.software ? `; a CPU is fine for small models, see: ${command('doctor')}` : ''
  progress.note(`into ${run.dir}, on ${adapter}${kind}`)
  const { precision, activations } = gpu.run
  if (precision !== 'f32')
    progress.note(`precision ${precision}: ${effectOf(precision, gpu.run)}; the loss is scaled`)
  if (activations === 'f16')
    progress.note('activations f16: images and their gradients are stored so; the loss is scaled')
  const { adapter: first } = (run.config['about'] ?? {}) as { adapter?: string } // from `described`
  if (first !== undefined && first !== adapter)
    progress.note(`the run began on ${first}: from here on its bits will differ, its quality not`)
  const filling = Math.min(total, method.filling?.(config, stepsPerEpoch) ?? 0)
  if (filling > 0)
    progress.note(
      `the loss may rise over the first ${counted(filling, 'step')}, which is expected: ` +
        'random negatives give way to harder ones',
    )
  for (const { text, remedy } of method.notes?.(config, images.size) ?? [])
    progress.note(resumed ? text : `${text}; ${remedy}`)
  const note = probe && ofAll(probe, config.knn)
  if (note) progress.note(note)
}

/** Notes a warm-up that lasts the whole run. */
function noteWarmup(warmup: number, total: number, progress: Progress) {
  if (warmup > 0 && warmup >= total)
    progress.note(
      `warm-up of ${counted(warmup, 'step')}, the run has ${total}: the learning rate ` +
        'climbs to the end; more --epochs let it decay',
    )
}

/** Returns the name of a GPU for config.json. */
export function adapterOf({ device }: Gpu): string {
  const { description, architecture, vendor } = device.adapterInfo
  return description || architecture || vendor
}
