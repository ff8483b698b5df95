// A moving average of variables, such as an optimizer's parameters: MoCo's momentum encoder.

import { type Scalar, type Variable, sizeOf } from '../../kernels/op.ts'
import {
  checkScalar,
  checkValue,
  either,
  having,
  inspect,
  record,
  share,
} from '../../kernels/options.ts'
import { collect } from '../../kernels/optim/collect.ts'
import { ema } from '../../kernels/optim/ema.ts'
import { Gpu } from '../gpu.ts'
import type { Named } from '../named.ts'
import { owns } from '../owned.ts'
import { type Following, followingOf } from './followers.ts'
import type { FlatOptimizer } from './optimizer.ts'

const optimizerOrNamed = either(
  having('an optimizer such as Sgd', 'step', 'parameters', 'weights'),
  { ...record, words: 'variables by name' },
)

const isOptimizer = (leaders: FlatOptimizer | Named): leaders is FlatOptimizer =>
  typeof leaders['step'] === 'function'

/** Updates variables k that follow others q:  k <- m k + (1 - m) q  (MoCo,
 *  https://arxiv.org/abs/1911.05722, Eq. 2). If q are the parameters of an optimizer, an update is
 *  one dispatch, however many there are; if they are variables by name, one more for every
 *  seven. */
export class MovingAverage {
  readonly #gpu: Gpu
  readonly #k: Variable
  readonly #variables: readonly Variable[]
  /** Returns q in one flat variable, laid out as k. */
  readonly #q: () => Variable

  /** Pairs the `followers` k with the `leaders` q: by name, or, of an optimizer without any of
   *  these names, by order. `alone` are parameters of the optimizer that nothing follows, its last
   *  ones; none by default. The followers move into one flat buffer and keep their values until the
   *  first `update`: `update(0)` makes them copies. Throws TypeError for other arguments, and Error
   *  unless all others pair and have the same shapes. */
  constructor(leaders: FlatOptimizer | Named, followers: Named, alone: Named = {}) {
    checkValue('MovingAverage', 'what is followed', leaders, optimizerOrNamed)
    for (const [name, given] of Object.entries({ followers, alone }))
      checkValue('MovingAverage', name, given, record)
    const [named, byOrder] = isOptimizer(leaders) ? [leaders.parameters, true] : [leaders, false]
    const pairs = followingOf(named, followers, alone, byOrder)
    this.#variables = pairs.map(({ follower }) => follower)
    const [first] = this.#variables
    if (!first || !(first.gpu instanceof Gpu))
      throw new Error('MovingAverage: there are no parameters')
    this.#gpu = first.gpu
    const { flat, offsets } = this.#gpu.flatten(this.#variables)
    this.#k = flat
    owns(this, [flat])
    if (isOptimizer(leaders)) this.#q = () => leaders.weights
    else {
      const copy = this.#gpu.variable(new Float32Array(sizeOf(flat.shape)))
      this.#q = () => gathered(pairs, offsets, copy)
      owns(this, [flat, copy])
    }
  }

  /** Computes k <- m k + (1 - m) q. In a captured step, an m that changes must be a function.
   *  Throws Error if the followers were moved elsewhere since, and TypeError for an m outside
   *  [0, 1]. */
  update(m: Scalar) {
    if (!this.#variables.every((variable) => this.#gpu.isWithin(variable, this.#k)))
      throw new Error(
        'MovingAverage: its parameters were given to another optimizer or average since',
      )
    const momentum = checkScalar('MovingAverage.update', 'm', m, share)
    ema(this.#gpu.run, this.#k, this.#q(), momentum)
  }

  toString() {
    return `MovingAverage (${this.#variables.length} parameters)`
  }

  [inspect]() {
    return this.toString()
  }
}

/** Copies the leaders into a flat variable, and returns it. */
function gathered(
  pairs: readonly Following[],
  offsets: readonly number[],
  flat: Variable,
): Variable {
  const pieces = pairs.map(({ leader }, i) => ({ tensors: [leader], offset: offsets[i] ?? 0 }))
  collect((flat.gpu as Gpu).run, flat, pieces)
  return flat
}
