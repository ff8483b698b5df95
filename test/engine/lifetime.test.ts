// How long a Gpu, its buffers and its device live, whoever ends them.

import * as assert from 'uvu/assert'
import { add } from '../../kernels/elementwise/add.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { DeviceLostError } from '../../engine/errors.ts'
import { Gpu } from '../../engine/gpu.ts'
import { instanceFor, openGpu } from '../../engine/node.ts'
import { collectUntil } from '../fixtures/garbage.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('lifetime')

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
  await gpu.read(gpu.backward(add(w, gpu.tensor([1, 2], [2]))).get(w) ?? w)
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
        error instanceof DeviceLostError && /the GPU device was lost \(destroyed\)/.test(error.message),
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
