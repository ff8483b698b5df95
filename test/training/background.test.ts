// A training beside a page: the losses of a plain loop, an end at any time, and words for what is
// wrong.

import * as assert from 'uvu/assert'
import type { Tensor } from '../../kernels/op.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { DeviceLostError } from '../../engine/errors.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { Adam } from '../../engine/optim/optimizer.ts'
import { trainInBackground } from '../../training/background.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses, refusesAsync } from '../fixtures/refusal.ts'

const test = gpuSuite('training in the background')

const batchesOf = (count: number) => Array.from({ length: count }, (_, t) => [1 + t, 2, 3 - t])

/** A training of three weights. */
function learner(gpu: Gpu) {
  const w = gpu.variable([0.5, -1, 2])
  const optimizer = new Adam({ w })
  const captured = gpu.capture((x: Tensor) => {
    const y = mul(mul(x, w), w)
    const loss = sum(mul(y, y))
    optimizer.step(gpu.backward(loss), () => 0.1)
    return loss
  })
  const step = (batch: readonly number[]) => captured.run({ values: batch, shape: [3] })
  return { step, w, optimizer }
}

async function take(losses: AsyncIterable<number>, most = Infinity): Promise<number[]> {
  const taken: number[] = []
  for await (const loss of losses) if (taken.push(loss) >= most) break
  return taken
}

test('yields the losses of a plain loop, with any budget and any number of steps ahead', async ({
  gpu: { device },
}) => {
  const gpu = new Gpu(device)
  const plain: number[] = []
  const one = learner(gpu)
  for (const batch of batchesOf(6)) plain.push(await gpu.item(one.step(batch)))
  for (const options of [{}, { budget: 1e-6 }, { budget: null, ahead: 1 }, { ahead: 9 }]) {
    const { step } = learner(gpu)
    assert.equal(await take(trainInBackground(gpu, step, batchesOf(6), options)), plain)
    assert.is(gpu.budget, null)
  }
  assert.equal(await take(trainInBackground(gpu, one.step, [])), [])
  gpu.destroy()
})

test('the budget holds while the loop runs, and the steps begun are done when it ends', async ({
  gpu: { device },
}) => {
  const gpu = new Gpu(device, { budget: 3 })
  const { step, optimizer } = learner(gpu)
  for await (const loss of trainInBackground(gpu, step, batchesOf(9), { budget: 1e-6 })) {
    assert.is(gpu.budget, 1e-6)
    assert.ok(Number.isFinite(loss))
    break
  }
  assert.is(gpu.budget, 3)
  assert.is(optimizer.t, 2) // one was ahead
  const { submits } = gpu.stats()
  await gpu.sync()
  assert.is(gpu.stats().submits, submits)
  gpu.destroy()
})

test('of two loops at once the smaller budget holds, and the last gives the budget back', async ({
  gpu: { device },
}) => {
  for (const own of [null, 5]) {
    const gpu = new Gpu(device, { budget: own })
    const seen = new Set<number | null>()
    const loop = async (count: number, budget: number | null) => {
      const { step } = learner(gpu)
      for await (const _ of trainInBackground(gpu, step, batchesOf(count), { budget }))
        seen.add(gpu.budget)
    }
    await Promise.all([loop(3, 2), loop(8, 7), loop(5, null)])
    assert.equal([...seen], [2, 7]) // 7 once the others have ended
    assert.is(gpu.budget, own)
    gpu.destroy()
  }
})

test('a signal ends it with its reason, before it begins and while it waits for a batch', async ({
  gpu,
}) => {
  const { step, optimizer } = learner(gpu)
  const aborted = AbortSignal.abort(new Error('enough'))
  await refusesAsync(
    () => take(trainInBackground(gpu, step, batchesOf(3), { signal: aborted })),
    'enough',
  )
  assert.is(optimizer.t, 0)
  const controller = new AbortController()
  async function* slow() {
    yield* batchesOf(2)
    controller.abort(new Error('enough'))
    await new Promise(() => {})
  }
  await refusesAsync(
    () => take(trainInBackground(gpu, step, slow(), { signal: controller.signal })),
    'enough',
  )
  assert.is(optimizer.t, 2)
  assert.is(gpu.budget, null)
})

test('errors of the step, of the batches and of the device are thrown', async ({ gpu }) => {
  const { step } = learner(gpu)
  const failing = (batch: readonly number[]) => {
    if (batch[0] === 2) throw new RangeError('no such batch')
    return step(batch)
  }
  await refusesAsync(() => take(trainInBackground(gpu, failing, batchesOf(3))), 'no such batch')
  await refusesAsync(
    () => take(trainInBackground(gpu, () => undefined as never, batchesOf(3))),
    'trainInBackground: what step returns must be a tensor, got undefined',
  )
  await refusesAsync(
    () => take(trainInBackground(gpu, () => gpu.tensor([], [0]), batchesOf(3))),
    'trainInBackground: what step returns must hold a number, such as a loss [], got [0]',
  )
  async function* broken() {
    yield* batchesOf(1)
    throw new RangeError('a broken file')
  }
  await refusesAsync(() => take(trainInBackground(gpu, step, broken())), 'a broken file')
  const guest = new Gpu(gpu.device)
  const lost = async () => {
    let t = 0
    const { step: own } = learner(guest)
    for await (const _ of trainInBackground(guest, own, batchesOf(9)))
      if (++t === 2) guest.destroy()
  }
  assert.instance(await lost().catch((error: unknown) => error), DeviceLostError)
  assert.is(gpu.budget, null)
})

test('wrong arguments are refused in words, at the call', ({ gpu }) => {
  const { step } = learner(gpu)
  const start = trainInBackground as (...args: readonly unknown[]) => unknown
  refuses(
    () => start({ step }, [], {}),
    'trainInBackground: gpu must be a Gpu, as openGpu() resolves to, got an object with step',
  )
  refuses(
    () => start(gpu, { step }, []),
    'trainInBackground: step must be a function, as learner.step is, got an object with step',
  )
  refuses(
    () => start(gpu, step, 5),
    'trainInBackground: batches must be an iterable of batches, such as batches(set, { batch, seed, epoch }), got 5',
  )
  refuses(
    () => start(gpu, step, [], { budget: -1 }),
    'trainInBackground: budget must be a finite number of milliseconds above 0, or null, got -1',
  )
  refuses(
    () => start(gpu, step, [], { ahead: 0 }),
    'trainInBackground: ahead must be a whole number from 1 on, got 0',
  )
  refuses(
    () => start(gpu, step, [], { frames: 8 }),
    "trainInBackground: there is no option 'frames'; its options are signal, budget, ahead",
  )
})

test.run()
