// The dictionary of Instance Discrimination (Wu et al. 2018, https://arxiv.org/abs/1805.01978): one
// slot per image of the training set, the feature that the image had when it was last seen.

import { type Scalar, type Tensor, type Variable, sizeOf } from '../kernels/op.ts'
import { bankUpdate } from '../kernels/state/bank-update.ts'
import { drawRows } from '../kernels/state/draw-rows.ts'
import { enqueue } from '../kernels/state/enqueue.ts'
import { affine } from '../kernels/wgsl/affine.ts'
import { indexSelect } from '../kernels/shape/gather.ts'
import { logSumExp } from '../kernels/reduce/logsumexp.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import { checkOptions, inspect, needed, said, whole } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { randomUnitRows } from '../engine/random.ts'
import { checkGpu } from './layers.ts'
import { checkBinding, checkSizes } from './sizes.ts'

const rules = {
  n: needed(said('a whole number from 1 on')),
  C: needed(said('a whole number from 1 on')),
  seed: whole,
}

/** A bank of n unit features of C numbers, at first random directions. */
export class MemoryBank {
  /** [n, C], one row per image, in the data set's order. */
  readonly rows: Variable
  /** [1, 1], the logarithm of NCE's constant Z; 0 until it is estimated. */
  readonly logZ: Variable
  readonly size: number

  /** Throws RangeError for sizes that are not whole numbers from 1 on, and Error where the bank is
   *  larger than one binding of the device. */
  constructor(
    gpu: Gpu,
    options: { readonly n: number; readonly C: number; readonly seed?: number },
  ) {
    checkGpu('MemoryBank', gpu)
    const { n, C, seed = 0 } = checkOptions('MemoryBank', options ?? {}, rules)
    checkSizes('MemoryBank', { n, C })
    checkBinding('MemoryBank', gpu, [n, C], 'features', (most) => `use at most ${most} images`)
    this.rows = gpu.variable(randomUnitRows(seed, 'bank', n, C), [n, C])
    this.logZ = gpu.variable([0], [1, 1])
    this.size = n
  }

  /** The features of the images that i32 indices [N] name -> [N, C]. */
  at(indices: Tensor): Tensor {
    return indexSelect(this.rows, 0, indices)
  }

  /** `count` features drawn uniformly from all -> [count, C]; which ones depends on (seed, step)
   *  and n alone. */
  draw(count: number, at: { readonly seed: number; readonly step: Scalar }): Tensor {
    return drawRows(this.rows, count, at)
  }

  /** Moves the slots of a batch towards its unit features [N, C] by the share 1 - m, in one
   *  dispatch. */
  update(features: Tensor, indices: Tensor, m: number) {
    bankUpdate(this.rows, features, indices, m)
  }

  /** Sets Z = n mean(exp(s)) of similarities s over T, of any shape, as the paper's section 3.2
   *  estimates it. */
  estimateZ(s: Tensor) {
    const mean = affine(logSumExp(reshape(s, [-1])), 1, Math.log(this.size / sizeOf(s.shape)))
    enqueue(this.logZ, reshape(mean, [1, 1]), 0) // a queue of one number
  }

  toString() {
    return `MemoryBank (${this.rows.shape.join(' x ')})`
  }

  [inspect]() {
    return this.toString()
  }
}
