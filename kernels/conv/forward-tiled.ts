// Convolution on a GPU, and its data gradient, as an implicit matrix product in tiles
// (mainloop.ts): rows are output pixels, columns are output channels, and the sum runs over taps
// and input channels, which are read in place.
// The data gradient of stride s splits into s x s phases of pixels with the same taps
// (input-walk.ts).

import { type Make, type Run, type Tensor, images, sizeOf } from '../op.ts'
import type { Steps } from './steps.ts'
import { gemmMoments, gemmTiled } from '../matmul/gemm-tiled.ts'
import { memoryOf, memoryOfY } from '../tiles/loader.ts'
import { type WindowForm, windowLoader } from './window-loader.ts'
import { MAX_BITS, WHOLE } from './window-taps.ts'
import { type LastStep, otherOf } from '../wgsl/finish.ts'
import { momentsShape } from '../tiles/epilogue-moments.ts'
import { type TiledProduct, planTiles, runTiled } from '../tiles/plan.ts'
import type { Image } from '../wgsl/storage.ts'

const products = new Map<string, TiledProduct>()

function productFor(form: WindowForm): TiledProduct {
  const key = Object.values(form).join()
  const name = `convolve${form.back ? 'Back' : ''}${form.moments ? ' with moments' : ''}${form.finish ? `, ${form.finish}` : ''}`
  const product = products.get(key) ?? planTiles(name, windowLoader(form))
  products.set(key, product)
  return product
}

/** `convForward` on a GPU. A 1 x 1 convolution at stride 1 is a plain matrix product. */
export function convForwardTiled(
  run: Run,
  [x, w]: readonly [Tensor, Tensor],
  out: Image,
  steps: Steps,
  finish: LastStep | null,
): Tensor {
  const product = asProduct(run, x, w, steps)
  if (product) return run.view(gemmTiled(run, ...product, { dtype: out.dtype }, finish), out.shape)
  const [y] = forward(run, [x, w], steps, { out, makes: [out], moments: false, finish })
  return y
}

/** `convForwardMoments` on a GPU. */
export function convForwardMomentsTiled(run: Run, x: Tensor, w: Tensor, out: Image, steps: Steps) {
  const product = asProduct(run, x, w, steps)
  if (product) {
    const { y, moments } = gemmMoments(run, ...product, out.dtype)
    return { y: run.view(y, out.shape), moments }
  }
  const [N, outH, outW, K] = images(out.shape, 'conv2d: y')
  const makes = [out, momentsShape(N * outH * outW, K)] as const
  const [y, moments] = forward(run, [x, w], steps, { out, makes, moments: true, finish: null })
  return { y, moments }
}

/** The factors of a convolution that is a plain matrix product; null if it is not one. */
function asProduct(run: Run, x: Tensor, w: Tensor, steps: Steps): [Tensor, Tensor] | null {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [kH, kW, , K] = images(w.shape, 'conv2d: w')
  return isProduct(kH, kW, steps) ? [run.view(x, [N * H * W, C]), run.view(w, [C, K])] : null
}

/** What a convolution writes, and how it ends. */
interface Written<Makes> {
  readonly out: Image
  readonly makes: Makes
  readonly moments: boolean
  readonly finish: LastStep | null
}

function forward<const Makes extends readonly Make[]>(
  run: Run,
  [x, w]: readonly [Tensor, Tensor],
  { stride, padding }: Steps,
  { out, makes, moments, finish }: Written<Makes>,
): { [I in keyof Makes]: Tensor } {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW, K] = images(out.shape, 'conv2d: y')
  const [kH, kW] = images(w.shape, 'conv2d: w')
  return runTiled(
    run,
    productFor({
      back: false,
      bits: kH * kW <= MAX_BITS,
      whole: C % WHOLE === 0,
      x: memoryOf(run, x, C),
      w: memoryOf(run, w, K),
      y: memoryOfY(K, sizeOf(out.shape), out.dtype),
      moments,
      finish: finish?.how ?? null,
    }),
    { M: N * outH * outW, N: K, K: kH * kW * C, layers: 1 },
    {
      reads: [x, w, ...present(otherOf(finish))],
      makes,
      params: {
        ...{ images: N, H, W, C, outH, outW, kH, kW, phasesH: 1, phasesW: 1 },
        ...{ stepH: stride[0], stepW: stride[1], padH: padding[0], padW: padding[1] },
      },
    },
  )
}

/** `convDataGradient` on a GPU. */
export function convDataGradientTiled(
  run: Run,
  [dy, w]: readonly [Tensor, Tensor],
  { shape, dtype }: Image,
  steps: Steps,
  finish: LastStep | null,
): Tensor {
  const [N, outH, outW, C] = images(shape, 'conv2d: x')
  const [, H, W, K] = images(dy.shape, 'conv2d: dy')
  const [kH, kW] = images(w.shape, 'conv2d: w')
  if (isProduct(kH, kW, steps)) {
    const [left, right] = [run.view(dy, [N * H * W, K]), run.view(w, [C, K])]
    return run.view(gemmTiled(run, left, right, { transB: true, dtype }, finish), shape)
  }
  const [phasesH, phasesW] = steps.stride
  const pixels = N * Math.ceil(outH / phasesH) * Math.ceil(outW / phasesW)
  const [dx] = runTiled(
    run,
    productFor({
      back: true,
      bits: kH * kW <= MAX_BITS,
      whole: K % WHOLE === 0,
      x: memoryOf(run, dy, K),
      w: memoryOf(run, w, K),
      y: memoryOfY(C, sizeOf(shape), dtype),
      moments: false,
      finish: finish?.how ?? null,
    }),
    { M: pixels, N: C, K: kH * kW * K, layers: phasesH * phasesW },
    {
      reads: [dy, w, ...present(otherOf(finish))],
      makes: [{ shape, dtype }],
      params: {
        ...{ images: N, H, W, C: K, outH, outW, kH, kW, phasesH, phasesW },
        ...{ stepH: 1, stepW: 1, padH: steps.padding[0], padW: steps.padding[1] },
      },
    },
  )
  return dx
}

const present = (other: Tensor | null) => (other ? [other] : [])

/** Whether a convolution is the plain product of pixels and the weight: 1 x 1, stride 1, no
 *  padding. */
export const isProduct = (kH: number, kW: number, { stride, padding }: Steps): boolean =>
  kH === 1 && kW === 1 && [...stride, ...padding].join() === '1,1,0,0'
