// 2-d convolution (cross-correlation, as everywhere in deep learning):
//   y[n, i, j, k] = sum over r, s, c of x[n, i stride - padding + r, j stride - padding + s, c]
//   w[r, s, c, k] + bias[k]
// In groups, c counts the channels of k's group.

import {
  type Op,
  type Run,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  images,
  op,
  show,
  sizeOf,
} from '../op.ts'
import { columnSums } from '../wgsl/column-sums.ts'
import { storedAs } from '../wgsl/storage.ts'
import { groupedDataGradient, groupedForward } from './grouped.ts'
import { groupedWeightGradient } from './grouped-weight.ts'
import { convWeightGradient } from './weight-gradient.ts'
import { type Pair, type Steps, convForward, convInputGradient } from './forward.ts'
import { MAX_GROUPS_PER_DIM } from '../limits.ts'
import { padReflect } from './pad-reflect.ts'
import { anything, checkOptions, checkTensor, count, describe, oneOf } from '../options.ts'

interface ConvAttrs extends Steps {
  /** 1 by default. */
  readonly groups?: number
}

type ConvInputs = [x: Tensor, w: Tensor, ...bias: [] | [Tensor]]

export const conv2dOp: Op<ConvInputs, [y: Tensor], ConvAttrs> = {
  name: 'conv2d',
  accepts: ['float'],
  shape({ stride, padding, groups = 1 }, x, w, ...[bias]) {
    const [N, H, W, C] = images(x, 'conv2d: x')
    const [kH, kW, Cin, K] = weight(w)
    if (C !== Cin * groups)
      throw new ShapeError(
        `conv2d: channels differ, x ${show(x)} has ${C} and w ${show(w)} takes ${Cin}${groups > 1 ? ` in each of ${groups} groups` : ''}`,
      )
    if (K % groups > 0)
      throw new ShapeError(
        `conv2d: groups must divide the channels that w makes, got ${groups} for w ${show(w)}`,
      )
    if (bias && (bias.length !== 1 || bias[0] !== K))
      throw new ShapeError(
        `conv2d: bias must have one value per channel that w makes, got ${show(bias)} for w ${show(w)}`,
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
  flops: (attrs, x, w) => 2 * sizeOf(conv2dOp.shape(attrs, x, w)) * sizeOf(w.slice(0, 3)),
  forward(run, { groups = 1, ...steps }, x, w, ...[bias = null]) {
    const out = conv2dOp.shape({ ...steps, groups }, x.shape, w.shape)
    return groups > 1
      ? [groupedForward(run, x, w, bias, { ...steps, groups, out })]
      : [convForward(run, x, w, out, { ...steps, bias })]
  },
  backward(run, { groups = 1, ...steps }, [dy], [x, w], _outputs, needs) {
    const [dxNeeded, dwNeeded, biasNeeded] = needs
    const own = { ...steps, groups }
    const dw = () =>
      groups > 1
        ? groupedWeightGradient(run, x, dy, w.shape, own)
        : convWeightGradient(run, x, dy, w.shape, steps)
    const dx = () =>
      groups > 1 ? groupedDataGradient(run, dy, w, x, own) : convInputGradient(run, dy, w, x, steps)
    const gradients = [dxNeeded ? dx() : null, dwNeeded ? dw() : null]
    return needs.length < 3 ? gradients : [...gradients, biasNeeded ? biasGradient(run, dy) : null]
  },
}

function biasGradient(run: Run, dy: Tensor): Tensor {
  const K = dim(dy.shape, 3)
  const rows = sizeOf(dy.shape) / Math.max(1, K)
  return columnSums(run, run.view(storedAs(run, 'f32', dy), [rows, K]))
}

const apply = op(conv2dOp, 'x', 'w', 'bias')

/** How a convolution's window moves. */
export interface WindowOptions {
  /** Pixels between windows, one number or [rows, columns]; 1 by default. */
  readonly stride?: number | Pair
  /** Pixels added on each side, one number or [rows, columns]; 0 by default. */
  readonly padding?: number | Pair
  /** Padding by zeros, the default, or by reflection, where it must be smaller than the image. */
  readonly padMode?: 'zeros' | 'reflect'
}

/** Options of `conv2d`. */
export interface Conv2dOptions extends WindowOptions {
  /** Groups of channels that see only each other; 1 by default. With as many groups as channels it
   *  is a depthwise convolution. */
  readonly groups?: number
  /** [Cout], added to every pixel; none by default. */
  readonly bias?: Tensor | null
}

/** Convolution of x [N, H, W, Cin] with w [kH, kW, Cin / groups, Cout] -> [N, Ho, Wo, Cout]. Ho =
 *  floor((H + 2 padding - kH) / stride) + 1, and likewise Wo. PyTorch's `conv2d` has w [Cout, Cin /
 *  groups, kH, kW] and the same order of groups: the first Cout / groups channels see the first
 *  Cin / groups. Signals are images [N, 1, L, C] with kernels [1, k, ...]. Throws ShapeError. */
export function conv2d(x: Tensor, w: Tensor, options: Conv2dOptions = {}): Tensor {
  const {
    groups = 1,
    bias,
    ...given
  } = checkOptions('conv2d', options, {
    ...convRules,
    groups: count,
    bias: anything,
  })
  const { steps, padded } = paddedInput(x, given)
  return bias
    ? apply({ ...steps, groups }, padded, w, bias)
    : apply({ ...steps, groups }, padded, w)
}

/** The rules of a convolution's options. `shape` checks stride and padding. */
export const convRules = { stride: anything, padding: anything, padMode: oneOf('zeros', 'reflect') }

/** The steps of the window, and x, padded here where padding is by reflection. */
export function paddedInput(
  x: Tensor,
  { stride = 1, padding = 0, padMode = 'zeros' }: WindowOptions,
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
