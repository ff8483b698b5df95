// The gradient of a convolution's weight on a GPU, as a matrix product in tiles (mainloop.ts),
// whose rows are (r, s, c) and whose columns are k. Split-K: workgroups share the pixels, and
// `sumSplits` adds their partial sums in a fixed order.

import { type Run, type Shape, type Tensor, images, sizeOf } from '../op.ts'
import type { Pair, Steps } from './steps.ts'
import { isProduct } from './forward-tiled.ts'
import { gemmPartial } from '../matmul/gemm-tiled.ts'
import type { Partial } from '../wgsl/sum-splits.ts'
import { loadWidth, memoryOf, memoryOfY } from '../tiles/loader.ts'
import { type WeightForm, weightLoader } from './weight-gradient-loader.ts'
import { WHOLE } from './window-taps.ts'
import { type TiledProduct, depthFor, planTiles, runTiled, slicesPerSplit } from '../tiles/plan.ts'

const products = new Map<string, TiledProduct>()

function productFor(form: WeightForm): TiledProduct {
  const key = Object.values(form).join()
  const product = products.get(key) ?? planTiles('convWeightGradient', weightLoader(form))
  products.set(key, product)
  return product
}

/** `convWeightGradient` on a GPU. */
export function convWeightGradientTiled(
  run: Run,
  x: Tensor,
  dy: Tensor,
  out: Shape,
  steps: Steps,
): Partial {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW, K] = images(dy.shape, 'conv2d: dy')
  const [kH, kW] = images(out, 'conv2d: w')
  const pixels = N * outH * outW
  if (isProduct(kH, kW, steps)) {
    const [left, right] = [run.view(x, [pixels, C]), run.view(dy, [pixels, K])]
    return { partial: gemmPartial(run, left, right, { transA: true }).partial, out }
  }
  const depth = depthFor(run)
  const form = {
    x: memoryOf(run, x, C),
    dy: memoryOf(run, dy, K),
    y: memoryOfY(K, sizeOf(out)),
    whole: pixels % WHOLE === 0,
    lines: depth % outW === 0,
  }
  const unit = form.x === 'f32' ? 1 : loadWidth(form.x)
  const taps = kW * C
  const stride = Math.ceil(taps / 4) * 4
  const size = { M: kH * stride, N: K, K: pixels }
  const slices = slicesPerSplit(run, { a: form.x, b: form.dy }, { ...size, layers: 1 })
  const layers = Math.ceil(Math.ceil(pixels / depth) / slices)
  const params = {
    ...{ pixels, H, outH, outW, taps, stride, slices },
    ...{ line: W * C, count: (N * H * W * C) / unit },
    ...walk(x.shape, [outH, outW], steps, depth, unit),
  }
  const io = { reads: [x, dy], makes: [[layers, ...out]], params } as const
  const [partial] = runTiled(run, productFor(form), { ...size, layers }, io)
  return { partial, out }
}

/** How a tap's reads move: by one output pixel down and right, from the end of a row of pixels or
 *  of an image back to its beginning, and by one slice. In elements; in x in `unit`s of them. */
function walk(
  x: Shape,
  [outH, outW]: Pair,
  { stride, padding }: Steps,
  depth: number,
  unit: number,
) {
  const [, H, W, C] = images(x, 'conv2d: x')
  const [stepH, stepV] = [stride[0], stride[1] * C]
  const [spanH, spanV] = [outH * stepH, outW * stepV]
  const lines = Math.floor(depth / outW) // a slice: whole rows of pixels, then single ones
  const [nextH, nextV] = [(lines % outH) * stepH, (depth % outW) * stepV]
  return {
    ...{ stepH, stepV, spanH, spanV, nextH, nextV, padH: padding[0], padV: padding[1] * C },
    toSlice: ((Math.floor(lines / outH) * H + nextH) * W * C + nextV) / unit,
    toLine: (stepH * W * C - spanV) / unit,
    toImage: ((H - spanH) * W * C) / unit,
  }
}
