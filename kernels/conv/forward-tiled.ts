// Convolution on a GPU as an implicit matrix product in tiles (mainloop.ts): rows are output
// pixels, columns are output channels, and the sum runs over taps and input channels, which are
// read in place.

import { type Make, type Run, type Tensor, images, sizeOf } from '../op.ts'
import type { Biased, Steps } from './steps.ts'
import { gemmMoments, gemmTiled } from '../matmul/gemm-tiled.ts'
import { memoryOf, memoryOfY } from '../tiles/loader.ts'
import { windowProduct } from './window-loader.ts'
import { MAX_BITS, WHOLE } from './window-taps.ts'
import { type LastStep, otherOf } from '../wgsl/finish.ts'
import { momentsShape } from '../tiles/epilogue-moments.ts'
import { runTiled } from '../tiles/plan.ts'
import type { Image } from '../wgsl/storage.ts'

/** `convForward` on a GPU. A 1 x 1 convolution at stride 1 is a plain matrix product. */
export function convForwardTiled(
  run: Run,
  [x, w]: readonly [Tensor, Tensor],
  out: Image,
  { bias = null, ...steps }: Biased,
  finish: LastStep | null,
): Tensor {
  const product = asProduct(run, x, w, steps)
  if (product) {
    const y = gemmTiled(run, ...product, { dtype: out.dtype, bias }, finish)
    return run.view(y, out.shape)
  }
  const how = { moments: false, bias, finish }
  const [y] = forward(run, [x, w], steps, { out, makes: [out], ...how })
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
  const how = { moments: true, bias: null, finish: null }
  const [y, moments] = forward(run, [x, w], steps, { out, makes, ...how })
  return { y, moments }
}

/** The factors of a convolution that is a plain matrix product; null if it is not one. */
function asProduct(run: Run, x: Tensor, w: Tensor, steps: Steps): [Tensor, Tensor] | null {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [kH, kW, , K] = images(w.shape, 'conv2d: w')
  return isProduct(kH, kW, steps) ? [run.view(x, [N * H * W, C]), run.view(w, [C, K])] : null
}

/** What a convolution writes, and how it ends: with moments, a bias, a last step, or as it is. */
interface Written<Makes> {
  readonly out: Image
  readonly makes: Makes
  readonly moments: boolean
  readonly bias: Tensor | null
  readonly finish: LastStep | null
}

function forward<const Makes extends readonly Make[]>(
  run: Run,
  [x, w]: readonly [Tensor, Tensor],
  { stride, padding }: Steps,
  { out, makes, moments, bias, finish }: Written<Makes>,
): { [I in keyof Makes]: Tensor } {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW, K] = images(out.shape, 'conv2d: y')
  const [kH, kW] = images(w.shape, 'conv2d: w')
  return runTiled(
    run,
    windowProduct({
      back: false,
      bits: kH * kW <= MAX_BITS,
      whole: C % WHOLE === 0,
      x: memoryOf(run, x, C),
      w: memoryOf(run, w, K),
      y: memoryOfY(K, sizeOf(out.shape), out.dtype),
      columns: moments ? 'moments' : null,
      biased: bias !== null,
      finish: finish?.how ?? null,
    }),
    { M: N * outH * outW, N: K, K: kH * kW * C, layers: 1 },
    {
      reads: [x, w, ...present(bias), ...present(otherOf(finish))],
      makes,
      params: {
        ...{ images: N, H, W, C, outH, outW, kH, kW, phasesH: 1, phasesW: 1 },
        ...{ stepH: stride[0], stepW: stride[1], padH: padding[0], padW: padding[1] },
      },
    },
  )
}

const present = (tensor: Tensor | null) => (tensor ? [tensor] : [])

/** Whether a convolution is the plain product of pixels and the weight: 1 x 1, stride 1, no
 *  padding. */
export const isProduct = (kH: number, kW: number, { stride, padding }: Steps): boolean =>
  kH === 1 && kW === 1 && [...stride, ...padding].join() === '1,1,0,0'
