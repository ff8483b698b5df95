// Tests how long a Gpu, its buffers and its device live, however they end.

import * as assert from 'uvu/assert'
import { type Tensor, kernel } from '../../kernels/op.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { DeviceLostError } from '../../engine/errors.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { instanceFor, openGpu } from '../../engine/node.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { collectUntil } from '../fixtures/garbage.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('lifetime')

const double = kernel`
  struct Params { scale: f32 }
  @group(0) @binding(0) var<storage, read_write> x: array<f32>;
  @group(0) @binding(1) var<uniform>             p: Params;
  @compute @workgroup_size(1)
  fn double() { x[0] *= p.scale; }
`

/** How many Gpus are collected of `rounds` that `make` makes, one after the other. */
async function collected(rounds: number, make: () => Promise<Gpu>): Promise<number> {
  let count = 0
  const registry = new FinalizationRegistry(() => count++)
  const once = async () => registry.register(await make(), null)
  for (let i = 0; i < rounds; i++) await once()
  await collectUntil(() => count === rounds)
  return count
}

/** Does some of everything that a Gpu may be used for. */
async function use(gpu: Gpu): Promise<Gpu> {
  const w = gpu.variable([1, -1], [2])
  const captured = gpu.capture(() => relu(w))
  for (let i = 0; i < 3; i++) assert.equal([...(await gpu.read(captured.run()))], [1, 0])
  await gpu.read(gpu.backward(add(w, gpu.tensor([1, 2], [2]))).of(w) ?? w)
  return gpu
}

async function destroyed(gpu: Gpu): Promise<Gpu> {
  gpu.destroy()
  gpu.destroy() // once more does nothing
  return gpu
}

test('Gpus on one device are collected, destroyed or dropped', async ({ gpu }) => {
  assert.is(await collected(30, async () => destroyed(await use(new Gpu(gpu.device)))), 30)
  assert.is(await collected(30, () => use(new Gpu(gpu.device))), 30)
})

test('Gpus that were opened are collected, destroyed or dropped', async () => {
  assert.is(await collected(4, async () => destroyed(await use(await openGpu()))), 4)
  assert.is(await collected(4, async () => use(await openGpu())), 4)
})

test('a Gpu that was opened and dropped takes its device along', async () => {
  const open = async () => (await use(await openGpu())).device
  const device = await open()
  let reason = ''
  void device.lost.then((info) => (reason = info.reason))
  await collectUntil(() => reason !== '')
  assert.is(reason, 'destroyed')
})

test('every buffer is destroyed with its Gpu, also one that is being read', async ({ gpu }) => {
  const { device } = gpu
  const createBuffer = device.createBuffer.bind(device)
  const [made, gone] = [new Set<GPUBuffer>(), new Set<GPUBuffer>()]
  device.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor)
    const destroy = buffer.destroy.bind(buffer)
    buffer.destroy = () => {
      gone.add(buffer)
      return destroy()
    }
    made.add(buffer)
    return buffer
  }
  try {
    const guest = await use(new Gpu(device))
    const reading = guest.read(guest.tensor([1, 2], [2])).catch((error: unknown) => error)
    guest.destroy()
    assert.instance(await reading, DeviceLostError)
    assert.is(guest.stats().bytes, 0)
  } finally {
    device.createBuffer = createBuffer
  }
  assert.ok(made.size > 5, `${made.size}`)
  assert.is([...made].filter((buffer) => !gone.has(buffer)).length, 0)
})

test('a lost device tells every Gpu on it, and those made later', async () => {
  const { device } = await openGpu()
  const guests = [new Gpu(device), new Gpu(device)]
  const ended = new Gpu(device)
  ended.destroy()
  device.destroy()
  await device.lost
  const late = new Gpu(device)
  await device.lost
  for (const guest of [...guests, late])
    assert.throws(
      () => guest.variable([1], [1]),
      (error: unknown) =>
        error instanceof DeviceLostError &&
        /the GPU device was lost \(destroyed\)/.test(error.message),
    )
  assert.throws(() => ended.variable([1], [1]), /this Gpu was destroyed/)
})

test('a Gpu in a block that says using is destroyed at its end', ({ gpu: { device } }) => {
  const open = () => {
    using guest = new Gpu(device)
    assert.is(guest.stats().dispatches, 0)
    return guest
  }
  assert.throws(() => open().variable([1], [1]), /^this Gpu was destroyed$/)
})

test('after destroy every call throws DeviceLostError, and makes no buffer', async ({
  gpu: { device },
}) => {
  const gpu = new Gpu(device)
  const [x, v] = [gpu.tensor([1, 2]), gpu.variable([1, 2])]
  const y = mul(v, x)
  const step = gpu.capture((a: Tensor) => mul(a, 2))
  gpu.destroy()
  const { buffers } = gpu.stats()
  const calls: Readonly<Record<string, () => unknown>> = {
    tensor: () => gpu.tensor([1]),
    variable: () => gpu.variable([1]),
    write: () => gpu.write(v, [3, 4]),
    read: () => gpu.read(x),
    item: () => gpu.item(x),
    sync: () => gpu.sync(),
    check: () => gpu.check(),
    pace: () => gpu.pace(),
    step: () => gpu.step(() => {}),
    fold: () => gpu.fold([1], [x], (carry) => carry),
    capture: () => gpu.capture(() => x),
    'captured.run': () => step.run({ values: [1, 2] }),
    everyStep: () => gpu.everyStep(() => {}),
    keepEager: () => gpu.keepEager('why'),
    noGrad: () => gpu.noGrad(() => 1),
    leaf: () => gpu.leaf(x),
    backward: () => gpu.backward(y),
    pullback: () => gpu.pullback([[y, x]]),
    apply: () => mul(x, x),
    flatten: () => gpu.flatten([v]),
    isWithin: () => gpu.isWithin(v, v),
    free: () => gpu.free(v),
    tune: () => gpu.tuner.tune(() => {}),
    'run.tensor': () => gpu.run.tensor([1]),
    Sgd: () => new Sgd({ v }),
  }
  for (const [name, act] of Object.entries(calls)) {
    const call = async () => act()
    const told = await call().catch((error: unknown) => error)
    assert.instance(told, DeviceLostError, name)
    assert.is(told instanceof Error && told.message, 'this Gpu was destroyed', name)
  }
  assert.is(gpu.stats().buffers, buffers)
})

test('destroy within a step, replayed or not, leaves no error to the app', async ({
  gpu: { device },
}) => {
  const errors: string[] = []
  const note = ({ error }: GPUUncapturedErrorEvent) => void errors.push(error.message)
  device.addEventListener('uncapturederror', note)
  for (const last of [0, 1, 2, 5]) {
    const gpu = new Gpu(device)
    let calls = 0
    const scale = () => {
      if (calls >= last) gpu.destroy()
      return 2
    }
    const v = gpu.variable([1, 2])
    const captured = gpu.capture(() => {
      gpu.run(double, { updates: [v], params: { scale }, groups: [1] })
    })
    assert.throws(
      () => {
        for (; calls < 10; calls++) captured.run()
      },
      (error: unknown) => error instanceof DeviceLostError,
    )
    assert.is(calls, last)
  }
  const eager = new Gpu(device)
  const v = eager.variable([1, 2])
  const scale = () => {
    eager.destroy()
    return 2
  }
  assert.throws(
    () => eager.step(() => eager.run(double, { updates: [v], params: { scale }, groups: [1] })),
    (error: unknown) => error instanceof DeviceLostError,
  )
  await device.queue.onSubmittedWorkDone()
  await new Promise((resolve) => setTimeout(resolve, 10))
  device.removeEventListener('uncapturederror', note)
  assert.equal(errors, [])
})

test('Dawn is made once for the same flags', () => {
  let made = 0
  const create = () => ({ made: made++ }) as unknown as GPU // nothing is asked of it
  const [a, b] = [['lifetime-a'], ['lifetime-a', 'lifetime-b']]
  assert.is(instanceFor(create, a), instanceFor(create, a))
  assert.is(instanceFor(create, b), instanceFor(create, [...b]))
  assert.is.not(instanceFor(create, a), instanceFor(create, b))
  assert.is(made, 2)
})

test.run()
