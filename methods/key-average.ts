// Makes a key network follow the query network.

import { MovingAverage } from '../engine/optim/moving-average.ts'
import type { FlatOptimizer } from '../engine/optim/optimizer.ts'
import { type Tower, parametersOf } from '../models/tower.ts'

/** Makes `key` follow `query`; `update(0)` makes it a copy. Nothing follows what else the optimizer
 *  has, such as a predictor or a temperature. Throws Error unless the two have the same shapes, and
 *  where something else comes before the query's parameters. */
export function keyAverage(optimizer: FlatOptimizer, query: Tower, key: Tower): MovingAverage {
  const followed = new Set(Object.values(parametersOf(query)))
  const alone = Object.entries(optimizer.parameters).filter(([, one]) => !followed.has(one))
  return new MovingAverage(optimizer, parametersOf(key), Object.fromEntries(alone))
}
