// Tests captured steps whose calls have several signatures: each has a plan, and all share memory.

import * as assert from 'uvu/assert'
import type { Tensor } from '../../../kernels/op.ts'
import { add } from '../../../kernels/elementwise/add.ts'
import { affine } from '../../../kernels/wgsl/affine.ts'
import { mul } from '../../../kernels/elementwise/mul.ts'
import { sum } from '../../../kernels/reduce/sum.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { Adam } from '../../../engine/optim/optimizer.ts'
import { resnet18 } from '../../../models/resnet.ts'
import { random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('plans of captured steps')

const vector = (n: number, seed: number) => ({ values: random(n, seed), shape: [n] })
const numbers = async (gpu: Gpu, tensors: readonly Tensor[]) =>
  (await Promise.all(tensors.map((t) => gpu.read(t)))).map((values) => [...values])

/** A network whose step trains or evaluates, with images of a batch of N. */
function network(gpu: Gpu) {
  const model = resnet18(gpu, { stem: 'cifar', width: 4 })
  const optimizer = new Adam(model.parameters)
  const state = { step: 0 }
  const body = (x: Tensor, training: boolean) => {
    const loss = sum(model.forward(x, { training }))
    if (!training) return loss
    optimizer.step(gpu.backward(loss), () => 0.01 / (1 + state.step))
    gpu.everyStep(() => state.step++)
    return loss
  }
  const images = (N: number, s: number) => ({ values: random(N * 192, s), shape: [N, 8, 8, 3] })
  return { body, images, weights: optimizer.weights }
}

test('training and evaluation in turn, and a smaller last batch, replay from their third call on, to the same bits', async ({
  gpu,
}) => {
  const results = []
  const turns: readonly [N: number, training: boolean][] = [
    [4, true],
    [4, false],
  ]
  for (const replay of [false, true]) {
    const { body, images, weights } = network(gpu)
    const captured = gpu.capture(body, { replay })
    const made = []
    const replayed: boolean[] = []
    for (let s = 0; s < 20; s++) {
      const [N, training] = s % 10 === 8 ? ([3, true] as const) : (turns[s % 2] ?? [4, true])
      const before = captured.replays
      made.push(...(await gpu.read(captured.run(images(N, s), training))))
      replayed.push(captured.replays > before)
    }
    if (replay) {
      const eager = replayed.flatMap((is, s) => (is ? [] : [s]))
      assert.equal(eager, [0, 1, 2, 3, 8, 18]) // from the fourth step on all but the last batches
      assert.is(captured.plans, 3)
    }
    results.push([...made, ...(await gpu.read(weights))])
    captured.release()
  }
  assert.equal(results[1], results[0])
})

test('plans need no more memory than the largest of them, whichever comes first', ({
  gpu: host,
}) => {
  const bytesOf = (calls: readonly (readonly [N: number, training: boolean])[]) => {
    const gpu = new Gpu(host.device)
    const { body, images } = network(gpu)
    for (let i = 0; i < 70; i++) gpu.step(() => {}) // what making it took from the pool
    const before = gpu.stats().bytes
    const captured = gpu.capture(body)
    for (let i = 0; i < 3; i++)
      for (const [N, training] of calls) captured.run(images(N, i), training)
    assert.is(captured.replays, calls.length, `${captured.reason}`)
    const { bytes, least } = captured.memory ?? { bytes: NaN, least: NaN }
    const all = gpu.stats().bytes - before
    captured.release()
    for (let i = 0; i < 70; i++) gpu.step(() => {})
    assert.is(gpu.stats().bytes, before + 256) // the block for recording
    gpu.destroy()
    return { bytes, least, all }
  }
  const large = bytesOf([[8, true]])
  const own = 2 * 256 * 1024 // inputs and params of the smaller plans
  for (const calls of [
    [
      [8, true],
      [5, true],
      [8, false],
    ],
    [
      [8, false],
      [5, true],
      [8, true],
    ],
  ] as const) {
    const { bytes, least, all } = bytesOf(calls)
    assert.is(least, large.least)
    assert.ok(bytes <= 1.05 * large.bytes, `${bytes} of ${large.bytes}`)
    assert.ok(all <= large.all + 0.05 * large.bytes + own, `${all} of ${large.all}`)
  }
})

test('an input may be left out, and null, NaN and -0 are settings like any other', async ({
  gpu,
}) => {
  const captured = gpu.capture((x: Tensor, more?: Tensor | null) =>
    more ? add(x, more) : affine(x, more === null ? 3 : 2, 0),
  )
  for (let i = 0; i < 3; i++) {
    assert.equal(await numbers(gpu, [captured.run({ values: [1, 2] })]), [[2, 4]])
    assert.equal(await numbers(gpu, [captured.run({ values: [1, 2] }, null)]), [[3, 6]])
    const both = captured.run({ values: [1, 2] }, { values: [10, 20] })
    assert.equal(await numbers(gpu, [both]), [[11, 22]])
    assert.equal(await numbers(gpu, [captured.run({ values: [1, 2] }, undefined)]), [[2, 4]])
  }
  assert.is(captured.replays, 6)
  assert.is(captured.plans, 3)
  captured.release()
  const signs = gpu.capture((x: Tensor, v: number | null) =>
    affine(x, v === null ? 4 : Number.isNaN(v) ? 3 : Object.is(v, -0) ? 2 : 1, 0),
  )
  for (const v of [0, -0, NaN, null, 0, -0, NaN, null, 0, -0, NaN, null]) {
    const expected = v === null ? 4 : Number.isNaN(v) ? 3 : Object.is(v, -0) ? 2 : 1
    assert.equal(await numbers(gpu, [signs.run({ values: [1] }, v)]), [[expected]])
  }
  assert.is(signs.replays, 4)
  signs.release()
})

test('the least recently used plan gives way, but not to what comes once, nor to one too many in turn', ({
  gpu,
}) => {
  const captured = gpu.capture((x: Tensor) => affine(x, 2, 0), { plans: 2 })
  const run = (...lengths: number[]) => {
    const before = captured.replays
    for (const n of lengths) captured.run(vector(n, n))
    return captured.replays - before
  }
  assert.is(run(1, 2, 1, 2, 1, 2), 2)
  assert.is(run(3), 0)
  assert.is(captured.reason, 'input 0 was f32 [2], now f32 [3]; 2 plans are kept for other inputs')
  assert.is(run(1, 2, 4, 5, 6, 1, 2), 4) // each of the others came once
  assert.is(run(3, 1, 2, 3, 1, 2, 3, 1, 2), 6) // three in turn: two replay
  assert.is(run(1, 3, 1, 3), 2) // 2 was not used since
  assert.is(run(1, 3, 3), 2) // 3 has its plan now: recorded twice, then replayed
  assert.is(run(1, 3), 2)
  assert.is(captured.plans, 2)
  captured.release()
})

test('what a dropped plan held is given back', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  const captured = gpu.capture((x: Tensor) => sum(mul(affine(x, 2, 0), x)), { plans: 2 })
  const run = (n: number) => captured.run({ values: new Float32Array(n).fill(1), shape: [n] })
  for (const n of [1 << 18, 100, 1 << 18, 100]) run(n)
  const { bytes } = gpu.stats()
  for (const n of [100, 200, 200, 200, 200]) run(n)
  assert.equal([...(await gpu.read(run(200)))], [400])
  for (let i = 0; i < 70; i++) gpu.step(() => {})
  assert.ok(gpu.stats().bytes <= bytes - 2 * 4 * (1 << 18), `${gpu.stats().bytes} of ${bytes}`)
  gpu.destroy()
})

test('a body that throws in its first call leaves nothing behind', ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  let fails = false
  const captured = gpu.capture((x: Tensor) => {
    if (fails) throw new Error('stop')
    return affine(x, 2, 0)
  })
  for (let i = 0; i < 3; i++) captured.run(vector(3, i))
  for (let i = 0; i < 70; i++) gpu.step(() => {})
  const { bytes } = gpu.stats()
  fails = true
  for (const n of [1 << 10, 1 << 12]) assert.throws(() => captured.run(vector(n, n)), /^stop$/)
  for (let i = 0; i < 70; i++) gpu.step(() => {})
  assert.is(gpu.stats().bytes, bytes)
  fails = false
  captured.run(vector(3, 1))
  assert.is(captured.replays, 2)
  gpu.destroy()
})

test('what one plan returned is given to another, also when that takes its place', async ({
  gpu,
}) => {
  const results = []
  for (const plans of [0, 1, 2, 4]) {
    const captured = gpu.capture(
      (x: Tensor, twice: boolean) => [twice ? mul(add(x, x), x) : affine(x, 0.5, 1), x],
      plans === 0 ? { replay: false } : { plans },
    )
    const told = []
    let [y, x] = captured.run(vector(4, 1), true)
    for (let i = 0; i < 14; i++) {
      const next = i % 5 === 4 ? x : y // what it computed, or the input itself, returned
      ;[y, x] = captured.run(next ?? vector(4, 1), i % 3 !== 1)
      told.push(
        ...(await numbers(
          gpu,
          [y, x].flatMap((t) => t ?? []),
        )),
      )
    }
    results.push(told)
    captured.release()
  }
  for (const other of results) assert.equal(other, results[0])
})

test('an eager call may return a view of a recorded input, which is given again', async ({
  gpu,
}) => {
  const captured = gpu.capture((x: Tensor, scale: number) => [affine(x, scale, 0), x], { plans: 1 })
  let x: Tensor | undefined
  for (const scale of [2, 2, 3, 2]) {
    const [y, same] = captured.run(x ?? { values: [1, 2] }, scale)
    x = same
    assert.equal(await numbers(gpu, y ? [y] : []), [[scale, 2 * scale]])
  }
  assert.is(captured.replays, 1)
  captured.release()
})

test('a tensor from outside is not overwritten by a plan that reads it', async ({ gpu }) => {
  const results = []
  for (const replay of [false, true]) {
    let held: Tensor | null = null
    const captured = gpu.capture(
      (x: Tensor, twice: boolean): Tensor[] => {
        const y = affine(affine(x, 2, 1), 3, 1)
        if (!twice || !held) return [y]
        return [add(affine(affine(y, 5, 1), 7, 1), held), held]
      },
      { replay },
    )
    const told = []
    for (let i = 0; i < 3; i++) [held = null] = captured.run(vector(4, i), false)
    for (let i = 0; i < 5; i++) told.push(...(await numbers(gpu, captured.run(vector(4, i), true))))
    assert.is(captured.replays, replay ? 1 + 3 : 0, `${captured.reason}`)
    told.push(...(await numbers(gpu, captured.run(vector(4, 9), false))))
    results.push(told)
    captured.release()
  }
  assert.equal(results[1], results[0])
})

test.run()
