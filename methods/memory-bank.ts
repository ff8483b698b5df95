// Instance Discrimination with a memory bank (Wu et al. 2018, https://arxiv.org/abs/1805.01978):
// the mechanism of MoCo's Figure 2b, with its loss, InfoNCE, or with the original noise-contrastive
// estimation.
//
//   f encoder   v the bank, one slot per image   K negatives drawn from it   T temperature
//   m momentum of the slots

import type { IndexList } from '../kernels/wgsl/indices.ts'
import { integersOf } from '../kernels/numbers.ts'
import { type Scalar, type Tensor, type Variable, dim } from '../kernels/op.ts'
import { affine } from '../kernels/wgsl/affine.ts'
import { concat } from '../kernels/shape/concat.ts'
import { infoNce } from '../kernels/loss/infonce.ts'
import { l2Normalize } from '../kernels/reduce/l2-normalize.ts'
import { nce, similarities } from '../kernels/loss/nce.ts'
import { having, needed, oneOf, said, share } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import type { MemoryBank } from '../models/memory-bank.ts'
import { checkBinding, checkSizes } from '../models/sizes.ts'
import { type Tower, forwardTower } from '../models/tower.ts'
import type { StepBatch, Encoder } from './batch.ts'
import { countOf, indicesOf } from './image-batch.ts'
import { type Algorithm, type MethodOptions, method } from './method.ts'
import { model, optimizerRule } from './step-options.ts'
import { type MethodTemperature, learned, temperatureOf, temperatureRule } from './temperature.ts'

/** Options of `memoryBank`, besides those of every method. */
export interface MemoryBankOptions extends Tower, MethodOptions {
  /** One row per image of the data set, as wide as the head's output. */
  readonly bank: MemoryBank
  /** Optimizer of the parameters of the encoder and the head. */
  readonly optimizer: Optimizer
  /** K, the number of rows drawn as negatives: 4096 in the paper with NCE, 65,536 in MoCo's
   *  comparison. */
  readonly negatives: number
  /** T, above 0: 0.07 in both. A number, a function of the step, or, with 'infonce', a variable []
   *  that learns. */
  readonly temperature: MethodTemperature
  /** m of v <- normalise(m v + (1 - m) f), from 0 to 1: 0.5 in the paper's code. */
  readonly momentum: number
  /** 'infonce' as in MoCo's comparison, or 'nce' as in the paper (Eqs. 5 to 7). */
  readonly loss: 'infonce' | 'nce'
}

const rules = {
  ...{ encoder: needed(model), head: needed(model), optimizer: needed(optimizerRule) },
  bank: needed(having('a MemoryBank', 'rows', 'logZ')),
  negatives: needed(said('a whole number from 1 on')),
  ...{ temperature: needed(temperatureRule), momentum: needed(share) },
  loss: needed(oneOf('infonce', 'nce')),
}

/** Memory-bank training: `step(batch, indices)` makes one step on the images that the indices [N]
 *  name in the data set, the batch's own unless given, and returns its loss [], which is freed at
 *  the end of the next step. Throws RangeError for an index outside the bank, and Error for more
 *  negatives than the device binds at once. */
export const memoryBank: Algorithm<
  MemoryBankOptions,
  Tower & { readonly bank: MemoryBank; readonly temperature?: Variable },
  [indices?: IndexList]
> = method('memoryBank', {
  rules,
  trains: ({ encoder, head, temperature }) => [{ encoder, head }, learned(temperature)],
  begin(options, { gpu, t, seed }) {
    const { encoder, head, bank, loss, negatives: K, momentum: m } = options
    const T = temperatureOf('memoryBank', options.temperature, t)
    checkNegatives(gpu, K, bank)
    const encode: Encoder = (x, mode) => l2Normalize(forwardTower({ encoder, head }, x, mode))
    const step = (isFirst: boolean) => (x: StepBatch, i: Tensor) => {
      const f = x.encode(encode, 0) //                             one view, f_i
      const own = gpu.noGrad(() => bank.at(i)) //                  v_i, the positive
      const noise = bank.draw(K, { seed, step: t }) //             negatives
      const after = () => bank.update(f, i, m) //                  v_i = normalise(m v_i + (1 - m) f_i)
      if (loss === 'infonce')
        return { loss: infoNce(f, own, noise, T, { normalized: true }), after }
      const s = similarities(f, own, noise, fixed(T))
      if (isFirst) gpu.noGrad(() => bank.estimateZ(concat([s.own, s.noise], 1))) // Z, a constant
      const c = gpu.noGrad(() => affine(bank.logZ, 1, Math.log(K / bank.size)))
      return { loss: nce(s, c), after } //                         Eq. 5 to 7
    }
    return {
      keeps: { encoder, head, bank, ...learned(options.temperature) },
      told: (batch, told) => slots(told ?? indicesOf(batch), bank.size, countOf(batch)),
      first: loss === 'nce' ? step(true) : null,
      step: step(false),
    }
  },
})

/** Throws TypeError for a temperature that learns. */
function fixed(T: Scalar | Variable): Scalar {
  if (typeof T !== 'object') return T
  throw new TypeError(
    "memoryBank: loss 'nce' takes no temperature that learns; give a number or a function of the step",
  )
}

function checkNegatives(gpu: Gpu, K: number, { rows }: MemoryBank) {
  checkSizes('memoryBank', { negatives: K })
  const remedy = (most: number) => `lower --negatives to ${most} or less`
  checkBinding('memoryBank', gpu, [K, dim(rows.shape, 1)], 'negatives', remedy)
}

/** The indices of a batch of N as i32. Throws TypeError where there are none, and RangeError unless
 *  there are N, each a slot of the bank. */
function slots(indices: IndexList | undefined, size: number, N: number): Int32Array {
  if (indices === undefined)
    throw new TypeError(
      'memoryBank: step(batch, indices) needs the number of each image in the data set, got none',
    )
  const found = integersOf('memoryBank: indices', indices)
  const wrong = found.findIndex((i) => i < 0 || i >= size)
  if (found.length !== N)
    throw new RangeError(`memoryBank: each of ${N} images needs its index, got ${found.length}`)
  if (wrong >= 0)
    throw new RangeError(
      `memoryBank: the bank has a slot for each of ${size} images, got index ${found[wrong]}; it is of another data set`,
    )
  return found
}
