// A training whose device is lost goes on with another one, to the same bits.

import * as assert from 'uvu/assert'
import { procedural } from '../../data/procedural.ts'
import { DeviceLostError } from '../../engine/errors.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { openGpu } from '../../engine/node.ts'
import { configOf } from '../../training/config.ts'
import { onDevices } from '../../training/devices.ts'
import { MemoryStorage } from '../../training/memory-storage.ts'
import type { TrainingEvent } from '../../training/progress.ts'
import { train } from '../../training/train.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refusesAsync } from '../fixtures/refusal.ts'
import { bitsOf } from '../fixtures/stored-bits.ts'

const test = gpuSuite('lost devices')
const data = procedural({ train: 48, test: 20 })
const config = configOf('simclr', {
  ...{ data: 'procedural:48,20', preset: 'simclr-demo', model: 'resnet8', stem: 'imagenet' },
  ...{ width: 2, batch: 16, epochs: 3, knnEvery: 2 },
})

/** Trains on devices of which each is destroyed after its step, and returns what was told. */
async function trainLosing(storage: MemoryStorage, losses: readonly number[]) {
  const opened: Gpu[] = []
  const events: TrainingEvent[] = []
  const open = async () => {
    const gpu = await openGpu()
    opened.push(gpu)
    return gpu
  }
  const outcome = await train(open, data, storage, {
    onEvent: (event) => {
      events.push(event)
      const at = losses[opened.length - 1]
      if (event.event === 'step' && event.step === at) opened.at(-1)?.device.destroy()
    },
  })
  const notes = events.flatMap((event) => (event.event === 'note' ? [event] : []))
  const starts = events.filter(({ event }) => event === 'start').length
  return { outcome, opened, notes, starts }
}

test('goes on from the last checkpoint, to the bits of a training without a loss', async ({
  gpu,
}) => {
  const whole = new MemoryStorage(config)
  const expected = await train(gpu, data, whole)
  const storage = new MemoryStorage(config)
  // before the first checkpoint of an epoch, and in the middle of the second
  const { outcome, opened, notes, starts } = await trainLosing(storage, [2, 5])
  assert.equal([outcome, opened.length, starts], [expected, 3, 1])
  assert.equal(await storage.metrics(), await whole.metrics())
  assert.equal(await bitsOf(storage), await bitsOf(whole))
  const lost = notes.filter(({ data: of }) => 'lost' in of)
  assert.is(lost.length, 2)
  assert.match(
    lost[1]?.text ?? '',
    /^the training: the GPU device was lost .*; going on from the last checkpoint with a new one$/,
  )
  assert.ok(notes.some(({ text }) => text === 'the training: going on from step 3 of 9'))
  assert.throws(() => opened.at(-1)?.tensor([1]), /destroyed/, 'train destroys what it opens')
})

test('a loss without a function that opens a Gpu is thrown, with the checkpoint intact', async () => {
  const gpu = await openGpu()
  const storage = new MemoryStorage(config)
  const onEvent = (event: TrainingEvent) =>
    event.event === 'step' && event.step === 4 && gpu.device.destroy()
  const thrown: unknown = await train(gpu, data, storage, { onEvent }).catch((e: unknown) => e)
  assert.instance(thrown, DeviceLostError)
  assert.is(storage.newest?.step, 3)
  gpu.destroy()
})

const parts = { variable: null, run: null, device: null } // by which a Gpu is known
const notStopped = (): never => {
  throw new Error('was not stopped')
}

test('gives up after three devices without a checkpoint between, and where none opens', async () => {
  const destroyed: string[] = []
  const fake = (name: string) =>
    ({
      ...parts,
      check: () => Promise.reject(new DeviceLostError(`${name} is gone`)),
      destroy: () => void destroyed.push(name),
    }) as unknown as Gpu // all that onDevices uses
  let made = 0
  let saved = 0
  const notes: string[] = []
  const on = {
    name: 'the run',
    open: () => fake(`device ${++made}`),
    work: () => {
      if (made === 2) saved = 5 // so that the count begins anew
      return Promise.reject(new TypeError('a consequence'))
    },
    saved: () => saved,
    note: (line: string) => void notes.push(line),
    stopped: notStopped,
  }
  await refusesAsync(
    () => onDevices(on),
    'the run: 3 devices in a row were lost before its next checkpoint, the last with: device 4 is gone; save more often (checkpointEvery), or take a smaller batch',
  )
  assert.equal(destroyed, ['device 1', 'device 2', 'device 3', 'device 4'])
  assert.is(notes.length, 3)
  const none = () => Promise.reject(new Error('no adapter'))
  await refusesAsync(() => onDevices({ ...on, open: none }), 'no adapter')
  let attempts = 0
  const once = () => (attempts++ === 0 ? fake('the only device') : none())
  await refusesAsync(
    () => onDevices({ ...on, open: once, pauses: [0, 1, 1] }),
    'the run: its device was lost, and no other could be opened: no adapter; its last checkpoint is intact, train again to go on from there',
  )
  assert.is(attempts, 4)
})

test('an error that no device caused is thrown as it is', async ({ gpu }) => {
  const destroy = () => {
    throw new Error('a consequence')
  }
  const checked = { ...parts, check: () => gpu.check(), destroy } as unknown as Gpu // all it uses
  await refusesAsync(
    () =>
      onDevices({
        name: 'the run',
        open: () => checked,
        work: () => Promise.reject(new Error('a wrong setting')),
        saved: () => 0,
        note: () => {},
        stopped: notStopped,
      }),
    'a wrong setting',
  )
  await refusesAsync(
    () => train('gpu' as never, data, new MemoryStorage(config)),
    "train: gpu must be a Gpu, as openGpu() resolves to, or a function that opens one, such as openGpu, got 'gpu'",
  )
})

test('what a function gives instead of a Gpu is refused', async () => {
  for (const [given, got] of [
    [{}, 'an empty object'],
    [null, 'null'],
  ] as const)
    await refusesAsync(
      () => train(() => given as never, data, new MemoryStorage(config)),
      `the training: what the function that opens a Gpu returns must be a Gpu, as openGpu() resolves to, got ${got}`,
    )
})

/** Aborts a training after step 4, when its device is lost and the next is opened by `next`. */
async function abortedReopening(next: () => Promise<Gpu>, storage: MemoryStorage) {
  const stop = new AbortController()
  const gpu = await openGpu()
  let opened = 0
  return train(() => (opened++ === 0 ? gpu : next()), data, storage, {
    signal: stop.signal,
    onEvent: (event) => {
      if (event.event === 'step' && event.step === 4) gpu.device.destroy()
      if (event.event === 'note' && 'lost' in event.data) setTimeout(() => stop.abort(), 20)
    },
  })
}

test('an abort while a device is opened again gives the outcome of the last checkpoint', async () => {
  const late: Gpu[] = []
  let open = () => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  const waiting = async () => {
    await opened
    const gpu = await openGpu()
    late.push(gpu)
    return gpu
  }
  for (const next of [() => Promise.reject(new Error('no adapter')), waiting]) {
    const storage = new MemoryStorage(config)
    const { finished, step, steps, loss } = await abortedReopening(next, storage)
    assert.equal([finished, step, steps], [false, 3, 9])
    const metrics = await storage.metrics()
    assert.equal([metrics.at(-1)?.step, typeof loss], [3, 'number'])
  }
  open()
  while (late.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  await new Promise((resolve) => setTimeout(resolve, 5))
  assert.throws(() => late[0]?.tensor([1]), /destroyed/, 'nobody works on it')
})

test('one storage is trained once at a time', async ({ gpu }) => {
  const storage = new MemoryStorage(config)
  const first = train(gpu, data, storage, { signal: AbortSignal.abort() })
  await refusesAsync(
    () => train(gpu, data, storage),
    'train: the training is being trained already; await that, or take another storage',
  )
  assert.is((await first).step, 0)
  const again = await train(gpu, data, storage, { signal: AbortSignal.abort() })
  assert.is(again.step, 0)
})

test.run()
