import * as assert from 'uvu/assert'
import { ShapeError } from '../../../kernels/op.ts'
import { addAll } from '../../../kernels/wgsl/add-all.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('addAll')

test('adds two to four tensors', async ({ gpu }) => {
  for (const shape of [[], [7], [3, 68]])
    for (const terms of [2, 3, 4]) {
      const shapes = Array.from({ length: terms }, () => shape)
      const sum = (...xs: number[][]) =>
        (xs[0] ?? []).map((_, i) => xs.reduce((all, x) => all + (x[i] ?? NaN), 0))
      await checkOp(gpu, (x, ...others) => addAll({}, x, ...others), sum, shapes)
    }
})

test('gives gradients where they are asked for, and keeps NaN', async ({ gpu }) => {
  const of = (seed: number) => gpu.tensor(random(4, seed), [4])
  const b = of(2)
  const gradients = gpu.backward(addAll({}, of(1), b, of(3)), gpu.tensor([1, 2, 3, 4]), { of: [b] })
  assert.is(gradients.size, 1)
  const gradient = gradients.of(b)
  assert.ok(gradient)
  if (gradient) assert.equal([...(await gpu.read(gradient))], [1, 2, 3, 4])
  const given = gpu.tensor([1, NaN, 3, 4])
  assert.equal([...(await gpu.read(addAll({}, gpu.tensor([1, 1, 1, 1]), given)))], [2, NaN, 4, 5])
})

test('refuses other numbers of tensors, and other shapes', ({ gpu }) => {
  const one = gpu.tensor([1, 2])
  const refused = 'addAll: takes two to four tensors of one shape, got '
  for (const [call, shapes] of [
    [() => addAll({}, one), '[2]'],
    [() => addAll({}, one, one, one, one, one), '[2], [2], [2], [2], [2]'],
    [() => addAll({}, one, gpu.tensor([1, 2, 3])), '[2], [3]'],
  ] as const)
    assert.throws(call, (e: Error) => e instanceof ShapeError && e.message === refused + shapes)
})

test.run()
