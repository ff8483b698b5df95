// Instance Discrimination with a memory bank (Wu et al. 2018, https://arxiv.org/abs/1805.01978):
// the mechanism of MoCo's Figure 2b, with its loss, InfoNCE, or with the original noise-contrastive
// estimation.
//
//   f encoder   v the bank, one slot per image   K negatives drawn from it   T temperature   m
// momentum of the slots

import type { IndexList } from '../kernels/wgsl/indices.ts'
import { integersOf } from '../kernels/numbers.ts'
import { type Tensor, dim } from '../kernels/op.ts'
import { affine } from '../kernels/wgsl/affine.ts'
import { concat } from '../kernels/shape/concat.ts'
import { infoNce } from '../kernels/loss/infonce.ts'
import { l2Normalize } from '../kernels/reduce/l2-normalize.ts'
import { nce, similarities } from '../kernels/loss/nce.ts'
import { having, needed, oneOf, positive, said, share } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import type { MemoryBank } from '../models/memory-bank.ts'
import { checkBinding, checkSizes } from '../models/sizes.ts'
import { type Tower, forwardTower } from '../models/tower.ts'
import {
  type Batch,
  type Encoder,
  type StepOptions,
  batchesOf,
  model,
  optimizerRule,
  optionsOf,
  stepRules,
} from './batches.ts'
import { type ImageBatch, countOf, indicesOf } from './image-batch.ts'

export interface MemoryBankOptions extends Tower, StepOptions {
  readonly bank: MemoryBank
  readonly optimizer: Optimizer
  /** K: 4096 in the paper with NCE, 65,536 in MoCo's comparison. */
  readonly negatives: number
  /** T: 0.07. */
  readonly temperature: number
  /** m: 0.5 in the paper's code. */
  readonly momentum: number
  readonly loss: 'infonce' | 'nce'
}

const rules = {
  ...{ encoder: needed(model), head: needed(model), optimizer: needed(optimizerRule) },
  ...{
    bank: needed(having('a MemoryBank', 'rows', 'logZ')),
    negatives: needed(said('a whole number from 1 on')),
  },
  ...{
    temperature: needed(positive),
    momentum: needed(share),
    loss: needed(oneOf('infonce', 'nce')),
  },
  ...stepRules,
}

/** Memory-bank training: `step(batch, indices)` makes one step on the images that the indices
 *  [N] name in the data set, the batch's own unless given, and returns its loss [], which dies
 *  when the next step ends. Throws RangeError for an index outside the bank, and Error for more
 *  negatives than the device binds at once. */
export function memoryBank(gpu: Gpu, given: MemoryBankOptions) {
  const options = optionsOf('memoryBank', gpu, given, rules, ({ encoder, head }) => ({
    encoder,
    head,
  }))
  const {
    encoder,
    head,
    bank,
    optimizer,
    schedule,
    negatives: K,
    temperature: T,
    momentum: m,
  } = options
  const { loss: kind, seed = 0, capture = true, scaler } = options
  checkNegatives(gpu, K, bank)
  const state = { step: 0 }
  const { inputs, open } = batchesOf(gpu, 'memoryBank', { ...options, state })
  const encode: Encoder = (x, mode) => l2Normalize(forwardTower({ encoder, head }, x, mode))

  /** Eq. 5 to 7. Z is a constant, estimated from the first batch. */
  const estimated = (f: Tensor, own: Tensor, noise: Tensor, first: boolean) => {
    const s = similarities(f, own, noise, T)
    if (first) gpu.noGrad(() => bank.estimateZ(concat([s.own, s.noise], 1)))
    return nce(
      s,
      gpu.noGrad(() => affine(bank.logZ, 1, Math.log(K / bank.size))),
    )
  }

  const body = (x: Batch, i: Tensor, first: boolean) => {
    const f = x.encode(encode, 0) //                                           one view, f_i
    const own = gpu.noGrad(() => bank.at(i)) //                                v_i, the positive
    const noise = bank.draw(K, { seed, step: () => state.step }) //            negatives
    const loss =
      kind === 'nce'
        ? estimated(f, own, noise, first)
        : infoNce(f, own, noise, T, { normalized: true })
    const gradients = x.backward(loss, scaler?.scale)
    optimizer.step(gradients, () => schedule(state.step), scaler) //           update f
    bank.update(f, i, m) //                                                    v_i = normalise(m v_i + (1 - m) f_i)
    gpu.everyStep(() => state.step++)
    return loss
  }
  const capturing = (first: boolean, replay: boolean) =>
    gpu.capture((i: Tensor, ...batch: Tensor[]) => body(open(batch), i, first), { replay })
  const [captured, estimating] = [capturing(false, capture), capturing(true, false)]

  const step = (batch: ImageBatch, told?: IndexList): Tensor => {
    const images = inputs(batch)
    const indices = told ?? indicesOf(batch)
    if (indices === undefined)
      throw new TypeError(
        'memoryBank: step(batch, indices) needs the number of each image in the data set, got none',
      )
    const i = { values: slots(indices, bank.size, countOf(batch)) }
    return (kind === 'nce' && state.step === 0 ? estimating : captured).run(i, ...images)
  }
  return { step, encoder, head, optimizer, state, bank, captured }
}

function checkNegatives(gpu: Gpu, K: number, { rows }: MemoryBank) {
  checkSizes('memoryBank', { negatives: K })
  const remedy = (most: number) => `lower --negatives to ${most} or less`
  checkBinding('memoryBank', gpu, [K, dim(rows.shape, 1)], 'negatives', remedy)
}

/** The indices of a batch of N as i32. Throws RangeError unless there are N, each a slot of the
 *  bank. */
function slots(indices: IndexList, size: number, N: number): Int32Array {
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
