// Tests how long tensors live that Gpu.noGrad makes outside of a step.

import { setImmediate as turn } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { type Tensor, kernel } from '../../kernels/op.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { reshape } from '../../kernels/shape/reshape.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { linear } from '../../kernels/matmul/linear.ts'
import { random } from '../fixtures/check.ts'
import { collectUntil } from '../fixtures/garbage.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('noGrad')

const numbers = async (gpu: Gpu, t: Tensor) => [...(await gpu.read(t))]
const LATE = 'was used after the noGrad it was made in; return it from there'

test('forwards take the memory of one, awaited or not', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  const w = gpu.variable(random(64 * 64, 2), [64, 64])
  const forward = (x: Tensor) => sum(relu(linear(relu(linear(relu(linear(x, w)), w)), w)))
  const once = () => gpu.noGrad(() => forward(gpu.tensor(random(32 * 64, 1), [32, 64])))
  const held = [once(), once()]
  const { bytes } = gpu.stats()
  for (let i = 0; i < 5; i++) held.push(once())
  for (let i = 0; i < 5; i++) {
    const features = once()
    await gpu.read(features)
    held.push(features)
  }
  assert.is(gpu.stats().bytes, bytes + 10 * 256)
  gpu.destroy()
})

test('what it returns lives on while it is held, in whatever it lies', async ({ gpu }) => {
  const x = gpu.tensor([1, -2], [2])
  const returned = gpu.noGrad(() => {
    const y = add(x, x)
    return {
      array: [relu(x), null, { deeper: new Set([add(x, 1)]) }],
      map: new Map([[mul(x, 3), mul(x, 4)]]),
      view: reshape(add(y, y), [1, 2]),
      given: x,
    }
  })
  await collectUntil(() => false, 5)
  for (let i = 0; i < 20; i++) gpu.tensor([9, 9], [2])
  const { array, map, view, given } = returned
  const [key = x, value = x] = [...map].flat()
  const [first, , third] = array
  const deeper = third && 'deeper' in third ? [...third.deeper] : []
  const all = [first && 'shape' in first ? first : x, ...deeper, key, value, view, given]
  assert.equal(await Promise.all(all.map((t) => numbers(gpu, t))), [
    [1, 0],
    [2, -1],
    [3, -6],
    [4, -8],
    [4, -8],
    [1, -2],
  ])
})

test('all else that it made throws when it is used later, also when the body throws', ({ gpu }) => {
  const x = gpu.tensor([1, -2], [2])
  let inner = x
  gpu.noGrad(() => relu((inner = add(x, x))))
  refuses(() => relu(inner), `a tensor [2] ${LATE}`)
  refuses(
    () =>
      gpu.noGrad(() => {
        inner = add(x, 1)
        throw new Error('stop')
      }),
    'stop',
  )
  refuses(() => relu(inner), `a tensor [2] ${LATE}`)
})

test('one within another hands its result to it', async ({ gpu }) => {
  const x = gpu.tensor([1, -2], [2])
  let [early, between] = [x, x]
  const result = gpu.noGrad(() => {
    between = gpu.noGrad(() => relu((early = add(x, 2))))
    refuses(() => relu(early), `a tensor [2] ${LATE}`)
    return mul(between, 5)
  })
  assert.equal(await numbers(gpu, result), [15, 0])
  refuses(() => relu(between), `a tensor [2] ${LATE}`)
})

test('within a step it reclaims nothing: the step does', async ({ gpu }) => {
  const x = gpu.tensor([1, -2], [2])
  let inner = x
  const y = gpu.step(() => {
    gpu.noGrad(() => void (inner = relu(x)))
    return add(inner, 1)
  })
  assert.equal(await numbers(gpu, y), [2, 1])
  refuses(() => relu(inner), 'a tensor [2] was used after the step it was made in')
})

test('steps within it keep their own rules, and captured ones their memory', async ({ gpu }) => {
  const captured = gpu.capture((x: Tensor) => sum(mul(x, x)))
  const input = (i: number) => ({ values: [i, 2], shape: [2] })
  let y = gpu.tensor([0], [1])
  for (let i = 0; i < 6; i++) {
    gpu.noGrad(() => void (y = i % 3 === 0 ? gpu.step(() => add(y, i)) : captured.run(input(i))))
    for (let j = 0; j < 8; j++) gpu.tensor([9, 9], [2]) // would take memory that was given back too early
    assert.equal(await numbers(gpu, y), [i === 0 ? 0 : i === 3 ? 11 : i * i + 4])
  }
  assert.is(captured.replays, 2, `${captured.reason}`)
})

test('gradients flow around it, and those asked for in it are its own', async ({ gpu }) => {
  const [x, w] = [gpu.tensor([1, 2], [2]), gpu.variable([3, 4], [2])]
  const y = mul(w, x)
  const scale = gpu.noGrad(() => add(mul(w, 0), 5))
  assert.equal(await numbers(gpu, gpu.backward(mul(y, scale)).of(w) ?? x), [5, 10])
  const gradients = gpu.noGrad(() => gpu.backward(y))
  assert.equal(await numbers(gpu, gradients.of(w) ?? x), [1, 2])
})

test('a result that is dropped gives its memory back', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  const x = gpu.tensor([1, 2], [2])
  let isReused = false
  await collectUntil(() => {
    const { buffers } = gpu.stats()
    gpu.noGrad(() => mul(x, 2))
    return (isReused = gpu.stats().buffers === buffers)
  })
  assert.ok(isReused)
  gpu.destroy()
})

test('an async body is refused, and what it goes on to is lost without a word', async ({ gpu }) => {
  const told: unknown[] = []
  const onRejection = (reason: unknown) => told.push(reason)
  process.on('unhandledRejection', onRejection)
  refuses(
    () =>
      gpu.noGrad(async () => {
        const x = gpu.tensor([1], [1])
        await gpu.sync()
        return relu(x) // gone
      }),
    'Gpu.noGrad: the body must not be async; await outside of it',
  )
  await gpu.sync() // the body's, begun before, is over
  await turn()
  process.off('unhandledRejection', onRejection)
  assert.equal(told, [])
})

const nothing = kernel`
  @group(0) @binding(0) var<storage, read_write> y: array<f32>;
  @compute @workgroup_size(1)
  fn nothing() { y[0] = 0.0; }
`

test('small results that nothing holds do not pile up', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  let most = 0
  for (let i = 0; i < 8000; i++) {
    gpu.noGrad(() => gpu.run(nothing, { makes: [[16000]], groups: [0] })) // 62.5 KiB, 488 MiB in all
    if (i % 50 > 0) continue
    await new Promise((resolve) => setTimeout(resolve, 0))
    most = Math.max(most, gpu.stats().bytes)
  }
  assert.ok(most < 2 ** 28, `${most} bytes`)
  gpu.destroy()
})

test.run()
