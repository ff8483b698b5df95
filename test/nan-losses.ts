// What a NaN in one row of one input does to each contrastive loss and to its gradients, by the
// kernels of any machine.

import * as assert from 'uvu/assert'
import { type Op, type Shape, type Tensor, type Tensors, sizeOf } from '../kernels/op.ts'
import { infoNceOp } from '../kernels/infonce.ts'
import { nceMapsOp } from '../kernels/nce-maps.ts'
import { contrast, ntXentOp } from '../kernels/ntxent.ts'
import { sigLipOp } from '../kernels/siglip.ts'
import { supConOp } from '../kernels/supcon.ts'
import type { Gpu } from '../engine/gpu.ts'
import { random } from './check.ts'
import { type Machine, variants } from './variants.ts'

/** What of an input's gradient is NaN: all of it, or the row that holds the NaN; null where it has no
 *  gradient. */
type Mark = 'all' | 'row' | null

interface Loss {
  readonly shapes: readonly Shape[]
  /** By the input that holds a NaN: the marks of all inputs; null where that input is left alone. */
  readonly marks: readonly (readonly Mark[] | null)[]
  readonly by: (
    machines: readonly Machine[],
  ) => readonly (readonly [variant: string, apply: (inputs: Tensors) => Tensor])[]
}

const lossOf = <In extends Tensors, Out extends Tensors, A>(
  def: Op<In, Out, A>,
  attrs: A,
  shapes: readonly Shape[],
  marks: Loss['marks'],
): Loss => ({
  shapes,
  marks,
  by: (machines) =>
    variants(def, machines).map(
      ([variant, apply]) => [variant, (inputs: Tensors) => apply(attrs, ...(inputs as In))] as const, // as `shapes` says
    ),
})

const [two, attrs] = [
  [
    [4, 8],
    [4, 8],
  ],
  { temperature: 0.2, normalized: false },
]

// Every row is compared with every other, and all that is compared with NaN is NaN.
const all = [
  ['all', 'all'],
  ['all', 'all'],
] as const

export const contrastiveLosses = {
  ntXent: lossOf(ntXentOp, attrs, two, all),
  dcl: lossOf(contrast('dcl', { decoupled: true }), attrs, two, all),
  clip: lossOf(contrast('clip', { across: true }), attrs, two, all),
  supCon: lossOf(supConOp, attrs, [...two, [4]], [['all', 'all', null], ['all', 'all', null], null]),
  // A pair of rows is judged by itself; the scalars learn from all of them.
  sigLip: lossOf(
    sigLipOp,
    attrs,
    [...two, [], []],
    [
      ['row', 'all', 'all', 'all'],
      ['all', 'row', 'all', 'all'],
      ['all', 'all', 'all', 'all'],
      ['all', 'all', 'all', 'all'],
    ],
  ),
  // A query meets its own key and the whole queue.
  infoNce: lossOf(
    infoNceOp,
    { ...attrs, inBatch: false },
    [...two, [6, 8]],
    [
      ['row', null, null],
      ['row', null, null],
      ['all', null, null],
    ],
  ),
  // A source meets all places. A place of image j is a positive of source j, a negative of the others.
  nceMaps: lossOf(
    nceMapsOp,
    { clip: 20, penalty: 0.05 },
    [
      [4, 8],
      [4, 3, 8],
    ],
    [
      ['row', 'all'],
      ['all', 'all'],
    ],
  ),
} as const

const ROW = 1 // that holds the NaN

/** A loss's inputs, with `bad` in row 1 of one of them; labels are 0, 1, 0, 1. */
export function inputsOf(gpu: Gpu, { shapes }: Pick<Loss, 'shapes'>, input: number, bad: number) {
  const tensors = shapes.map((shape, i) => {
    if (shape[0] === 4 && shape.length === 1) return gpu.tensor([0, 1, 0, 1], shape)
    const values = random(sizeOf(shape), i + 1)
    if (i === input) values[((ROW * values.length) / (shape[0] ?? 1)) % values.length] = bad
    return gpu.tensor(values, shape)
  })
  return tensors as unknown as Tensors // there is at least one
}

/** Asserts that NaN in any input makes the loss NaN, and of the gradients what the marks say, no more. */
export async function spreads(gpu: Gpu, loss: Loss, apply: (inputs: Tensors) => Tensor) {
  for (const [input, marks] of loss.marks.entries()) {
    if (!marks) continue
    const inputs = inputsOf(gpu, loss, input, NaN)
    const value = apply(inputs)
    assert.equal([...(await gpu.read(value))], [NaN], `loss, NaN in input ${input}`)
    const gradients = gpu.backward(value)
    for (const [i, mark] of marks.entries()) {
      const gradient = inputs[i] && gradients.get(inputs[i])
      assert.is(gradient === undefined, mark === null, `gradient ${i}, NaN in input ${input}`)
      if (!gradient) continue
      const got = [...(await gpu.read(gradient))]
      const width = got.length / (gradient.shape[0] ?? 1)
      assert.equal(
        got.map(Number.isNaN),
        got.map((_, e) => mark === 'all' || (mark === 'row' && Math.floor(e / width) === ROW)),
        `NaN in gradient ${i}, NaN in input ${input}`,
      )
    }
  }
}
