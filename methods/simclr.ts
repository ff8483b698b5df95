// SimCLR, Algorithm 1 of Chen et al. 2020 (https://arxiv.org/abs/2002.05709).
//
//   N images in a batch   t, t' augmentations   f encoder   g projection head   h = f(x)   z = g(h)
//   τ temperature

import { ntXent } from '../kernels/loss/ntxent.ts'
import { type Tensor, dim } from '../kernels/op.ts'
import { slice } from '../kernels/shape/slice.ts'
import { needed, oneOf, positive } from '../kernels/options.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import type { Model } from '../models/layers.ts'
import { type Tower, forwardTower } from '../models/tower.ts'
import type { Encoder } from './batch.ts'
import { type Algorithm, type MethodOptions, method } from './method.ts'
import { model, optimizerRule } from './step-options.ts'

export interface SimclrOptions extends MethodOptions {
  readonly encoder: Model
  readonly head: Model
  /** Over the parameters of both. */
  readonly optimizer: Optimizer
  /** τ of Eq. 1: 0.5 in the CIFAR-10 experiments (B.9), 0.1 on ImageNet. */
  readonly temperature: number
  /** Batch-norm statistics over both views together, as the paper's code concatenates them
   *  ('joint', 2N rows), or over each view by itself, as leftthomas/SimCLR calls the network twice
   *  ('per-view', N rows, running statistics moved twice). The two are not equal: choose the one of
   *  the results you compare with. */
  readonly batchNorm: 'per-view' | 'joint'
}

const rules = {
  ...{ encoder: needed(model), head: needed(model), optimizer: needed(optimizerRule) },
  ...{ temperature: needed(positive), batchNorm: needed(oneOf('per-view', 'joint')) },
}

/** SimCLR training: `step(batch)` makes one step and returns its loss [], which dies when the next
 *  step ends: call `gpu.read(loss)` before that, and await it whenever you like. Throws RangeError
 *  for a chunk that is no count. */
export const simclr: Algorithm<SimclrOptions, Tower> = method('simclr', {
  rules,
  trains: ({ encoder, head }) => ({ encoder, head }),
  begin({ encoder, head, temperature, batchNorm }) {
    const gf: Encoder = (x, mode) => forwardTower({ encoder, head }, x, mode) // h = f(x), z = g(h)
    const both: Encoder<[Tensor, Tensor]> = (x, mode, offset) => halves(gf(x, mode, offset))
    return {
      keeps: { encoder, head },
      step(x) {
        const [z1, z2] = //                                                      t ~ T, t' ~ T
          batchNorm === 'joint' ? x.encode(both, 0, 1) : [x.encode(gf, 0), x.encode(gf, 1)]
        return { loss: ntXent(z1, z2, temperature) } //                  Eq. 1
      },
    }
  },
})

/** The two halves of a tensor's rows. */
function halves(z: Tensor): [Tensor, Tensor] {
  const rows = dim(z.shape, 0)
  return [slice(z, 0, 0, rows / 2), slice(z, 0, rows / 2, rows)]
}
