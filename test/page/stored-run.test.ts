// Trainings in headless Chromium: kept in the page's own storage, over a reload and a lost device.

import * as assert from 'uvu/assert'
import type * as kindred from '../../index.ts'
import { packRun } from '../../training/pack.ts'
import { unpackRun } from '../../training/unpack.ts'
import { bundled } from '../fixtures/browser.ts'
import { keptRun } from '../fixtures/kept-run.ts'
import { type Opened, pageSuite } from '../fixtures/page-suite.ts'
import { bitsOf } from '../fixtures/stored-bits.ts'

const test = pageSuite('runs in a page')

/** What pages import: the library, and a training that is small enough for a software adapter. */
const program = `
  import { train, configOf, MemoryStorage } from './dist/index.js'
  export * from './dist/index.js'

  const read = (indices, out) => {
    for (let i = 0; i < out.length; i++) out[i] = (i * (7 + indices[0]) + (i >> 5)) % 256
    return Promise.resolve()
  }
  const half = (size) => ({
    ...{ name: 'drawn', size, image: { height: 12, width: 12, channels: 3 } },
    ...{ classes: [], labels: null, skipped: [], read },
  })
  export const data = { train: half(8), test: half(0) }
  const made = configOf('simclr', {
    ...{ preset: 'simclr-demo', data: 'folder:photos', size: 12, model: 'resnet8', width: 2 },
    ...{ stem: 'cifar', batch: 4, epochs: 3, knnEvery: 0 },
  })
  export const config = { ...made, views: { crop: { scale: [0.5, 1] }, size: 12 } }

  /** The newest checkpoint and the metrics, for comparisons. */
  export async function stateOf(storage) {
    const { checkpoint } = await storage.latest()
    const tensors = [...checkpoint.tensors].map(([name, { data }]) => [name, [...data].map(String)])
    return JSON.stringify([checkpoint.step, tensors, await storage.metrics()])
  }
`

/** What `program` exports. */
type Page = typeof kindred & {
  readonly data: Parameters<typeof kindred.train>[1]
  readonly config: kindred.TrainConfig
  readonly stateOf: (storage: kindred.TrainingStorage) => Promise<string>
}

let text: Promise<string> | null = null
const files = async () => ({
  '/index.html': '<!doctype html><link rel="icon" href="data:,">',
  '/kindred.js': await (text ??= bundled(program)),
  '/worker.js': `
    import * as library from '/kindred.js'
    onmessage = async ({ data: [code, given] }) => {
      const module = new Blob(['export default ' + code], { type: 'text/javascript' })
      const { default: body } = await import(URL.createObjectURL(module))
      postMessage(await body(library, given).catch((error) => ({ error: String(error) })))
    }`,
})

/** Runs a function in the page, with the library. Its text runs there: it refers to nothing
 *  else. */
const inPage = <Given, T>(
  { page }: Pick<Opened, 'page'>,
  body: (library: Page, given: Given) => Promise<T>,
  given: Given,
): Promise<T> =>
  page.evaluate(
    async ([code, value]) => {
      const from = '/kindred.js'
      const module = new Blob([`export default ${code}`], { type: 'text/javascript' })
      const own = (await import(URL.createObjectURL(module))) as { default: typeof body }
      return own.default((await import(from)) as Page, value as Given)
    },
    [body.toString(), given] as const,
  )

/** What a worker's listeners hear. */
interface Heard<T> {
  readonly data: T
  readonly message: string
}

/** Runs a function in a worker of the page, as `inPage` does. */
const inWorker = <Given, T>(
  { page }: Pick<Opened, 'page'>,
  body: (library: Page, given: Given) => Promise<T>,
  given: Given,
): Promise<T> =>
  page.evaluate(
    (message) =>
      new Promise<T>((resolve, reject) => {
        const made = Reflect.construct(Reflect.get(globalThis, 'Worker') as new () => object, [
          '/worker.js',
          { type: 'module' },
        ])
        const worker = made as {
          addEventListener(kind: 'message' | 'error', heard: (event: Heard<T>) => void): void
          postMessage(message: unknown): void
        }
        worker.addEventListener('message', ({ data }) => {
          resolve(data)
        })
        worker.addEventListener('error', ({ message: why }) => {
          reject(new Error(why))
        })
        worker.postMessage(message)
      }),
    [body.toString(), given] as const,
  )

/** Trains without a stop, then the first epoch of another run, on one device. */
async function begin({ Gpu, MemoryStorage, config, data, stateOf, storedRun, train }: Page) {
  const adapter = await navigator.gpu.requestAdapter()
  const device = await adapter?.requestDevice()
  if (!device) throw new Error('there is no device')
  const whole = new MemoryStorage(config)
  await train(() => new Gpu(device), data, whole)
  const cut = await storedRun('photos', config)
  const stop = new AbortController()
  const onEvent = ({ event }: kindred.TrainingEvent) => {
    if (event === 'step') stop.abort()
  }
  const { step } = await train(() => new Gpu(device), data, cut, { onEvent, signal: stop.signal })
  return { state: await stateOf(whole), step }
}

/** Goes on with the run, and loses the device in the next epoch. */
async function goOn({ data, openGpu, packRun: pack, stateOf, storedRun, train }: Page) {
  const run = await storedRun('photos')
  const devices: GPUDevice[] = []
  const notes: string[] = []
  const open = async () => {
    const gpu = await openGpu()
    devices.push(gpu.device)
    return gpu
  }
  const outcome = await train(open, data, run, {
    onEvent: (event) => {
      if (event.event === 'note') notes.push(event.text)
      if (event.event === 'step' && devices.length === 1) devices[0]?.destroy()
    },
  })
  const bytes = new Uint8Array(await (await pack(run)).arrayBuffer())
  return { outcome, notes, devices: devices.length, state: await stateOf(run), bytes: [...bytes] }
}

test('a run goes on after a reload and after a lost device, with equal bits', async ({ open }) => {
  const opened = await open('dist', await files())
  const { state, step } = await inPage(opened, begin, null)
  assert.is(step, 2)
  await opened.page.reload() // the run was not closed: its lock ends with the page
  const found = await inPage(opened, goOn, null)
  assert.equal([found.outcome.finished, found.devices], [true, 2])
  assert.is(found.state, state)
  assert.match(found.notes.join('\n'), /'photos': going on from step 2 of 6\n/)
  assert.match(
    found.notes.join('\n'),
    /'photos': the GPU device was lost .*; going on from the last checkpoint with a new one\n/,
  )
  const inNode = await unpackRun(Uint8Array.from(found.bytes))
  assert.is(inNode.newest?.step, 6)
  assert.equal(opened.complaints, [])
})

/** Stores a packed run, and tells what a second tab and a full storage say. */
async function carry(
  { config, packRun: pack, removeRun, storeRun, storedRun, storedRuns, unpackRun: unpack }: Page,
  { bytes, place }: { bytes: number[]; place: 'opfs' | 'indexed-db' },
) {
  const wrong = (error: unknown) => (error instanceof Error ? error.message : String(error))
  const file = new File([Uint8Array.from(bytes)], 'server.zip')
  const stored = await storeRun('server', await unpack(file), { place })
  const inUse = await storedRun('server', undefined, { place }).then(() => 'opened', wrong)
  const listed = await storedRuns({ place })
  const packed = new Uint8Array(await (await pack(stored)).arrayBuffer())
  await stored.close()
  const empty = await storedRun('begun', config, { place })
  await empty.close()
  const refused = await unpack(new File([], 'nothing.zip')).then(() => 'read', wrong)
  await removeRun('server', { place })
  const left = (await storedRuns({ place })).map(({ name }) => name)
  return { inUse, listed, packed: [...packed], refused, left }
}

const kept = [
  { place: 'opfs', where: 'a window', go: inPage },
  { place: 'opfs', where: 'a worker', go: inWorker },
  { place: 'indexed-db', where: 'a window', go: inPage },
] as const
for (const { place, where, go } of kept)
  test(`a run from Node is kept in ${place} by ${where}, byte for byte`, async ({ open }) => {
    const opened = await open('dist', await files())
    const from = await keptRun([3, 6], 3)
    const bytes = [...new Uint8Array(await (await packRun(from)).arrayBuffer())]
    const found = await go(opened, carry, { bytes, place })
    const back = await unpackRun(Uint8Array.from(found.packed))
    assert.equal(await bitsOf(back), await bitsOf(from))
    assert.equal(await back.metrics(), await from.metrics())
    assert.equal(back.best?.tensors, from.best?.tensors)
    assert.match(found.inUse, /^the run 'server' is in use, by another tab/)
    assert.equal(
      found.listed.map(({ name, method, step, inUse }) => ({ name, method, step, inUse })),
      [{ name: 'server', method: 'simclr', step: 6, inUse: true }],
    )
    assert.is(found.refused, 'nothing.zip: it is empty, 0 bytes; pack the run again')
    assert.equal(found.left, ['begun'])
    assert.equal(opened.complaints, [])
  })

/** Stores a checkpoint that is larger than the room that is left. */
async function overflow({ MemoryStorage, config, storeRun, storedRun }: Page) {
  const wrong = (error: unknown) => (error instanceof Error ? error.message : String(error))
  const small = new MemoryStorage(config)
  const tensors = (length: number) =>
    new Map([['w', { shape: [length], data: new Float32Array(length) }]])
  await small.saveCheckpoint(1, tensors(1), {})
  const run = await storeRun('full', small)
  const failed = await run.saveCheckpoint(2, tensors(4e6), {}).then(() => 'saved', wrong)
  await run.close()
  const again = await storedRun('full')
  const { checkpoint, damaged } = await again.latest()
  return { failed, step: checkpoint?.step ?? null, damaged }
}

test('a page whose room is used up says so, and keeps what it had', async ({ open }) => {
  const opened = await open('dist', await files())
  const session = await opened.page.context().newCDPSession(opened.page)
  const quota = { origin: opened.site.url, quotaSize: 2e6 }
  await session.send('Storage.overrideQuotaForOrigin', quota)
  const found = await inPage(opened, overflow, null)
  assert.match(
    found.failed,
    /^the run 'full': step-00000002\.safetensors was not stored: this page may store no more \(needs 17 MB, and uses .* of .*\); what was stored before is intact/,
  )
  assert.equal([found.step, found.damaged], [1, []])
})

test.run()
