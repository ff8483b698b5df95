// Builds MoCo from its settings: towers, queue or predictor, optimizer, and checkpoint state.

import type { Gpu } from '../../engine/gpu.ts'
import { constant, cosineRamp } from '../../engine/optim/schedule.ts'
import { KeyQueue } from '../../models/key-queue.ts'
import { mocoV3Head } from '../../models/moco-heads.ts'
import { parametersOf } from '../../models/parts.ts'
import { type Configured, type Extent, type Saved, type Trainer, nothing } from '../entry.ts'
import { mocoV3 } from '../moco-v3.ts'
import { moco } from '../moco.ts'
import { optimizerOf } from '../settings/optimizers.ts'
import type { MocoSettings } from './moco-papers.ts'
import { stepOptions, towerOf } from './tower.ts'

/** Builds MoCo at step 0. */
type Build<A extends readonly unknown[] = []> = (
  gpu: Gpu,
  settings: Configured<MocoSettings>,
  extent: Extent,
  ...more: A
) => Trainer

/** Builds MoCo v1 or v2, whose keys come from a queue of K. */
export const buildQueue: Build<[K: number]> = (gpu, settings, extent, K) => {
  const [query, key] = [towerOf(gpu, settings), towerOf(gpu, settings)]
  const optimizer = optimizerOf(settings, parametersOf(query))
  const queue = new KeyQueue(gpu, { K, C: query.head.features, seed: settings.seed })
  const { symmetric, bnSplits: splits, shuffle } = settings
  const options = { ...stepOptions(settings, extent), symmetric, splits, shuffle }
  const momentum = momentumOf(settings, extent)
  const trainer = moco(gpu, { ...options, query, key, optimizer, queue, momentum })
  const kept: Saved = {
    models: { 'key.': key.encoder, 'key.head.': key.head },
    variables: { queue: queue.keys },
    counters: {
      'queue.pointer': { read: () => queue.pointer, write: (pointer) => (queue.pointer = pointer) },
    },
    resized: {
      queue: (was, is) =>
        `its queue holds ${was} keys, the run's configuration says ${is}; a queue cannot ` +
        'be resized, start a new run',
    },
  }
  return { ...trainer, optimizer, schedule: options.schedule, kept }
}

/** Builds MoCo v3, whose keys come from the batch. */
export const buildV3: Build = (gpu, settings, extent) => {
  const [query, key] = [towerOf(gpu, settings), towerOf(gpu, settings)]
  const { head, seed } = settings
  const dim = query.head.features
  const hidden = head.style === 'v3' ? head.hidden : dim
  const widths = [dim, hidden, dim] as const
  const predictor = mocoV3Head(gpu, { name: 'predictor', widths, seed })
  const optimizer = optimizerOf(settings, { ...parametersOf(query), ...predictor.parameters })
  const options = { ...stepOptions(settings, extent), momentum: momentumOf(settings, extent) }
  const trainer = mocoV3(gpu, { ...options, query, key, predictor, optimizer })
  const models = { '': predictor, 'key.': key.encoder, 'key.head.': key.head }
  return { ...trainer, optimizer, schedule: options.schedule, kept: { ...nothing, models } }
}

/** Makes the momentum of each step. */
const momentumOf = ({ momentum, epochs }: MocoSettings, { stepsPerEpoch }: Extent) =>
  momentum.rising ? cosineRamp(momentum.start, epochs * stepsPerEpoch) : constant(momentum.start)
