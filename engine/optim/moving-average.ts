// A moving average of an optimizer's parameters: MoCo's momentum encoder.

import { type Scalar, type Variable, show } from '../../kernels/op.ts'
import { checkValue, having, inspect, record, scalar } from '../../kernels/options.ts'
import { ema } from '../../kernels/optim/ema.ts'
import { Gpu } from '../gpu.ts'
import type { Named } from '../named.ts'
import type { FlatOptimizer } from './optimizer.ts'
import { owns } from '../owned.ts'

/** Updates parameters k that follow the parameters q of an optimizer:  k <- m k + (1 - m) q  (MoCo,
 *  https://arxiv.org/abs/1911.05722, Eq. 2). An update is one dispatch, however many there are. */
export class MovingAverage {
  readonly #gpu: Gpu
  readonly #optimizer: FlatOptimizer
  readonly #k: Variable
  readonly #variables: readonly Variable[]

  /** Pairs the `followers` k with the parameters q of `optimizer`: by name, or by order where no
   *  name is the same; a prefix that all names of one side share does not count. `alone` are
   *  parameters of the optimizer that nothing follows, its last ones; none by default. The
   *  followers move into one flat buffer and keep their values until the first `update`:
   *  `update(0)` makes them copies. Throws TypeError for other arguments, and Error unless all
   *  others pair and have the same shapes. */
  constructor(optimizer: FlatOptimizer, followers: Named, alone: Named = {}) {
    checkValue(
      'MovingAverage',
      'optimizer',
      optimizer,
      having('an optimizer such as Sgd', 'parameters', 'weights'),
    )
    for (const [name, given] of Object.entries({ followers, alone }))
      checkValue('MovingAverage', name, given, record)
    const all = Object.entries(optimizer.parameters)
    const leaders = all.slice(0, all.length - Object.keys(alone).length)
    if (all.slice(leaders.length).some(([name, leader]) => alone[name] !== leader))
      throw new Error("MovingAverage: parameters that nothing follows must be the optimizer's last")
    const count = Object.keys(followers).length
    if (count !== leaders.length)
      throw new Error(
        `MovingAverage: ${leaders.length} parameters are needed, as many as the optimizer has${leaders.length < all.length ? ' besides' : ''}, got ${count}`,
      )
    this.#variables = paired(
      leaders.map(([name]) => name),
      followers,
    )
    for (const [i, [name, { shape }]] of leaders.entries()) {
      const follower = this.#variables[i]
      if (follower && follower.shape.join() !== shape.join())
        throw new Error(
          `MovingAverage: what follows ${name} must be ${show(shape)}, got ${show(follower.shape)}`,
        )
    }
    const [first] = this.#variables
    if (!first || !(first.gpu instanceof Gpu))
      throw new Error('MovingAverage: there are no parameters')
    this.#gpu = first.gpu
    this.#optimizer = optimizer
    this.#k = this.#gpu.flatten(this.#variables).flat
    owns(this, [this.#k])
  }

  /** Computes k <- m k + (1 - m) q. In a captured step, an m that changes must be a function.
   *  Throws Error if the followers were moved elsewhere since. */
  update(m: Scalar) {
    if (!this.#variables.every((variable) => this.#gpu.isWithin(variable, this.#k)))
      throw new Error(
        'MovingAverage: its parameters were given to another optimizer or average since',
      )
    checkValue('MovingAverage.update', 'm', m, scalar)
    ema(this.#gpu.run, this.#k, this.#optimizer.weights, m)
  }

  toString() {
    return `MovingAverage (${this.#variables.length} parameters)`
  }

  [inspect]() {
    return this.toString()
  }
}

/** Returns the followers in the order of the parameters that they follow. Throws Error if only some
 *  of them have the names of those. */
function paired(leaders: readonly string[], followers: Named): readonly Variable[] {
  const names = stripped(leaders)
  const own = stripped(Object.keys(followers))
  const variables = Object.values(followers)
  const shared = own.filter((name) => names.includes(name))
  if (shared.length === 0) return variables
  return names.map((name, i) => {
    const variable = variables[own.indexOf(name)]
    if (variable && own.includes(name)) return variable
    const odd = Object.keys(followers).find((_, j) => !names.includes(own[j] ?? ''))
    throw new Error(
      `MovingAverage: followers pair by name, and none is named ${leaders[i]}; rename ${odd}, or give all of them names of their own to pair by order`,
    )
  })
}

/** Removes the prefix that all names share: 'online.conv1.weight' becomes 'conv1.weight' if all
 *  begin with 'online.'. */
function stripped(names: readonly string[]): readonly string[] {
  const [first = ''] = names
  const prefix = first.slice(0, first.indexOf('.') + 1)
  const isCommon =
    prefix !== '' && names.length > 1 && names.every((name) => name.startsWith(prefix))
  return isCommon ? names.map((name) => name.slice(prefix.length)) : names
}
