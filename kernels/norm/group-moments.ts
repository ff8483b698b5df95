// What layerNorm and groupNorm run: y = (x - mean) / sqrt(variance + eps) gamma + beta, with
// mean and variance of each group of elements. A snippet, `GroupWalk`, says how a group lies in x.
// Mean and variance take a pass each, so that a large mean costs no digits.

import { type Run, type Shape, type Tensor, ShapeError, elementwise, show } from '../op.ts'
import { perLine } from '../wgsl/lines.ts'
import { byWidth, widthOf } from '../wgsl/widths.ts'
import { sumSplits } from '../wgsl/sum-splits.ts'
import { type GroupWalk, groupKernels } from './group-moments-kernels.ts'

/** The extent of x [rows, C] in groups: `count` groups of R elements, K channels of each of P rows
 *  in a group, G groups side by side. */
export interface Groups {
  readonly count: number
  readonly R: number
  readonly rows: number
  readonly C: number
  readonly K: number
  readonly P: number
  readonly G: number
}

export type GroupNormOutputs = [y: Tensor, stats: Tensor]

/** The forward and the backward pass of a norm whose groups lie as `walk` says. */
export function groupMoments(walk: GroupWalk) {
  const { forward, input, scales } = groupKernels(walk)
  return {
    forward: (run: Run, of: Groups, eps: number, [x, gamma, beta]: Inputs): GroupNormOutputs =>
      run(forward(of.K), {
        reads: [x, gamma, beta],
        makes: [x.shape, [2, of.count]],
        params: { ...of, each: 0, eps },
        ...perLine(run, of.count, of.R / widthOf(of.K)),
      }) as GroupNormOutputs,
    backward(
      run: Run,
      of: Groups,
      { dy, x, gamma, stats }: Saved,
      [needsX, ...needsScales]: readonly boolean[],
    ): readonly (Tensor | null)[] {
      const [dx] = needsX
        ? run(input(of.K), {
            reads: [x, gamma, stats, dy],
            makes: [x.shape],
            params: { ...of, each: 0, eps: 0 },
            ...perLine(run, of.count, of.R / widthOf(of.K)),
          })
        : [null]
      const sums = needsScales.includes(true) ? scaleGradients(run, scales, of, [x, stats, dy]) : []
      return [dx, ...needsScales.map((isNeeded, i) => (isNeeded ? (sums[i]?.() ?? null) : null))]
    },
  }
}

type Inputs = readonly [x: Tensor, gamma: Tensor, beta: Tensor]

interface Saved {
  readonly dy: Tensor
  readonly x: Tensor
  readonly gamma: Tensor
  readonly stats: Tensor
}

/** About as many rows in a thread's sum as there are such sums to add up. */
const rowsPerThread = (rows: number) => Math.max(32, Math.ceil(Math.sqrt(rows)))

/** Functions that add up the gradients of gamma and of beta. */
function scaleGradients(
  run: Run,
  program: ReturnType<typeof byWidth>,
  of: Groups,
  reads: readonly Tensor[],
) {
  const each = rowsPerThread(of.rows)
  const parts = Math.max(1, Math.ceil(of.rows / each))
  const made: Shape = [parts, of.C]
  const partial = run(program(of.K), {
    reads,
    makes: [made, made],
    params: { ...of, each, eps: 0 },
    groups: elementwise((parts * of.C) / widthOf(of.K)),
  })
  return partial.map((sums) => () => sumSplits(run, sums, [of.C]))
}

/** Throws ShapeError unless gamma and beta have one value per channel of x [..., C]. */
export function checkScales(name: string, x: Shape, scales: Readonly<Record<string, Shape>>) {
  for (const [scale, shape] of Object.entries(scales))
    if (shape.length !== 1 || shape[0] !== x.at(-1))
      throw new ShapeError(
        `${name}: ${scale} must have one value per channel, got ${show(shape)} for x ${show(x)}`,
      )
}
