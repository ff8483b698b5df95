// Tests which memory captured steps hold, for how long, and that none of it is used twice at once.

import * as assert from 'uvu/assert'
import { setImmediate as turn } from 'node:timers/promises'
import type { Tensor } from '../../../kernels/op.ts'
import { add } from '../../../kernels/elementwise/add.ts'
import { affine } from '../../../kernels/wgsl/affine.ts'
import { mul } from '../../../kernels/elementwise/mul.ts'
import { sum } from '../../../kernels/reduce/sum.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { Sgd } from '../../../engine/optim/optimizer.ts'
import { resnet18 } from '../../../models/resnet.ts'
import { random } from '../../fixtures/check.ts'
import { collectUntil } from '../../fixtures/garbage.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('memory of captured steps')

const four = (i: number) => ({ values: [i, 2 * i, 3 * i, 4 * i], shape: [4] })
const numbers = async (gpu: Gpu, tensors: readonly Tensor[]) =>
  (await Promise.all(tensors.map((t) => gpu.read(t)))).map((values) => [...values])

/** What a body that uses what the call before returned gives in six calls. */
const chains: Record<string, (gpu: Gpu, replay: boolean) => Promise<unknown>> = {
  async 'adds to what the call before returned, from outside'(gpu, replay) {
    let state = gpu.step(() => affine(gpu.tensor([1, 2, 3, 4], [4]), 1, 0))
    const captured = gpu.capture((x: Tensor) => add(state, x), { replay })
    const results = []
    for (let i = 0; i < 6; i++) results.push(await numbers(gpu, [(state = captured.run(four(i)))]))
    return results
  },
  async 'returns it once more'(gpu, replay) {
    let before: Tensor | null = null
    const body = (x: Tensor): Tensor[] => (before ? [affine(x, 2, 0), before] : [affine(x, 2, 0)])
    const captured = gpu.capture(body, { replay })
    const results = []
    for (let i = 0; i < 6; i++) {
      const returned: Tensor[] = captured.run(four(i))
      before = returned[0] ?? null
      results.push(await numbers(gpu, returned))
    }
    return results
  },
  async 'is given an input that it returned, in another place'(gpu, replay) {
    const captured = gpu.capture((x: Tensor, y: Tensor) => [add(x, affine(y, 10, 0)), x], {
      replay,
    })
    const results = []
    let y: Tensor = gpu.tensor([0, 0, 0, 0], [4])
    for (let i = 1; i < 7; i++) {
      const returned = captured.run(four(i), y)
      results.push(await numbers(gpu, returned))
      y = returned[1] ?? y
    }
    return results
  },
  async 'is given both of its inputs, exchanged'(gpu, replay) {
    const captured = gpu.capture((x: Tensor, y: Tensor) => [add(x, affine(y, 10, 0)), x, y], {
      replay,
    })
    const results = []
    let [x, y] = [gpu.tensor([1, 2, 3, 4], [4]), gpu.tensor([5, 6, 7, 8], [4])]
    for (let i = 0; i < 6; i++) {
      const returned = captured.run(x, y)
      results.push(await numbers(gpu, returned))
      ;[x = x, y = y] = [returned[2], returned[1]]
    }
    return results
  },
  async 'learns from what it returned, once with another shape'(gpu, replay) {
    const w = gpu.variable(random(4, 1), [4])
    const optimizer = new Sgd({ w })
    const captured = gpu.capture(
      (x: Tensor, s: Tensor) => {
        const h = affine(add(mul(w, s), sum(x)), 0.1, 0)
        optimizer.step(gpu.backward(sum(h)), () => 0.01)
        return h
      },
      { replay },
    )
    const results = []
    let s: Tensor = gpu.tensor([1, 2, 3, 4], [4])
    for (let i = 0; i < 8; i++) {
      const n = i === 5 ? 3 : 4
      s = captured.run({ values: random(n, i), shape: [n] }, s)
      results.push(await numbers(gpu, [s]))
    }
    return results
  },
  async 'makes tensors without elements'(gpu, replay) {
    const captured = gpu.capture((x: Tensor) => [affine(x, 2, 0), sum(affine(x, 2, 0))], { replay })
    const results = []
    const nothing = { values: new Float32Array(0), shape: [0, 3] }
    for (let i = 0; i < 4; i++) results.push(await numbers(gpu, captured.run(nothing)))
    assert.is(captured.replays, replay ? 2 : 0, `${captured.reason}`)
    return results
  },
}

for (const [what, chain] of Object.entries(chains))
  test(`a body that ${what} gives what it gives step by step`, async ({ gpu }) => {
    assert.equal(await chain(gpu, true), await chain(gpu, false))
  })

test('what was returned lives on when its captured step is collected', async ({ gpu }) => {
  const returned = gpu.capture((x: Tensor) => affine(x, 2, 0)).run(four(1))
  await collectUntil(() => false, 5)
  for (let i = 0; i < 20; i++) gpu.tensor([9, 9, 9, 9], [4])
  assert.equal(await numbers(gpu, [returned]), [[2, 4, 6, 8]])
})

/** Bytes that training a ResNet takes after each of some steps, by what happens in them. */
async function bytesOf(
  host: Gpu,
  replay: boolean,
  happens: (gpu: Gpu, loss: Tensor, step: number) => Tensor,
  plain = false,
) {
  const gpu = new Gpu(host.device)
  const { parameters, forward } = resnet18(gpu, { width: 4 })
  const optimizer = new Sgd(parameters)
  let step = 0
  const captured = gpu.capture(
    (x: Tensor) => {
      const loss = sum(forward(x, { training: true }))
      optimizer.step(gpu.backward(loss), plain ? 0.01 : () => 0.01)
      return happens(gpu, loss, step)
    },
    { replay },
  )
  const bytes: number[] = []
  for (; step < 6; step++) {
    captured.run({ values: random(4 * 768, step), shape: [4, 16, 16, 3] })
    bytes.push(gpu.stats().bytes)
  }
  await gpu.sync()
  gpu.destroy()
  return bytes
}

test('a step that has to be done on the way needs what it needs step by step, and no more', async ({
  gpu,
}) => {
  const eager = Math.max(...(await bytesOf(gpu, false, (_, loss) => loss)))
  for (const [what, bytes] of Object.entries({
    'a plain learning rate': await bytesOf(gpu, true, (_, loss) => loss, true),
    'a read at the end': await bytesOf(gpu, true, (own, loss) => (void own.read(loss), loss)),
  }))
    assert.ok(Math.max(...bytes) <= 1.02 * eager, `${what}: ${bytes.join()}, step by step ${eager}`)
})

test('two plans are never held, nor a plan and a pool', async ({ gpu }) => {
  const steady = await bytesOf(gpu, true, (_, loss) => loss)
  assert.equal(
    steady,
    Array.from(steady, () => steady[0]),
  )
  const late = await bytesOf(gpu, true, (_, loss, step) => (step === 0 ? affine(loss, 2, 0) : loss))
  assert.ok((late.at(-1) ?? NaN) <= (steady[0] ?? NaN) + 256, late.join())
  assert.ok(Math.max(...late) <= 1.4 * (steady[0] ?? NaN), late.join())
})

test('a read that begins after many replays is told by the step alone', async ({ gpu }) => {
  let reads = false
  const captured = gpu.capture((x: Tensor) => {
    const y = affine(x, 2, 0)
    if (reads) void gpu.read(y)
    return y
  })
  for (let i = 0; i < 4; i++) captured.run(four(i))
  reads = true
  const told: unknown[] = []
  const onRejection = (reason: unknown) => told.push(reason)
  process.on('unhandledRejection', onRejection)
  let message = ''
  for (let i = 0; i < 300 && message === ''; i++)
    try {
      captured.run(four(i))
    } catch (error) {
      message = (error as Error).message // what run throws
    }
  await gpu.sync() // by which the reads have failed
  await turn()
  process.off('unhandledRejection', onRejection)
  assert.match(message, /^captured step: gpu.read was called in the step; return the tensor/)
  assert.equal(told, [])
})

test.run()
