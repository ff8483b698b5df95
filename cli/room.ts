// The sizes of the largest tensors of a training, checked before any is made. The data set or an
// option decides them.

import type { Dataset } from '../data/dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import { counted } from '../data/words.ts'
import { methodOf } from '../methods/registry.ts'
import { residentBytes } from '../methods/image-batch.ts'
import { UsageError } from '../training/choice.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import type { Resident } from '../training/feed.ts'

/** Throws UsageError if a queue, memory bank, negatives or resident images are larger than one
 *  binding of the adapter. The message names the option to change, except for a resumed run, whose
 *  settings stay. */
export function checkRoom(
  gpu: Gpu,
  config: TrainConfig,
  images: Pick<Dataset, 'size' | 'image' | 'name'>,
  resident: Resident = 'auto',
  { resuming = false }: { readonly resuming?: boolean } = {},
) {
  const { bytes, most } = residentBytes(gpu, images)
  const fits = (each: number) => Math.floor(most / each)
  const smaller = resuming ? '' : `, or give --subset ${fits(bytes / images.size)} or less`
  if (resident === 'on' && bytes > most)
    throw new UsageError(
      `--resident: the ${counted(images.size, 'image')} have ${bytes} bytes and this adapter binds ` +
        `at most ${most}; leave it at auto, which streams them${smaller}`,
    )
  const another = 'name another with --adapter, or start a new run'
  const rows = (what: string, count: number, dim: number, remedy: (count: number) => string) => {
    if (count * dim * 4 <= most) return
    throw new UsageError(
      `${what}: ${count} of ${dim} numbers each have ${count * dim * 4} bytes and this adapter ` +
        `binds at most ${most}; ${resuming ? another : remedy(fits(dim * 4))}`,
    )
  }
  for (const { what, rows: count, dim, remedy } of methodOf(config.method).rows?.(
    config,
    images.size,
  ) ?? [])
    rows(what, count, dim, remedy)
}
