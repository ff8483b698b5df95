// The dictionary of Momentum Contrast (He et al. 2020, https://arxiv.org/abs/1911.05722, section
// 3.2): the keys of the last batches, first in, first out.

import { type Tensor, type Variable, dim } from '../kernels/op.ts'
import { enqueue } from '../kernels/state/enqueue.ts'
import { checkOptions, checkTensor, inspect, needed, said } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { randomUnitRows } from '../engine/random.ts'
import { checkGpu } from './model.ts'
import { checkBinding, checkSizes } from './sizes.ts'

const rules = {
  K: needed(said('a whole number from 1 on')),
  C: needed(said('a whole number from 1 on')),
  seed: seedRule,
}

/** A queue of K unit keys of C numbers. They start as random directions, as in the paper's
 *  code. */
export class KeyQueue {
  /** [K, C], unit rows: the negatives of `infoNce`. */
  readonly keys: Variable
  /** Row of the oldest key, which the next key replaces. */
  pointer = 0
  readonly #gpu: Gpu

  /** Allocates K x C f32. The seed, 0 by default, draws the first keys. Throws RangeError for sizes
   *  that are not whole numbers from 1 on, and Error when the queue exceeds the device's largest
   *  buffer binding. */
  constructor(
    gpu: Gpu,
    options: { readonly K: number; readonly C: number; readonly seed?: number },
  ) {
    checkGpu('KeyQueue', gpu)
    const { K, C, seed = 0 } = checkOptions('KeyQueue', options ?? {}, rules)
    checkSizes('KeyQueue', { K, C })
    checkBinding('KeyQueue', gpu, [K, C], 'keys', (most) => `use at most ${most} keys`)
    this.#gpu = gpu
    this.keys = gpu.variable(randomUnitRows(seed, 'queue', K, C), [K, C])
  }

  /** Replaces the N oldest keys by `keys` [N, C], unit rows, in one dispatch. Throws
   *  ShapeError. */
  enqueue(keys: Tensor) {
    checkTensor('KeyQueue.enqueue', 'keys', keys)
    const [N, K] = [dim(keys.shape, 0), dim(this.keys.shape, 0)]
    enqueue(this.keys, keys, () => this.pointer)
    const move = (rows: number) => () => {
      this.pointer = (this.pointer + rows) % K
    }
    this.#gpu.everyStep(move(N), move(K - (N % K)))
  }

  toString() {
    return `KeyQueue (${this.keys.shape.join(' x ')}, pointer ${this.pointer})`
  }

  [inspect]() {
    return this.toString()
  }
}
