// MoCo v3, Algorithm 1 of Chen, Xie and He 2021 (https://arxiv.org/abs/2104.02057): no queue; keys
// are the batch's own.
//
//   f_q backbone, projector and predictor   f_k backbone and projector, which follow
//   m momentum   T temperature

import type { Scalar, Tensor, Variable } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { affine } from '../kernels/wgsl/affine.ts'
import { mul } from '../kernels/elementwise/mul.ts'
import { infoNce } from '../kernels/loss/infonce.ts'
import { l2Normalize } from '../kernels/reduce/l2-normalize.ts'
import { needed, scheduled } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { MovingAverage } from '../engine/optim/moving-average.ts'
import type { FlatOptimizer } from '../engine/optim/optimizer.ts'
import { type Schedule, scheduleOf } from '../engine/optim/schedule.ts'
import type { Model } from '../models/model.ts'
import { type Tower, forwardTower } from '../models/tower.ts'
import type { Encoder } from './batch.ts'
import { keyAverage } from './key-average.ts'
import { type Algorithm, type MethodOptions, method } from './method.ts'
import { flatOptimizer, model, tower } from './step-options.ts'
import { type MethodTemperature, learned, temperatureOf, temperatureRule } from './temperature.ts'

/** Options of `mocoV3`, besides those of every method. */
export interface MocoV3Options extends MethodOptions {
  /** Backbone and projector of f_q. */
  readonly query: Tower
  /** Predictor on top of f_q, which f_k has not. */
  readonly predictor: Model
  /** Backbone and projector of f_k, of the query's shapes. It follows the query and is not
   *  trained. */
  readonly key: Tower
  /** Optimizer of the query's parameters, in the order of `parametersOf`, then the predictor's,
   *  then a temperature that learns. */
  readonly optimizer: FlatOptimizer
  /** m at each step: from 0.99 (0.996 for 1000 epochs) rising to 1 along a cosine. */
  readonly momentum: Schedule | number
  /** T of the loss, above 0: 1 for ResNet-50, 0.2 for vision transformers. A number, a
   *  function of the step, or a variable [] that learns. */
  readonly temperature: MethodTemperature
}

const rules = {
  ...{ query: needed(tower), key: needed(tower), predictor: needed(model) },
  ...{
    optimizer: needed(flatOptimizer),
    momentum: needed(scheduled),
    temperature: needed(temperatureRule),
  },
}

/** The query's encoder and head, the predictor, the key's, and what makes it follow: `mocoV3`
 *  returns them beside `step`. */
type Kept = Tower & {
  readonly predictor: Model
  readonly key: Tower
  readonly average: MovingAverage
  readonly temperature?: Variable
}

/** MoCo v3 training: `step(batch)` makes one step and returns its loss [], which is freed at the
 *  end of the next step. The key encoder begins as a copy of the query's. Throws Error unless the
 *  two have the same shapes. */
export const mocoV3: Algorithm<MocoV3Options, Kept> = method('mocoV3', {
  rules,
  trains: ({ query, predictor, temperature }) => [{ query, predictor }, learned(temperature)],
  begin({ query, predictor, key, optimizer, momentum, temperature }, { t, gpu }) {
    const T = temperatureOf('mocoV3', temperature, t)
    const m = scheduleOf('mocoV3', 'momentum', momentum)
    const average = keyAverage(optimizer, query, key)
    average.update(0) //                                             f_k begins as f_q
    const f_q: Encoder = (x, mode) => predictor.forward(forwardTower(query, x, mode), mode)
    const f_k: Encoder = (x, mode) => l2Normalize(forwardTower(key, x, mode))
    const scaled = timesTwice(gpu, T)
    const ctr = (q: Tensor, k: Tensor) => scaled(infoNce(q, k, k, T, { inBatch: true }))
    return {
      keeps: { ...query, predictor, key, average, ...learned(temperature) },
      step(x) {
        const [q1, q2] = [x.encode(f_q, 0), x.encode(f_q, 1)] //     queries of both views
        const [k1, k2] = [x.keys(f_k, 0), x.keys(f_k, 1)] //         keys, no gradient
        const loss = add(ctr(q1, k2), ctr(q2, k1)) //                symmetrised
        return { loss, after: () => average.update(() => m(t())) } // f_k = m f_k + (1 - m) f_q
      },
    }
  },
})

/** Multiplies a loss by 2T, which keeps its gradients' size at any T. A T that learns gets no
 *  gradient by this factor. */
function timesTwice(gpu: Gpu, T: Scalar | Variable): (loss: Tensor) => Tensor {
  if (typeof T === 'object')
    return (loss) =>
      mul(
        loss,
        gpu.noGrad(() => affine(T, 2, 0)),
      )
  const factor = typeof T === 'function' ? () => 2 * T() : 2 * T
  return (loss) => affine(loss, factor, 0)
}
