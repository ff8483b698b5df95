// Tests when variables release their memory: by gpu.free, or by the garbage collector.

import * as assert from 'uvu/assert'
import type { Tensor } from '../../kernels/op.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { reshape } from '../../kernels/shape/reshape.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { Gradients } from '../../engine/optim/gradients.ts'
import { LossScaler } from '../../engine/optim/loss-scaler.ts'
import { MovingAverage } from '../../engine/optim/moving-average.ts'
import { Adam, Lars, Sgd } from '../../engine/optim/optimizer.ts'
import { Builder } from '../../models/builder.ts'
import { KeyQueue } from '../../models/key-queue.ts'
import { MemoryBank } from '../../models/memory-bank.ts'
import { collectUntil } from '../fixtures/garbage.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('free')

const numbers = async (gpu: Gpu, t: Tensor) => [...(await gpu.read(t))]
const GONE = 'was used after gpu.free gave its memory back'

/** Two layers of `width`, with the batch-norm statistics of one. */
function network(gpu: Gpu, width = 32) {
  const build = new Builder(gpu, 0)
  const first = build.linear('first', [width, width], { bias: false })
  const norm = build.norm('norm', width)
  const forward = (x: Tensor) => sum(norm(first(x, { training: true }), { training: true }))
  return { parameters: build.parameters, norms: build.norms, forward }
}

/** A step of a network, captured, whose body holds what it uses. */
function training(gpu: Gpu, width = 32) {
  const { forward, parameters } = network(gpu, width)
  const optimizer = new Adam(parameters)
  const x = { values: new Float32Array(4 * width).fill(0.5), shape: [4, width] }
  const captured = gpu.capture((images: Tensor) => {
    const loss = forward(images)
    optimizer.step(gpu.backward(loss), () => 0.01)
    return loss
  })
  return { step: () => captured.run(x), parameters, optimizer, captured }
}

test('freeing gives back every byte, whatever made the variables', ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  const kinds: Record<string, () => object[]> = {
    'a variable': () => [gpu.variable([1, 2], [2])],
    'an array': () => [[gpu.variable([1, 2], [2]), gpu.variable([1], [])]],
    'a model': () => [network(gpu)],
    'a tensor': () => [gpu.tensor([1, 2], [2])],
    'a queue and a bank': () => [
      new KeyQueue(gpu, { K: 8, C: 4 }),
      new MemoryBank(gpu, { n: 8, C: 4 }),
    ],
    'a loss scaler': () => [new LossScaler(gpu)],
  }
  for (const [what, Optimizer] of Object.entries({ Sgd, Adam, Lars }))
    kinds[`a model and its ${what}`] = () => {
      const model = network(gpu)
      return [model, new Optimizer(model.parameters)]
    }
  kinds['a model, its average and two optimizers, one after the other'] = () => {
    const [online, target] = [network(gpu), network(gpu)]
    const before = new Sgd(online.parameters)
    const optimizer = new Adam(online.parameters)
    return [
      before,
      { optimizer, average: new MovingAverage(optimizer, target.parameters), online, target },
    ]
  }
  for (const [what, make] of Object.entries(kinds)) {
    const { bytes } = gpu.stats()
    const made = make()
    assert.ok(gpu.stats().bytes > bytes, what)
    gpu.free(...made)
    gpu.free(...made) // once more does nothing
    for (let i = 0; i < 70; i++) gpu.step(() => {}) // what making them took from the pool
    assert.is(gpu.stats().bytes, bytes, what)
  }
  gpu.destroy()
})

test('what was freed is refused in words', async ({ gpu }) => {
  const [w, x] = [gpu.variable([1, 2], [2]), gpu.variable([3, 4], [2])]
  const captured = gpu.capture(() => mul(w, x))
  for (let i = 0; i < 3; i++) captured.run()
  const y = mul(w, x)
  gpu.free(w)
  refuses(() => relu(w), `a variable [2] ${GONE}`)
  refuses(() => gpu.write(w, [1, 2]), `a variable [2] ${GONE}`)
  refuses(() => new Sgd({ x, w }), `a variable [2] ${GONE}`)
  refuses(() => captured.run(), `a variable [2] ${GONE}`)
  refuses(() => gpu.backward(y), `a variable [2] ${GONE}`)
  const told = await gpu.read(w).catch((error: Error) => error.message)
  assert.is(told, `a variable [2] ${GONE}`)
  assert.equal(await numbers(gpu, x), [3, 4])
  const optimizer = new Sgd({ x })
  gpu.free(optimizer)
  refuses(() => optimizer.step(new Gradients([[x, x]]), 0.1), `a variable [64] ${GONE}`)
  assert.equal(await numbers(gpu, add(x, 1)), [4, 5]) // lies in what was the optimizer's
})

test('what cannot be freed is told, and nothing is', async ({ gpu }) => {
  const w = gpu.variable([1, 2], [2])
  const other = new Gpu(gpu.device)
  const theirs = other.variable([1], [1])
  refuses(
    () => gpu.step(() => gpu.free(w)),
    'Gpu.free: nothing can be freed within a step; free it after',
  )
  refuses(() => gpu.free(w, theirs), 'a tensor [1] belongs to another Gpu')
  refuses(
    () => gpu.free(w, { a: 1 }),
    'Gpu.free: argument 1 holds no tensors, got an object with a; give variables, models or optimizers',
  )
  refuses(
    () => gpu.free(gpu),
    'Gpu.free: argument 0 holds no tensors, got a Gpu; give variables, models or optimizers',
  )
  assert.equal(await numbers(gpu, w), [1, 2])
  other.destroy()
})

test('of variables in one buffer, those that remain keep their values', async ({
  gpu: { device },
}) => {
  const gpu = new Gpu(device)
  const [a, b] = [gpu.variable([1, 2], [2]), gpu.variable([3, 4], [2])]
  const { flat } = gpu.flatten([a, b])
  const { bytes } = gpu.stats()
  gpu.free(a, flat)
  assert.is(gpu.stats().bytes, bytes)
  assert.equal(await numbers(gpu, b), [3, 4])
  gpu.free(b)
  assert.is(gpu.stats().bytes, bytes - 512)
  gpu.destroy()
})

test('a returned input may be freed: the captured step makes another', async ({ gpu }) => {
  const captured = gpu.capture((x: Tensor) => [x, add(x, 1)])
  for (let i = 0; i < 6; i++) {
    const returned = captured.run({ values: [i], shape: [1] })
    assert.equal(await Promise.all(returned.map((t) => numbers(gpu, t))), [[i], [i + 1]])
    if (i === 3) gpu.free(returned)
  }
})

test('a captured step is freed with what holds it', ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  const { bytes } = gpu.stats()
  const run = training(gpu)
  for (let i = 0; i < 4; i++) run.step()
  gpu.free(run, gpu.variable([1], []))
  for (let i = 0; i < 70; i++) gpu.step(() => {})
  const left = gpu.stats().bytes - bytes
  assert.ok(left <= 2048, `${left}`) // statistics that only the forward knows, and one small block for traces
  gpu.destroy()
})

/** Bytes after each of some rounds, each of which ends when the last one's garbage was found. */
async function bytesOf(gpu: Gpu, rounds: number, round: (i: number) => void): Promise<number[]> {
  const bytes: number[] = []
  for (let i = 0; i < rounds; i++) {
    round(i)
    await collectUntil(
      () => {
        for (let tick = 0; tick < 10; tick++) gpu.step(() => {})
        return gpu.stats().bytes <= (bytes[0] ?? 0)
      },
      i === 0 ? 5 : 50,
    )
    bytes.push(gpu.stats().bytes)
  }
  return bytes
}

test('a sweep over models that nobody holds does not grow', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  const bytes = await bytesOf(gpu, 3, () => {
    const { step } = training(gpu)
    for (let i = 0; i < 4; i++) step()
  })
  assert.ok(Math.max(...bytes) <= (bytes[0] ?? 0), bytes.join())
  const mixed = await bytesOf(gpu, 3, (i) => void training(gpu, 16 + 16 * i).step())
  assert.ok(Math.max(...mixed) <= (mixed[0] ?? 0), mixed.join())
  gpu.destroy()
})

test('the garbage collector is told what tensors weigh that only it can find', async ({ gpu }) => {
  const told = () => process.memoryUsage().arrayBuffers
  const values = new Float32Array(1 << 20)
  await collectUntil(() => false, 3)
  const before = told()
  const x = gpu.tensor(values, [1 << 20])
  const w = gpu.variable(values, [1 << 20])
  assert.ok(told() >= before + (values.byteLength * 2) / 16, `${told() - before}`)
  const y = gpu.step(() => relu(relu(relu(x)))) // what dies with it is not told
  assert.ok(told() < before + (values.byteLength * 4) / 16, `${told() - before}`)
  gpu.free(x, w, y)
  const slack = 1 << 16 // whatever else JavaScript does
  await collectUntil(() => told() <= before + slack)
  assert.ok(told() <= before + slack, `${told() - before}`)
})

test('a variable lives on in its views, its gradients, and what it was moved into', async ({
  gpu,
}) => {
  const x = gpu.tensor([1, 2], [2])
  const make = (): [view: Tensor, product: Tensor, optimizer: Sgd] => {
    const [v, w, u] = [
      gpu.variable([3, 4], [2]),
      gpu.variable([5, 6], [2]),
      gpu.variable([7, 8], [2]),
    ]
    return [reshape(v, [2, 1]), mul(w, x), new Sgd({ u })]
  }
  const [view, product, { weights }] = make()
  await collectUntil(() => false, 3)
  for (let i = 0; i < 20; i++) gpu.variable([9, 9], [2])
  assert.equal(await numbers(gpu, view), [3, 4])
  assert.equal(await numbers(gpu, gpu.backward(product).of(x) ?? x), [5, 6])
  assert.equal((await numbers(gpu, weights)).slice(0, 2), [7, 8])
})

test('a model outlives its optimizer, and goes to another', async ({ gpu }) => {
  const w = gpu.variable([1, 2], [2])
  const adam = () => new Adam({ w }).t
  assert.is(adam(), 0)
  await collectUntil(() => false, 3)
  for (let i = 0; i < 20; i++) gpu.variable(new Float32Array(64).fill(9), [64])
  const optimizer = new Sgd({ w })
  optimizer.step(new Gradients([[w, gpu.tensor([1, 1], [2])]]), 1)
  assert.equal(await numbers(gpu, w), [0, 1])
})

test('what the garbage collector finds, and when, does not change which buffers a step gets', async ({
  gpu: { device },
}) => {
  const gpu = new Gpu(device)
  let found = 0
  const registry = new FinalizationRegistry(() => found++)
  const make = (_: unknown, i: number) => {
    const variable = gpu.variable([i, i, i], [3])
    registry.register(variable, null)
    return variable
  }
  const dropped = Array.from({ length: 10 }, make)
  const w = gpu.variable([1, 2, 3], [3])
  const step = () => gpu.step(() => relu(add(mul(w, w), 1)))
  for (let i = 0; i < 4; i++) step()
  dropped.length = 0
  await collectUntil(() => found === 10)
  assert.is(found, 10)
  await new Promise((resolve) => setTimeout(resolve, 5)) // a round in which the engine's finalizers run
  const before = gpu.stats()
  for (let i = 0; i < 100; i++) step()
  const after = gpu.stats()
  assert.is(after.bindGroups, before.bindGroups)
  assert.is(after.buffers, before.buffers)
  assert.is(after.bytes, before.bytes - 10 * 256) // and what no step wants is destroyed
  gpu.destroy()
})

test.run()
