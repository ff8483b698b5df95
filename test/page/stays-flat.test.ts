// What a long training and many Gpus leave behind in a page: nothing.

import * as assert from 'uvu/assert'
import { bundled } from '../fixtures/browser.ts'
import { isFull } from '../fixtures/full.ts'
import { type Opened, pageSuite } from '../fixtures/page-suite.ts'

const test = pageSuite('memory in a page', isFull)

/** What the page counts, and what it does some more of when it is called. */
interface Counted {
  readonly go: (times: number) => Promise<{
    /** Buffers and bind groups made so far, and buffers that are not destroyed. */
    readonly made: readonly [buffers: number, bindGroups: number]
    readonly alive: number
    readonly bytes: number
  }>
}

const program = `
  import { Adam, Builder, Gpu, globalAvgPool, matmul, parametersOf, projectionHead, relu, simclr }
    from './dist/index.js'

  /** A device that counts what is made on it. */
  async function countingDevice() {
    const device = await (await navigator.gpu.requestAdapter()).requestDevice()
    const made = [0, 0]
    let alive = 0
    const { createBuffer, createBindGroup } = device
    device.createBuffer = (descriptor) => {
      const buffer = createBuffer.call(device, descriptor)
      const { destroy } = buffer
      let isDestroyed = false
      buffer.destroy = () => {
        if (!isDestroyed) alive--
        isDestroyed = true
        destroy.call(buffer)
      }
      made[0]++
      alive++
      return buffer
    }
    device.createBindGroup = (descriptor) => {
      made[1]++
      return createBindGroup.call(device, descriptor)
    }
    device.onuncapturederror = ({ error }) => console.error(error.message)
    return { device, counts: (bytes = 0) => ({ made: [...made], alive, bytes }) }
  }

  /** Steps of SimCLR with one convolution. */
  export async function steps() {
    const { device, counts } = await countingDevice()
    const gpu = new Gpu(device)
    const build = new Builder(gpu, 1)
    const conv = build.conv('conv', [3, 4])
    const encoder = {
      ...{ parameters: build.parameters, norms: build.norms, features: 4 },
      forward: (x, mode) => globalAvgPool(relu(conv(x, mode))),
    }
    const head = projectionHead(gpu, { features: 4, hidden: 4, dim: 4 })
    const optimizer = new Adam(parametersOf({ encoder, head }))
    const views = { crop: { scale: [0.5, 1] }, size: 8 }
    const given = { encoder, head, optimizer, schedule: 1e-3, temperature: 0.5, views }
    const { step } = simclr(gpu, { ...given, batchNorm: 'joint' })
    const pixels = Uint8Array.from({ length: 4 * 8 * 8 * 3 }, (_, i) => (7 * i) % 256)
    const go = async (times) => {
      for (let t = 0; t < times; t++) await gpu.item(step({ pixels, shape: [4, 8, 8, 3] }))
      return counts(gpu.stats().bytes)
    }
    return { go }
  }

  /** Gpus on one device, each of which computes, is destroyed, and leaves the device usable. */
  export async function gpus() {
    const { device, counts } = await countingDevice()
    const go = async (times) => {
      for (let t = 0; t < times; t++) {
        const gpu = new Gpu(device)
        const w = gpu.variable([1, 2, 3, 4], [2, 2])
        const [found] = await gpu.read(matmul(w, gpu.tensor([1, 0, 0, 1], [2, 2])))
        if (found !== 1) throw new Error('it computes ' + found)
        gpu.destroy()
      }
      return counts()
    }
    return { go }
  }
`

/** Bytes of the page's heap after a collection. */
async function heapOf({ page }: Opened): Promise<number> {
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable')
  for (let i = 0; i < 3; i++) await session.send('HeapProfiler.collectGarbage')
  const { metrics } = await session.send('Performance.getMetrics')
  await session.detach()
  return metrics.find(({ name }) => name === 'JSHeapUsedSize')?.value ?? NaN
}

/** Goes on with the page's work. */
const go = ({ page }: Opened, times: number) =>
  page.evaluate((n) => (globalThis as unknown as { counted: Counted }).counted.go(n), times)

async function opened(
  open: (...what: [string, Record<string, string>]) => Promise<Opened>,
  what: 'steps' | 'gpus',
): Promise<Opened> {
  const at = await open('dist', {
    '/index.html': '<!doctype html><link rel="icon" href="data:,">',
    '/program.js': await bundled(program),
  })
  await at.page.evaluate(async (name) => {
    const from = '/program.js'
    const own = (await import(from)) as Record<string, () => Promise<Counted>>
    Object.assign(globalThis, { counted: await own[name]?.() })
  }, what)
  return at
}

test('1000 steps make no buffer, no bind group and no byte more', async ({ open }) => {
  const at = await opened(open, 'steps')
  const early = await go(at, 5)
  await go(at, 295) // until the code is compiled
  const heap = await heapOf(at)
  assert.equal(await go(at, 1000), early)
  const grown = (await heapOf(at)) - heap
  assert.ok(grown < 300_000, `the heap grew by ${grown} bytes, 300 or more a step`)
  assert.equal(at.complaints, [])
})

test('a hundred Gpus on one device leave nothing behind', async ({ open }) => {
  const at = await opened(open, 'gpus')
  const early = await go(at, 10)
  assert.is(early.alive, 0)
  const heap = await heapOf(at)
  const late = await go(at, 90)
  assert.is(late.alive, 0)
  assert.equal(
    late.made,
    early.made.map((count) => 10 * count),
  )
  const grown = (await heapOf(at)) - heap
  assert.ok(grown < 200_000, `the heap grew by ${grown} bytes`)
  assert.equal(at.complaints, [])
})

test.run()
