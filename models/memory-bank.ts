// The dictionary of Instance Discrimination (Wu et al. 2018, https://arxiv.org/abs/1805.01978): one
// row per image of the training set, a running average of the image's features.

import { type Scalar, type Tensor, type Variable, sizeOf } from '../kernels/op.ts'
import { bankUpdate } from '../kernels/state/bank-update.ts'
import { drawRows } from '../kernels/state/draw-rows.ts'
import { enqueue } from '../kernels/state/enqueue.ts'
import { affine } from '../kernels/wgsl/affine.ts'
import { indexSelect } from '../kernels/shape/gather.ts'
import { logSumExp } from '../kernels/reduce/logsumexp.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import { checkOptions, inspect, needed, said } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { randomUnitRows } from '../engine/random.ts'
import { checkGpu } from './model.ts'
import { checkBinding, checkSizes } from './sizes.ts'

const rules = {
  n: needed(said('a whole number from 1 on')),
  C: needed(said('a whole number from 1 on')),
  seed: seedRule,
}

/** A bank of n unit features of C numbers. They start as random directions. */
export class MemoryBank {
  /** [n, C], one row per image, in the data set's order. */
  readonly rows: Variable
  /** [1, 1], the logarithm of NCE's constant Z; 0 until `estimateZ` sets it. */
  readonly logZ: Variable
  /** n, the number of images. */
  readonly size: number

  /** Allocates n x C f32. The seed, 0 by default, draws the first features. Throws RangeError for
   *  sizes that are not whole numbers from 1 on, and Error when the bank exceeds the device's
   *  largest buffer binding. */
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

  /** Returns the features [N, C] of the images with i32 indices [N]. Throws ShapeError. */
  at(indices: Tensor): Tensor {
    return indexSelect(this.rows, 0, indices)
  }

  /** Draws `count` features uniformly, with replacement -> [count, C]. The choice depends on
   *  (seed, step) and n alone. */
  draw(count: number, at: { readonly seed: number; readonly step: Scalar }): Tensor {
    return drawRows(this.rows, count, at)
  }

  /** rows[indices] = unit(m rows[indices] + (1 - m) features), for unit features [N, C] and i32
   *  indices [N], in one dispatch. Throws ShapeError. */
  update(features: Tensor, indices: Tensor, m: number) {
    bankUpdate(this.rows, features, indices, m)
  }

  /** Sets Z = n mean(exp(s)), the paper's estimate (section 3.2). `s` are similarities divided by
   *  the temperature, of any shape. */
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
