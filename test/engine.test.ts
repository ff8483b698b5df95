import * as assert from 'uvu/assert'
import { add } from '../kernels/add.ts'
import { checkOp } from './check.ts'
import { gpuSuite } from './gpu.ts'

const test = gpuSuite('engine')

test('adds', ({ gpu }) =>
  checkOp(gpu, add, (a, b) => a.map((v, i) => v + (b[i] ?? NaN)), [
    [7, 9],
    [7, 9],
  ]))

test('a tensor dies with its step, and what the step returns with the next', async ({ gpu }) => {
  const x = gpu.tensor([1, 2], [2])
  let inner = x
  const kept = gpu.step(() => {
    inner = add(x, x)
    return add(inner, x)
  })
  assert.equal([...(await gpu.read(kept))], [3, 6])
  assert.throws(() => add(inner, x), /was used after the step it was made in/)
  gpu.step(() => add(x, x))
  assert.throws(() => add(kept, x), /was used after the step it was made in/)
})

test('steps allocate nothing and make no bind group after the first few', async ({ gpu }) => {
  const x = gpu.tensor([1, 2, 3], [3])
  const step = () => gpu.step(() => add(add(x, gpu.tensor([4, 5, 6], [3])), x))
  for (let i = 0; i < 4; i++) step()
  const before = gpu.stats()
  for (let i = 0; i < 20; i++) step()
  const after = gpu.stats()
  assert.is(after.bytes, before.bytes)
  assert.is(after.bindGroups, before.bindGroups)
  assert.is(after.submits - before.submits, 20)
})

test.run()
