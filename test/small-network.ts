// A network that is small enough for tests of whole methods, with batch norm and without.

import * as assert from 'uvu/assert'
import type { Tensor } from '../kernels/op.ts'
import { globalAvgPool } from '../kernels/global-avg-pool.ts'
import { relu } from '../kernels/relu.ts'
import type { Gpu } from '../engine/gpu.ts'
import { projectionHead } from '../models/heads.ts'
import { type Mode, type Model, Builder } from '../models/layers.ts'
import type { Tower } from '../models/tower.ts'

/** Numbers of an embedding. */
export const EMBEDDING = 8

/** Two convolutions, with batch norm or without, and a head. */
export function network(gpu: Gpu, normed: boolean): Tower {
  const build = new Builder(gpu, 3)
  const layers = [0, 1].map((i) => {
    const conv = build.conv(`conv${i}`, i === 0 ? [3, 8] : [8, 8])
    const norm = normed ? build.norm(`bn${i}`, 8) : null
    return (x: Tensor, mode: Mode) => {
      const y = conv(x, mode)
      return norm ? norm(y, mode, { relu: true }) : relu(y)
    }
  })
  const encoder: Model = {
    parameters: build.parameters,
    norms: build.norms,
    features: 8,
    forward: (x, mode) => globalAvgPool(layers.reduce((y, layer) => layer(y, mode), x)),
  }
  const head = normed ? projectionHead(gpu, { features: 8, hidden: 8, dim: EMBEDDING }) : plainHead(gpu, 'g')
  return { encoder, head }
}

/** One linear layer. */
export function plainHead(gpu: Gpu, name: string): Model {
  const build = new Builder(gpu, 4)
  const layer = build.linear(name, [8, EMBEDDING])
  return { parameters: build.parameters, norms: {}, features: EMBEDDING, forward: layer }
}

/** |a - b| / |b|. */
export function apart(a: readonly number[], b: readonly number[]): number {
  assert.is(a.length, b.length)
  const norm = (xs: readonly number[]) => Math.hypot(...xs)
  return norm(a.map((v, i) => v - (b[i] ?? NaN))) / norm(b)
}
