// Two convolutions, each with its batch norm, and their sum, as one op: the end of a residual block
// whose shortcut changes the shape.
//   y = batchNorm(conv2d(x, w)) + batchNorm(conv2d(x', w')),  then max(., 0), which is optional
// The shortcut is normalised where it is added, so that it is never stored normalised.

import { type Op, type Tensor, ShapeError, op, show } from '../op.ts'
import { needed, orNull, record, tensor, checkOptions } from '../options.ts'
import { type BatchNormOptions, type Running, batchNormOp, settings } from '../norm/batch-norm.ts'
import { batchNormForward, normOf, statistics } from '../norm/normalize.ts'
import { type WindowOptions, conv2dOp, convRules, paddedInput } from './conv2d.ts'
import { type ConvNormAttrs, convNormBackward, convolved } from './conv-norm-parts.ts'

/** A convolution and its batch norm, given to the `convNorm` that adds it. */
export interface Shortcut extends WindowOptions {
  /** Images [N, H', W', Cin'], and a weight [kH', kW', Cin', Cout]. */
  readonly x: Tensor
  readonly w: Tensor
  /** [Cout]. */
  readonly gamma: Tensor
  readonly beta: Tensor
  readonly running: Running | null
}

type One = [x: Tensor, w: Tensor, gamma: Tensor, beta: Tensor]
type PairInputs = [...One, ...more: One]
type PairOutputs = [
  ...[y: Tensor, z: Tensor, stats: Tensor],
  ...[more: Tensor, moreStats: Tensor],
  ...marks: [] | [Tensor],
]

interface PairAttrs {
  readonly main: ConvNormAttrs
  readonly more: ConvNormAttrs
}

const convNormPairOp: Op<PairInputs, PairOutputs, PairAttrs> = {
  name: 'convNorm',
  accepts: ['float', 'f32', 'f32', 'f32', 'float', 'f32', 'f32', 'f32'],
  takesParts: true,
  shape({ main, more }, x, w, gamma, beta, ...[moreX, moreW, moreGamma, moreBeta]) {
    const z = batchNormOp.shape(main.norm, conv2dOp.shape(main.steps, x, w), gamma, beta)
    const shortcut = conv2dOp.shape(more.steps, moreX, moreW)
    batchNormOp.shape(more.norm, shortcut, moreGamma, moreBeta)
    if (shortcut.join() !== z.join())
      throw new ShapeError(
        `convNorm: the residual must have the result's shape ${show(z)}, got ${show(shortcut)}`,
      )
    return z
  },
  flops: ({ main, more }, x, w, _gamma, _beta, moreX, moreW, ..._others) =>
    (conv2dOp.flops?.(main.steps, x, w) ?? 0) + (conv2dOp.flops?.(more.steps, moreX, moreW) ?? 0),
  forward(run, { main, more }, x, w, gamma, beta, ...[moreX, moreW, moreGamma, moreBeta]) {
    const second = convolved(run, more.norm, more.steps, moreX, moreW)
    const moreStats = statistics(run, more.norm, second.z, second.moments)
    const { z, moments } = convolved(run, main.norm, main.steps, x, w)
    const shortcut = normOf(run, moreStats, moreGamma, moreBeta)
    const inputs = [z, gamma, beta, second.z] as const
    const [y, stats, ...marks] = batchNormForward(run, main.norm, inputs, { moments, shortcut })
    return [y, z, stats, second.z, moreStats, ...marks]
  },
  backward(
    run,
    { main, more },
    [dy],
    [x, w, gamma, beta, moreX, moreW, moreGamma, moreBeta],
    [y, z, stats, moreZ, moreStats, marks],
    needs,
    addend = null,
  ) {
    const first = convNormBackward(run, main, [dy, addend], {
      ...{ x, w, normalized: { x: z, gamma, beta, y, stats, marks } },
      ...{ isBehind: true, needs: needs.slice(0, 4) },
    })
    const second = convNormBackward(run, more, [first.dResidual, null], {
      ...{ x: moreX, w: moreW, isBehind: false, needs: needs.slice(4) },
      normalized: { x: moreZ, gamma: moreGamma, beta: moreBeta, y, stats: moreStats },
    })
    return [...first.gradients, ...second.gradients]
  },
}

const apply = op(
  convNormPairOp,
  ...['x', 'w', 'gamma', 'beta'],
  ...['residual x', 'residual w', 'residual gamma', 'residual beta'],
)

/** What `checkedShortcut` returns: the settings of a convNorm and its inputs. */
interface Given {
  readonly attrs: ConvNormAttrs
  readonly inputs: readonly [...One]
}

/** A convNorm that adds another. */
export const convNormPair = (main: ConvNormAttrs, inputs: readonly [...One], more: Given): Tensor =>
  apply({ main, more: more.attrs }, ...inputs, ...more.inputs)

const rules = {
  ...{ x: needed(tensor), w: needed(tensor), gamma: needed(tensor), beta: needed(tensor) },
  ...{ running: needed(orNull(record)), ...convRules },
}

/** The settings and inputs of a shortcut, in the mode of the convNorm that adds it. */
export function checkedShortcut(given: Shortcut, mode: Omit<BatchNormOptions, 'residual'>): Given {
  const checked = checkOptions('convNorm: residual', given, rules)
  const { x, w, gamma, beta, running, ...window } = checked
  const norm = settings(x, running, { ...mode, relu: false })
  const { steps, padded } = paddedInput(x, window)
  return { attrs: { steps, norm }, inputs: [padded, w, gamma, beta] }
}
