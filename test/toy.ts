// A task that only those solve who learn the invariance: an image's red channel is its identity, green and blue are drawn
// anew in every view.

import type { Tensor } from '../kernels/op.ts'
import { add } from '../kernels/add.ts'
import { relu } from '../kernels/relu.ts'
import { reshape } from '../kernels/reshape.ts'
import type { Gpu } from '../engine/gpu.ts'
import { fcHead } from '../models/moco-heads.ts'
import { Builder, type Model } from '../models/layers.ts'
import type { Tower } from '../models/tower.ts'
import { random } from './check.ts'

const PIXELS = 8 * 8 * 3

/** A perceptron over flattened images of 8 x 8, and a linear head to 8 numbers. */
export function toyTower(gpu: Gpu, seed: number): Tower {
  const build = new Builder(gpu, seed)
  const layer = build.linear('0', [PIXELS, 32])
  const norm = build.norm('1', 32)
  const encoder: Model = {
    parameters: build.parameters,
    norms: build.norms,
    features: 32,
    forward: (x, mode) => relu(norm(layer(reshape(x, [x.shape[0] ?? 0, -1]), mode), mode)),
  }
  return { encoder, head: fcHead(gpu, { features: 32, dim: 8, seed }) }
}

/** Images [N, 8, 8, 3] of which only the red channel is not 0; `which` says which ones. */
export const toyImages = (gpu: Gpu, which: readonly number[]): Tensor =>
  gpu.tensor(
    which.flatMap((image) => random(PIXELS, 1000 + image).map((v, i) => (i % 3 === 0 ? v : 0))),
    [which.length, 8, 8, 3],
  )

/** A view that draws green and blue. */
export function toyViews(gpu: Gpu) {
  return (x: Tensor, { step, view }: { readonly step: number; readonly view: number }) => {
    const noise = random((x.shape[0] ?? 0) * PIXELS, 1 + 2 * step + view)
    return add(
      x,
      gpu.tensor(
        noise.map((v, i) => (i % 3 === 0 ? 0 : v)),
        x.shape,
      ),
    )
  }
}

/** The mean of the first and of the last five losses. */
export function ends(losses: readonly number[]): [start: number, end: number] {
  const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b) / xs.length
  return [mean(losses.slice(0, 5)), mean(losses.slice(-5))]
}
