import * as assert from 'uvu/assert'
import { type Shape, sizeOf } from '../../../kernels/op.ts'
import { transpose } from '../../../kernels/shape/transpose.ts'
import { checkOp } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('transpose')
const says = (message: string) => (e: Error) => e.message === message
const zeros = (...shape: number[]) => [new Float32Array(sizeOf(shape)), shape] as const

test('transpose moves axes', async ({ gpu }) => {
  const permuted = (shape: Shape, order: readonly number[]) => (x: number[]) => {
    const strides = shape.map((_, i) => sizeOf(shape.slice(i + 1)))
    const sizes = order.map((axis) => shape[axis] ?? NaN)
    return x.map((_, i) => {
      const from = sizes.map(
        (size, axis) =>
          (Math.floor(i / sizeOf(sizes.slice(axis + 1))) % size) *
          (strides[order[axis] ?? NaN] ?? NaN),
      )
      return x[from.reduce((a, b) => a + b)] ?? NaN
    })
  }
  await checkOp(gpu, (x) => transpose(x), permuted([65, 3], [1, 0]), [[65, 3]])
  await checkOp(gpu, (x) => transpose(x), permuted([2, 3, 5], [0, 2, 1]), [[2, 3, 5]])
  for (const order of [
    [3, 1, 0, 2],
    [0, 1, 2, 3],
    [2, 3, 0, 1],
  ])
    await checkOp(gpu, (x) => transpose(x, order), permuted([2, 3, 4, 5], order), [[2, 3, 4, 5]])
  for (const order of [
    [2, 0, 3, 1, 4], // queries, keys and values of heads
    [4, 3, 2, 1, 0],
  ])
    await checkOp(gpu, (x) => transpose(x, order), permuted([2, 3, 3, 2, 4], order), [
      [2, 3, 3, 2, 4],
    ])
  await checkOp(
    gpu,
    (x) => transpose(x, [5, 3, 1, 0, 2, 4]),
    permuted([2, 3, 2, 3, 2, 3], [5, 3, 1, 0, 2, 4]),
    [[2, 3, 2, 3, 2, 3]],
  )
  assert.equal(transpose(gpu.tensor(...zeros(2, 3, 4)), [2, 0, 1]).shape, [4, 2, 3])
  assert.throws(
    () => transpose(gpu.tensor(...zeros(3))),
    says('transpose: two axes are needed to swap, got [3]'),
  )
  assert.throws(
    () => transpose(gpu.tensor(...zeros(2, 3)), [0, 0]),
    says('transpose: the order must name every axis of [2, 3] once, got [0, 0]'),
  )
})

test.run()
