import * as assert from 'uvu/assert'
import { kernel } from '../../kernels/op.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { snapshot } from '../../engine/checkpoint.ts'
import type { Commands } from '../../engine/commands.ts'
import { DeviceLostError, GpuError } from '../../engine/errors.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import type { Storage } from '../../engine/memory.ts'
import { openGpu } from '../../engine/node.ts'
import { Readback } from '../../engine/readback.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('readback')

/** What each promise rejects with; null where it does not. */
const failures = (promises: readonly Promise<unknown>[]) =>
  Promise.all(
    promises.map((one) =>
      one.then(
        () => null,
        (error: unknown) => error,
      ),
    ),
  )

/** Everything that makes a promise of what the GPU does. */
const waits = (gpu: Gpu) => {
  const x = gpu.variable([1])
  return [
    () => gpu.read(add(x, 1)),
    () => gpu.item(x),
    () => gpu.sync(),
    () => gpu.check(),
    () => gpu.pace(0),
    () => gpu.pace(2),
    () => snapshot(gpu, { x }),
    () => gpu.tuner.tune(() => void add(x, 1)),
  ]
}

for (const [name, end] of [
  ['destroy', (gpu: Gpu) => gpu.destroy()],
  ['a lost device', (gpu: Gpu) => gpu.device.destroy()],
] as const) {
  test(`${name}: reads that nobody awaits are no unhandled rejections`, async () => {
    const told: unknown[] = []
    const onRejection = (reason: unknown) => told.push(reason)
    process.on('unhandledRejection', onRejection)
    const gpu = await openGpu()
    for (const wait of waits(gpu)) void wait()
    end(gpu)
    for (const wait of waitsLater(gpu)) void wait()
    await gpu.device.lost
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', onRejection)
    assert.equal(told, [])
    gpu.destroy()
  })

  test(`${name}: who awaits a read is told a DeviceLostError`, async () => {
    const gpu = await openGpu()
    const x = gpu.variable(new Float32Array(1000))
    const begun = [gpu.read(x), gpu.item(gpu.tensor(1))]
    end(gpu)
    const told = await failures(begun)
    await gpu.device.lost
    for (const error of [...told, ...(await failures(waitsLater(gpu).map((wait) => wait())))])
      assert.instance(error, DeviceLostError)
    gpu.destroy()
  })
}

/** What may be called after the end. */
const waitsLater = (gpu: Gpu) => [
  () => gpu.read({ shape: [], dtype: 'f32', gpu }),
  () => gpu.sync(),
  () => gpu.check(),
  () => gpu.pace(),
]

test('a read that is aborted before the loss is known waits for it', async () => {
  let lose = () => {}
  let isLost = false
  const lost = new Promise<void>((resolve) => (lose = resolve)).then(() => (isLost = true))
  const aborted = Object.assign(new Error('the buffer went away'), { name: 'AbortError' })
  const staging = {
    size: 256,
    mapState: 'unmapped',
    mapAsync: () => Promise.reject(aborted),
    destroy() {},
  }
  const commands = {
    device: {
      lost,
      createBuffer: () => staging,
      queue: { onSubmittedWorkDone: () => Promise.reject(aborted) },
    },
    copyOut() {},
    flush() {},
    submissions: { call: (call: () => void) => call() },
  } as unknown as Commands // what reads ask of it
  const checking = () => async () => {
    if (isLost) throw new DeviceLostError('the device was lost')
  }
  const readback = new Readback(commands, () => () => {}, checking)
  const waiting = failures([
    readback.read({ bytes: 4 } as Storage, () => null),
    readback.pace(0),
    readback.explain(aborted),
  ])
  await Promise.resolve()
  lose()
  for (const error of await waiting) assert.instance(error, DeviceLostError)
})

const nothing = kernel`
  @group(0) @binding(0) var<storage, read_write> x: array<f32>;
  @compute @workgroup_size(1)
  fn nothing() { x[0] = 1; }
`

test('an error is told to all reads that were under way', async ({ gpu }) => {
  const guest = new Gpu(gpu.device)
  const [x, y] = [guest.variable([1]), guest.variable([2])]
  guest.run(nothing, { updates: [x], groups: [70000] }) // more than a device allows
  const [one, other] = await failures([guest.read(x), guest.read(y)])
  assert.instance(one, GpuError)
  assert.is(other, one)
  assert.is(await guest.item(y), 2)
  guest.destroy()
})

test('item is the one number of a tensor', async ({ gpu }) => {
  for (const shape of [[], [1], [1, 1]]) assert.is(await gpu.item(gpu.tensor(2.5, shape)), 2.5)
  assert.is(await gpu.item(gpu.tensor(Uint8Array.of(7))), 7)
  const messages = (await failures([
    gpu.item(gpu.tensor([1, 2])),
    gpu.item(gpu.tensor([])),
    gpu.item(5 as never),
    gpu.read(null as never),
  ])) as Error[]
  assert.equal(
    messages.map(({ message }) => message),
    [
      'Gpu.item: the tensor must hold one number, got [2]; read it',
      'Gpu.item: the tensor must hold one number, got [0]; read it',
      'Gpu.item: tensor must be a tensor, got 5; put values on the GPU with gpu.tensor(values, shape)',
      'Gpu.read: tensor must be a tensor, got null',
    ],
  )
})

test('an i32 that would be rounded is refused', async ({ gpu }) => {
  const edge = [2 ** 24, -(2 ** 24), 2 ** 24 + 2, -(2 ** 31), 7]
  assert.equal([...(await gpu.read(gpu.tensor(Int32Array.from(edge))))], edge)
  const told = await gpu
    .read(gpu.tensor(Int32Array.of(5, 2 ** 24 + 1)))
    .catch((error: unknown) => error)
  assert.instance(told, RangeError)
  assert.is(
    told instanceof Error && told.message,
    'Gpu.read: 16777217 at 1 of an i32 tensor would be rounded, since reads give f32, exact up to 2^24; keep indices within that, or save them by saveNpy, which keeps them exactly',
  )
})

test.run()
