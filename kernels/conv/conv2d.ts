// 2-d convolution (cross-correlation, as everywhere in deep learning):
//   y[n, i, j, k] = sum over r, s, c of x[n, i stride - padding + r, j stride - padding + s, c]
//   w[r, s, c, k]

import { type Op, type Shape, type Tensor, ShapeError, images, op, show, sizeOf } from '../op.ts'
import { convWeightGradient } from './weight-gradient.ts'
import { type Pair, type Steps, convForward, convDataGradient } from './forward.ts'
import { MAX_GROUPS_PER_DIM } from '../limits.ts'
import { padReflect } from './pad-reflect.ts'
import { anything, checkOptions, checkTensor, describe, oneOf } from '../options.ts'

export const conv2dOp: Op<[x: Tensor, w: Tensor], [y: Tensor], Steps> = {
  name: 'conv2d',
  accepts: ['float'],
  shape({ stride, padding }, x, w) {
    const [N, H, W, C] = images(x, 'conv2d: x')
    const [kH, kW, Cin, K] = weight(w)
    if (C !== Cin)
      throw new ShapeError(
        `conv2d: channels differ, x ${show(x)} has ${C} and w ${show(w)} takes ${Cin}`,
      )
    check(stride, 1, 'stride')
    check(padding, 0, 'padding')
    // the data gradient has one workgroup along z per phase
    if (stride[0] * stride[1] > MAX_GROUPS_PER_DIM)
      throw new ShapeError(
        `conv2d: stride may be at most ${MAX_GROUPS_PER_DIM}, rows times columns, got ${show(stride)}`,
      )
    const outH = Math.floor((H + 2 * padding[0] - kH) / stride[0]) + 1
    const outW = Math.floor((W + 2 * padding[1] - kW) / stride[1]) + 1
    if (outH < 1 || outW < 1)
      throw new ShapeError(
        `conv2d: the kernel must fit in the padded image, got w ${show(w)}, x ${show(x)}, padding ${show(padding)}`,
      )
    return [N, outH, outW, K]
  },
  flops: (steps, x, w) => 2 * sizeOf(conv2dOp.shape(steps, x, w)) * sizeOf(w.slice(0, 3)),
  forward: (run, steps, x, w) => [
    convForward(run, x, w, conv2dOp.shape(steps, x.shape, w.shape), steps),
  ],
  backward(run, steps, [dy], [x, w], _outputs, [dxNeeded, dwNeeded]) {
    const dw = dwNeeded ? convWeightGradient(run, x, dy, w.shape, steps) : null
    return [dxNeeded ? convDataGradient(run, dy, w, x, steps) : null, dw]
  },
}

const apply = op(conv2dOp, 'x', 'w')

/** Options of `conv2d`. */
export interface Conv2dOptions {
  /** Pixels between windows, one number or [rows, columns]; 1 by default. */
  readonly stride?: number | Pair
  /** Pixels added on each side, one number or [rows, columns]; 0 by default. */
  readonly padding?: number | Pair
  /** Padding by zeros, the default, or by reflection, where it must be smaller than the image. */
  readonly padMode?: 'zeros' | 'reflect'
}

/** Convolution of x [N, H, W, Cin] with w [kH, kW, Cin, Cout] -> [N, Ho, Wo, Cout], without bias.
 *  Ho = floor((H + 2 padding - kH) / stride) + 1, and likewise Wo. Throws ShapeError. */
export function conv2d(x: Tensor, w: Tensor, options: Conv2dOptions = {}): Tensor {
  const { steps, padded } = paddedInput(x, checkOptions('conv2d', options, convRules))
  return apply(steps, padded, w)
}

/** The rules of a convolution's options. `shape` checks stride and padding. */
export const convRules = { stride: anything, padding: anything, padMode: oneOf('zeros', 'reflect') }

/** The steps of the window, and x, padded here where padding is by reflection. */
export function paddedInput(
  x: Tensor,
  { stride = 1, padding = 0, padMode = 'zeros' }: Conv2dOptions,
) {
  checkTensor('conv2d', 'x', x)
  const steps = { stride: pair(stride, 'stride'), padding: pair(padding, 'padding') }
  if (padMode === 'zeros' || steps.padding.join() === '0,0') return { steps, padded: x }
  check(steps.padding, 0, 'padding')
  return { steps: { ...steps, padding: [0, 0] as const }, padded: padReflect(x, steps.padding) }
}

function pair(value: number | readonly number[], what: string): Pair {
  if (typeof value === 'number') return [value, value]
  if (!Array.isArray(value))
    throw new ShapeError(
      `conv2d: ${what} must be a number or [rows, columns], got ${describe(value)}`,
    )
  const [h, w]: readonly number[] = value
  if (value.length !== 2 || h === undefined || w === undefined)
    throw new ShapeError(`conv2d: ${what} must be a number or [rows, columns], got ${show(value)}`)
  return [h, w]
}

function weight(w: Shape): [kH: number, kW: number, Cin: number, Cout: number] {
  const [kH, kW, Cin, Cout] = w
  if (
    w.length !== 4 ||
    kH === undefined ||
    kW === undefined ||
    Cin === undefined ||
    Cout === undefined
  )
    throw new ShapeError(`conv2d: w must be [kH, kW, Cin, Cout], got ${show(w)}`)
  return [kH, kW, Cin, Cout]
}

function check(value: Pair, least: number, what: string) {
  if (value.some((v) => !Number.isInteger(v) || v < least))
    throw new ShapeError(
      `conv2d: ${what} must be whole numbers of at least ${least}, got ${show(value)}`,
    )
}
