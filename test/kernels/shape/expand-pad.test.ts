import * as assert from 'uvu/assert'
import { type Shape, sizeOf } from '../../../kernels/op.ts'
import { expand } from '../../../kernels/shape/expand.ts'
import { type PadWidth, pad } from '../../../kernels/shape/pad.ts'
import { checkOp } from '../../fixtures/check.ts'
import { gradientAt } from '../../fixtures/golden-op.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('expand and pad')

/** An array of `shape`, element by element of its indices. */
function build(shape: Shape, value: (index: readonly number[]) => number): number[] {
  return Array.from({ length: sizeOf(shape) }, (_, flat) => {
    let rest = flat
    const index = shape.toReversed().map((size) => {
      const i = rest % size
      rest = (rest - i) / size
      return i
    })
    return value(index.reverse())
  })
}

/** The element of x at an index, or `outside`. */
function at(x: readonly number[], shape: Shape, index: readonly number[], outside = NaN): number {
  if (index.some((i, axis) => i < 0 || i >= (shape[axis] ?? 0))) return outside
  return x[index.reduce((flat, i, axis) => flat * (shape[axis] ?? 0) + i, 0)] ?? NaN
}

test('expand repeats axes of size 1 and adds axes in front', async ({ gpu }) => {
  for (const [from, given, into] of [
    [[1], [70], [70]],
    [
      [3, 1],
      [3, 5],
      [3, 5],
    ],
    [
      [3, 1],
      [2, -1, 5],
      [2, 3, 5],
    ],
    [[], [2, 3], [2, 3]],
    [
      [2, 1, 4, 1],
      [2, 3, 4, 5],
      [2, 3, 4, 5],
    ],
    [
      [2, 1, 2, 1, 2],
      [2, 3, 2, 3, 2],
      [2, 3, 2, 3, 2],
    ],
    [[6], [-1], [6]],
  ] as const) {
    const missing = into.length - from.length
    const reference = (x: number[]) =>
      build(into, (index) =>
        at(
          x,
          from,
          index.slice(missing).map((i, axis) => (from[axis] === 1 ? 0 : i)),
        ),
      )
    await checkOp(gpu, (x) => expand(x, given), reference, [from])
  }
})

test('pad adds a value before and after', async ({ gpu }) => {
  const cases: [Shape, PadWidth[], number][] = [
    [[5], [[2, 1]], 0],
    [[65], [[0, 70]], 3],
    [
      [2, 3],
      [
        [0, 0],
        [1, 0],
      ],
      -1,
    ],
    [
      [2, 3, 4, 2],
      [
        [0, 0],
        [1, 2],
        [2, 0],
        [0, 0],
      ],
      0.5,
    ],
    [
      [2, 1, 2, 1, 2],
      [
        [1, 0],
        [0, 1],
        [1, 1],
        [0, 2],
        [1, 0],
      ],
      0,
    ],
    [
      [2, 3],
      [
        [0, 0],
        [0, 0],
      ],
      7,
    ],
  ]
  for (const [shape, widths, value] of cases) {
    const into = shape.map((size, i) => size + (widths[i] ?? [0, 0])[0] + (widths[i] ?? [0, 0])[1])
    const reference = (x: number[]) =>
      build(into, (index) =>
        at(
          x,
          shape,
          index.map((i, axis) => i - (widths[axis]?.[0] ?? 0)),
          value,
        ),
      )
    await checkOp(gpu, (x) => pad(x, widths, { value }), reference, [shape])
  }
})

test('NaN and infinities stay where they are', async ({ gpu }) => {
  const x = gpu.tensor([NaN, -Infinity], [2])
  assert.equal([...(await gpu.read(expand(x, [2, 2])))], [NaN, -Infinity, NaN, -Infinity])
  const y = pad(x, [[1, 1]], { value: Infinity })
  assert.equal([...(await gpu.read(y))], [Infinity, NaN, -Infinity, Infinity])
  const dx = await gradientAt(gpu, y, x, gpu.tensor([NaN, 1, 2, NaN], [4]))
  assert.equal([...dx], [1, 2])
})

test('what does not fit is refused', ({ gpu }) => {
  const x = gpu.tensor([1, 2, 3, 4, 5, 6], [2, 3])
  refuses(() => expand(x, [2, 6]), 'expand: [2, 3] does not repeat to fill [2, 6]')
  refuses(() => expand(x, [3]), 'expand: [2, 3] does not repeat to fill [3]')
  refuses(() => expand(x, [-1, 2, 3]), 'expand: [2, 3] does not repeat to fill [-1, 2, 3]')
  refuses(
    () => pad(x, [[1, 1]]),
    'pad: there must be [before, after] of each axis of [2, 3], got 1 of them',
  )
  refuses(
    () =>
      pad(x, [
        [0, 0],
        [-1, 0],
      ]),
    'pad: widths must be [before, after] of each axis, whole numbers from 0 on, got an array of 2',
  )
})

test.run()
