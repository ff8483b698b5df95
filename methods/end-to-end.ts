// The end-to-end mechanism of MoCo's Figure 2a (He et al. 2020, https://arxiv.org/abs/1911.05722,
// section 3.2): negatives are the other keys of the batch, and both encoders are updated by
// back-propagation.

import type { Variable } from '../kernels/op.ts'
import { clipLoss } from '../kernels/loss/clip-loss.ts'
import { needed } from '../kernels/options.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import { type Tower, forwardTower } from '../models/tower.ts'
import type { Encoder } from './batch.ts'
import { type Algorithm, type MethodOptions, method } from './method.ts'
import { optimizerRule, tower } from './step-options.ts'
import { type MethodTemperature, learned, temperatureOf, temperatureRule } from './temperature.ts'

/** Options of `endToEnd`, besides those of every method. */
export interface EndToEndOptions extends MethodOptions {
  /** Encoder and head f_q. */
  readonly query: Tower
  /** Encoder and head f_k: other networks, or the same. */
  readonly key: Tower
  /** Optimizer of the parameters of both. */
  readonly optimizer: Optimizer
  /** T of Eq. 1, above 0: a number, a function of the step, or a variable [] that learns. */
  readonly temperature: MethodTemperature
}

const rules = {
  ...{ query: needed(tower), key: needed(tower), optimizer: needed(optimizerRule) },
  temperature: needed(temperatureRule),
}

/** End-to-end training: `step(batch)` makes one step and returns its loss [], which is freed at
 *  the end of the next step. The loss is Eq. 1 with the batch's N - 1 other keys as negatives. It
 *  is the mean of both directions, since keys have a gradient too. */
export const endToEnd: Algorithm<
  EndToEndOptions,
  Tower & { readonly key: Tower; readonly temperature?: Variable }
> = method('endToEnd', {
  rules,
  trains: ({ query, key, temperature }) => [{ query, key }, learned(temperature)],
  begin({ query, key, temperature }, { t }) {
    const T = temperatureOf('endToEnd', temperature, t)
    const f_q: Encoder = (x, mode) => forwardTower(query, x, mode)
    const f_k: Encoder = (x, mode) => forwardTower(key, x, mode)
    return {
      keeps: { ...query, key, ...learned(temperature) },
      step(x) {
        const [q, k] = [x.encode(f_q, 0), x.encode(f_k, 1)] //  two randomly augmented versions
        return { loss: clipLoss(q, k, T) } //                   Eq. 1, normalised inside
      },
    }
  },
})
