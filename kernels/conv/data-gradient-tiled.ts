// The data gradient of a convolution on a GPU, as an implicit matrix product in tiles
// (mainloop.ts). That of stride s splits into s x s phases of pixels with the same taps
// (input-walk.ts).

import { type Make, type Run, type Tensor, images, sizeOf } from '../op.ts'
import type { Steps } from './steps.ts'
import { gemmTiled } from '../matmul/gemm-tiled.ts'
import { memoryOf, memoryOfY } from '../tiles/loader.ts'
import { isProduct } from './forward-tiled.ts'
import { type WindowForm, windowProduct } from './window-loader.ts'
import { MAX_BITS, WHOLE } from './window-taps.ts'
import { runTiled } from '../tiles/plan.ts'
import { type FinishKind, type LastStep, otherOf } from '../wgsl/finish.ts'
import type { Image } from '../wgsl/storage.ts'

/** `convDataGradient` on a GPU. */
export function convDataGradientTiled(
  run: Run,
  [dy, w]: readonly [Tensor, Tensor],
  x: Image,
  steps: Steps,
  finish: LastStep | null,
): Tensor {
  const product = asProduct(run, dy, w, steps)
  if (product) {
    const dx = gemmTiled(run, ...product, { transB: true, dtype: x.dtype }, finish)
    return run.view(dx, x.shape)
  }
  const other = otherOf(finish)
  const [dx] = windowGradient(run, [dy, w], x, steps, {
    ...{ columns: null, finish: finish?.how ?? null },
    ...{ makes: [x], reads: other ? [other] : [] },
  })
  return dx
}

/** The factors of a data gradient that is a plain matrix product, the second to be transposed; null
 *  if it is not one. */
export function asProduct(run: Run, dy: Tensor, w: Tensor, steps: Steps): [Tensor, Tensor] | null {
  const [N, H, W, K] = images(dy.shape, 'conv2d: dy')
  const [kH, kW, C] = images(w.shape, 'conv2d: w')
  return isProduct(kH, kW, steps) ? [run.view(dy, [N * H * W, K]), run.view(w, [C, K])] : null
}

/** Pixels of a phase, at most, and phases. */
export function phases({ shape }: Image, { stride: [phasesH, phasesW] }: Steps) {
  const [N, outH, outW] = images(shape, 'conv2d: x')
  const M = N * Math.ceil(outH / phasesH) * Math.ceil(outW / phasesW)
  return { M, layers: phasesH * phasesW }
}

/** At most one of `columns` and `finish` is set. */
interface Kind<Makes> {
  readonly columns: WindowForm['columns']
  readonly finish?: FinishKind
  readonly makes: Makes
  readonly reads?: readonly Tensor[]
  readonly params?: Readonly<Record<string, number>>
  readonly constants?: Readonly<Record<string, number>>
}

/** The gradient as a product of windows. */
export function windowGradient<const Makes extends readonly Make[]>(
  run: Run,
  [dy, w]: readonly [Tensor, Tensor],
  x: Image,
  steps: Steps,
  { columns, finish = null, makes, reads = [], params = {}, constants = {} }: Kind<Makes>,
): { [I in keyof Makes]: Tensor } {
  const [N, outH, outW, C] = images(x.shape, 'conv2d: x')
  const [, H, W, K] = images(dy.shape, 'conv2d: dy')
  const [kH, kW] = images(w.shape, 'conv2d: w')
  const [phasesH, phasesW] = steps.stride
  const form: WindowForm = {
    back: true,
    bits: kH * kW <= MAX_BITS,
    whole: K % WHOLE === 0,
    x: memoryOf(run, dy, K),
    w: memoryOf(run, w, K),
    y: memoryOfY(C, sizeOf(x.shape), x.dtype),
    ...{ columns, finish, biased: false },
  }
  return runTiled(
    run,
    windowProduct(form),
    { ...phases(x, steps), N: C, K: kH * kW * K },
    {
      reads: [dy, w, ...reads],
      makes,
      params: {
        ...{ images: N, H, W, C: K, outH, outW, kH, kW, phasesH, phasesW },
        ...{ stepH: 1, stepW: 1, padH: steps.padding[0], padW: steps.padding[1] },
        ...params,
      },
      constants,
    },
  )
}
