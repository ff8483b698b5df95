import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DeviceLostError } from '../../engine/errors.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { openGpu } from '../../engine/node.ts'
import { unitFeatures } from '../../evaluate/unit-features.ts'
import type { Tensor } from '../../kernels/op.ts'
import { log } from '../../kernels/elementwise/log.ts'
import { neg } from '../../kernels/elementwise/neg.ts'
import { resnet8 } from '../../models/resnet.ts'
import { type Embedder, type EmbedderOptions, openEmbedder } from '../../serving/embedder.ts'
import { ClosedError, QueueFullError } from '../../serving/errors.ts'
import { openSearcher } from '../../serving/searcher.ts'
import { nearest } from '../../evaluate/nearest.ts'
import { random } from '../fixtures/check.ts'
import { refusesAsync } from '../fixtures/refusal.ts'

const test = suite('embedder')

const encoder = (gpu: Gpu) => {
  const model = resnet8(gpu, { width: 2 })
  return unitFeatures(model, { normalize: { mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2] } })
}

/** Opens an embedder, and keeps the Gpus that it opens. */
async function opened(options: Partial<EmbedderOptions> = {}) {
  const gpus: Gpu[] = []
  const open = async () => {
    const gpu = await openGpu()
    gpus.push(gpu)
    return gpu
  }
  return { embedder: await openEmbedder({ open, encoder, maxWait: 0, ...options }), gpus }
}

const bytesOf = (n: number, seed: number) =>
  Uint8Array.from(random(n, seed), (v) => Math.floor((v + 1) * 127))

/** The rows of images [N, 6, 8, 3], computed without an embedder. */
async function expected(pixels: Uint8Array, N: number): Promise<Float32Array> {
  const gpu = await openGpu()
  const encode = encoder(gpu)
  const rows = await gpu.read(gpu.noGrad(() => encode(gpu.tensor(pixels, [N, 6, 8, 3]))))
  gpu.destroy()
  return rows
}

const IMAGE = 6 * 8 * 3

function close(got: ArrayLike<number>, wanted: ArrayLike<number>) {
  assert.is(got.length, wanted.length)
  for (let i = 0; i < wanted.length; i++)
    assert.ok(Math.abs((got[i] ?? NaN) - (wanted[i] ?? NaN)) < 1e-6, `${got[i]} at ${i}`)
}

test('gives every request the unit rows of its own images, whatever batches they share', async () => {
  const N = 23
  const pixels = bytesOf(N * IMAGE, 1)
  const wanted = await expected(pixels, N)
  const { embedder } = await opened({ maxBatch: 6 })
  const lengths = [1, 2, 5, 1, 7, 4, 3]
  let at = 0
  const requests = lengths.map((n) => {
    const own = pixels.slice(at * IMAGE, (at + n) * IMAGE)
    at += n
    const result = embedder.embedPixels(own, [n, 6, 8, 3])
    own.fill(0) // the caller may use its memory again
    return result
  })
  const other = embedder.embedPixels(bytesOf(2 * 5 * 5 * 3, 2), [2, 5, 5, 3]) // of another size
  const found = await Promise.all(requests)
  assert.equal(
    found.map(({ M, D }) => [M, D]),
    lengths.map((n) => [n, 8]),
  )
  close(
    found.flatMap(({ features }) => [...features]),
    wanted,
  )
  const { features } = await other
  for (const row of [features.subarray(0, 8), features.subarray(8)])
    assert.ok(Math.abs(Math.hypot(...row) - 1) < 1e-6)
  const { answered, items, inside, batches, meanBatch } = embedder.stats()
  assert.equal([answered, items, inside], [8, 25, 0])
  assert.is(meanBatch, 25 / batches)
  assert.ok(batches < 8)
  await embedder.close()
})

test('memory is flat: after a warm-up, batches of all sizes are replayed', async () => {
  const { embedder, gpus } = await opened({ maxBatch: 8 })
  await embedder.open([6, 8])
  for (let n = 1; n <= 8; n++) await embedder.embedPixels(bytesOf(n * IMAGE, n), [n, 6, 8, 3])
  const before = gpus[0]?.stats()
  const request = (i: number) =>
    embedder.embedPixels(bytesOf((1 + (i % 5)) * IMAGE, i), [1 + (i % 5), 6, 8, 3])
  for (let round = 0; round < 20; round++)
    await Promise.all(Array.from({ length: 5 }, (_, i) => request(round + i)))
  const after = gpus[0]?.stats()
  for (const key of ['bytes', 'bindGroups', 'pipelines'] as const)
    assert.is(after?.[key], before?.[key], key)
  await embedder.close()
})

test('requests survive a destroyed device, which is opened again once', async () => {
  const N = 40
  const pixels = bytesOf(N * IMAGE, 3)
  const wanted = await expected(pixels, N)
  const { embedder, gpus } = await opened({ maxBatch: 4 })
  const requests = Array.from({ length: N }, (_, i) =>
    embedder.embedPixels(pixels.subarray(i * IMAGE, (i + 1) * IMAGE), [1, 6, 8, 3]),
  )
  await requests[2] // the first batch; the second is under way, others wait
  gpus[0]?.device.destroy()
  const found = await Promise.all(requests)
  close(
    found.flatMap(({ features }) => [...features]),
    wanted,
  )
  assert.is(gpus.length, 2)
  gpus[1]?.device.destroy() // idle
  close((await embedder.embedPixels(pixels, [N, 6, 8, 3])).features, wanted)
  const { losses, failed, retried } = embedder.stats()
  assert.equal([gpus.length, losses, failed], [3, 2, 0])
  assert.ok(retried >= 2)
  await embedder.close()
  await refusesAsync(async () => gpus[2]?.sync(), 'this Gpu was destroyed')
})

test('a batch that loses every device is given up after its retries; the next one is served', async () => {
  let isPoison = true
  const gpus: Gpu[] = []
  const { embedder } = await opened({
    retries: 2,
    open: async () => {
      const gpu = await openGpu()
      gpus.push(gpu)
      return gpu
    },
    encoder: (gpu) => (images) => {
      if (isPoison) gpu.device.destroy()
      return encoder(gpu)(images)
    },
  })
  const request = () => embedder.embedPixels(bytesOf(IMAGE, 1), [1, 6, 8, 3])
  assert.instance(await request().catch((e: unknown) => e), DeviceLostError)
  assert.is(gpus.length, 3)
  isPoison = false
  assert.is((await request()).M, 1)
  assert.equal([embedder.stats().losses, embedder.stats().failed], [3, 1])
  await embedder.close()
})

test('a device that cannot be opened again fails its requests, and later ones try again', async () => {
  let works = true
  let current: Gpu | null = null
  const { embedder } = await opened({
    open: async () => {
      if (!works) throw new Error('no adapter')
      return (current = await openGpu())
    },
  })
  const request = () => embedder.embedPixels(bytesOf(IMAGE, 1), [1, 6, 8, 3])
  works = false
  ;(current as Gpu | null)?.device.destroy()
  await refusesAsync(request, 'no adapter')
  works = true
  assert.is((await request()).M, 1)
  await embedder.close()
})

test('a full queue refuses, or lets wait; a request that is given up leaves it', async () => {
  const { embedder } = await opened({ maxBatch: 2, queue: 2 })
  let proceed = () => {}
  const gate = new Promise<void>((resolve) => (proceed = resolve))
  const slow = (n: number, signal?: AbortSignal) =>
    embedder.embedFrom(
      n,
      async () => {
        await gate
        return { pixels: bytesOf(n * IMAGE, 1), shape: [n, 6, 8, 3] }
      },
      { ...(signal && { signal }) },
    )
  const first = slow(1)
  const gone = new AbortController()
  const second = slow(1, gone.signal)
  const refused = await slow(1).catch((e: unknown) => e)
  assert.instance(refused, QueueFullError)
  assert.is((refused as Error).message, 'embedder: its queue is full, 2 of 2; try again later')
  const patient = embedder.embedPixels(bytesOf(IMAGE, 2), [1, 6, 8, 3], { whenFull: 'wait' })
  gone.abort(new Error('the client left'))
  await refusesAsync(() => second, 'the client left')
  await refusesAsync(() => slow(1, gone.signal), 'the client left')
  proceed()
  assert.equal([(await first).M, (await patient).M], [1, 1])
  const { answered, refused: count, aborted, failed } = embedder.stats()
  assert.equal([answered, count, aborted, failed], [2, 1, 2, 0])
  await embedder.close()
})

test('close finishes what was taken, takes no more, and destroys the Gpu', async () => {
  const { embedder, gpus } = await opened({ maxBatch: 2, maxWait: 3_600_000, queue: 4 })
  const ask = (whenFull: 'refuse' | 'wait') =>
    embedder.embedPixels(bytesOf(3 * IMAGE, 1), [3, 6, 8, 3], { whenFull })
  const taken = [ask('refuse'), ask('wait')] // one image would wait for an hour; three are outside
  const closing = embedder.close()
  assert.is(embedder.close(), closing)
  const late = await ask('refuse').catch((e: unknown) => e)
  assert.instance(late, ClosedError)
  assert.is((late as Error).message, 'embedder: it was closed, and takes no more requests')
  assert.equal(
    (await Promise.all(taken)).map(({ M }) => M),
    [3, 3],
  )
  await closing
  await refusesAsync(async () => gpus[0]?.sync(), 'this Gpu was destroyed')
})

test('says what is wrong with images, an encoder, or its rows', async () => {
  const { embedder } = await opened({ queue: 32 })
  const ask = (pixels: ArrayLike<number>, shape: number[]) => () =>
    embedder.embedPixels(pixels as number[], shape)
  const rule = 'embedder: images must be [N, H, W, 3], each at least 1, got'
  await refusesAsync(ask(bytesOf(16, 1), [1, 2, 2, 4]), `${rule} [1, 2, 2, 4]`)
  await refusesAsync(ask([], [0, 2, 2, 3]), `${rule} [0, 2, 2, 3]`)
  await refusesAsync(ask(bytesOf(12, 1), [2, 2, 3]), `${rule} [2, 2, 3]`)
  await refusesAsync(
    ask(bytesOf(11, 1), [1, 2, 2, 3]),
    'embedder: images [1, 2, 2, 3] have 12 bytes, got 11',
  )
  await refusesAsync(
    ask(Float32Array.of(0.5, 1, 1), [1, 1, 1, 3]),
    'embedder: pixels: 0.5 at 0 is no u8 (whole numbers from 0 to 255)',
  )
  await refusesAsync(
    ask(new Uint8Array(33 * 3), [33, 1, 1, 3]),
    'embedder: a request may have 32 images at most, the length of its queue, got 33; give fewer at a time',
  )
  await embedder.close()
  const told = async (of: (x: Tensor, gpu: Gpu) => unknown, message: string) => {
    const made = await opened({ encoder: (gpu) => (x) => of(x, gpu) as Tensor })
    await refusesAsync(() => made.embedder.embedPixels(bytesOf(IMAGE, 1), [1, 6, 8, 3]), message)
    await made.embedder.close()
  }
  await told(
    (x, gpu) => log(neg(encoder(gpu)(x))),
    'embedder: features are not finite; the encoder has diverged',
  )
})

test('a searcher gives what nearest gives, to many at a time, and survives a lost device', async () => {
  const [M, D] = [60, 5]
  const bank = { features: Float32Array.from(random(M * D, 1)), M, D }
  const gpus: Gpu[] = []
  const open = async () => {
    const gpu = await openGpu()
    gpus.push(gpu)
    return gpu
  }
  const searcher = await openSearcher(bank, { open, maxBatch: 4 })
  const queries = { features: Float32Array.from(random(12 * D, 2)), M: 12, D }
  const gpu = await openGpu()
  const ask = async (k: number, q: number) => {
    const one = { features: queries.features.subarray(q * D, (q + 1) * D), M: 1, D }
    const found = await searcher.nearest(one, k)
    assert.equal(found, await nearest(bank, one, k, { gpu }))
  }
  await Promise.all(Array.from({ length: 12 }, (_, q) => ask(1 + 7 * q, q)))
  gpus[0]?.device.destroy()
  await Promise.all(Array.from({ length: 12 }, (_, q) => ask(1 + q, q)))
  assert.equal(await searcher.nearest(queries, 100), await nearest(bank, queries, 100, { gpu }))
  assert.is(gpus.length, 2)
  await refusesAsync(
    () => searcher.nearest({ features: [1, 2], M: 1, D: 2 }, 1),
    'searcher: queries must be [Q, 5] with Q at least 1, got [1, 2]',
  )
  await refusesAsync(
    () => searcher.nearest({ features: [1, NaN, 3, 4, 5], M: 1, D }, 1),
    'searcher: features or queries are not finite; the encoder has diverged',
  )
  await searcher.close()
  gpu.destroy()
})

/** Keeps the type in use: the class is exported for `instanceof` alone. */
export type Made = Embedder

test.run()
