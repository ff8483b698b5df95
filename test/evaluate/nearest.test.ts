import * as assert from 'uvu/assert'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import type { Embeddings } from '../../evaluate/embed.ts'
import { type KnnOptions, knn } from '../../evaluate/knn.ts'
import { nearest } from '../../evaluate/nearest.ts'
import { slabRows } from '../../evaluate/slabs.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refusesAsync } from '../fixtures/refusal.ts'

const test = gpuSuite('nearest')

const rowsOf = (M: number, D: number, seed: number, levels = 0): Embeddings => {
  const round = (v: number) => (levels > 0 ? Math.round(v * levels) : v)
  return { features: Float32Array.from(random(M * D, seed), round), M, D }
}

/** The rows in parts of these lengths. */
async function* partsOf({ features, D }: Embeddings, lengths: readonly number[]) {
  let at = 0
  for (const M of lengths) {
    yield { features: features.slice(at * D, (at + M) * D), M, D }
    at += M
  }
}

/** The definition: places in order of falling cosine, and of index where cosines are equal to six
 *  places. */
function reference(bank: Embeddings, queries: Embeddings, k: number) {
  const unit = ({ features, D }: Embeddings, i: number) => {
    const row = [...features.subarray(i * D, (i + 1) * D)]
    const length = Math.hypot(...row) || 1
    return row.map((v) => v / length)
  }
  return Array.from({ length: queries.M }, (_, q) => {
    const query = unit(queries, q)
    const near = Array.from({ length: bank.M }, (__, m) => {
      const sim = unit(bank, m).reduce((sum, v, d) => sum + v * (query[d] ?? NaN), 0)
      return { m, sim, rank: Math.round(sim * 1e6) }
    })
    return near.toSorted((a, b) => b.rank - a.rank || a.m - b.m).slice(0, k)
  }).flat()
}

test('slabs of any size, on the host and in parts, vote as one tensor does, bit for bit', async ({
  gpu,
}) => {
  for (const [levels, k] of [
    [0, 10],
    [1, 17], // nine directions at most: many are equally near
    [1, 90],
    [0, 500], // more than there are
  ] as const) {
    const [bank, queries] = [rowsOf(97, 2, 1, levels), rowsOf(7, 2, 2, levels)]
    const labels = random(97, 3).map((v) => Math.floor(((v + 1) / 2) * 5))
    const on = (x: Embeddings) => gpu.tensor(x.features, [x.M, x.D])
    const asked = (options: KnnOptions, rows: Parameters<typeof knn>[0] = bank) =>
      knn(rows, labels, queries, { k, temperature: 0.1, classes: 5, gpu, ...options })
    const whole = await knn(on(bank), labels, on(queries), { k, temperature: 0.1, classes: 5 })
    for (const got of [
      await asked({}),
      await asked({ slab: 1 }),
      await asked({ slab: 13, chunk: 30 }),
      await asked({ slab: 96 }),
      await asked({ slab: 40 }, partsOf(bank, [50, 1, 46])),
      await asked({}, partsOf(bank, [0, 97])),
      await asked({ slab: 20 }, on(bank)),
    ])
      assert.equal(got, whole)
  }
})

test('slabs give the bits of one with a GPU kernel that would split long sums', async (owner) => {
  const gpu = new Gpu(owner.gpu.device, { kernels: 'gpu' })
  const [bank, queries] = [rowsOf(40, 1100, 1), rowsOf(3, 1100, 2)]
  const parts = await nearest(bank, queries, 5, { slab: 7, gpu })
  assert.equal(await nearest(bank, queries, 5, { slab: 39, gpu }), parts)
  assert.equal(await nearest(partsOf(bank, [20, 20]), queries, 5, { chunk: 1, gpu }), parts)
  gpu.destroy()
})

test('finds the nearest and their cosines, the nearest first', async ({ gpu }) => {
  const twice = (x: Embeddings) => ({
    features: Float32Array.of(...x.features, ...x.features),
    M: 2 * x.M,
    D: x.D,
  })
  for (const k of [1, 6, 11, 80]) {
    const [bank, queries] = [twice(rowsOf(31, 3, 4)), rowsOf(5, 3, 5)]
    const expected = reference(bank, queries, k)
    for (const slab of [62, 31, 8]) {
      const found = await nearest(bank, queries, k, { slab, gpu })
      assert.is(found.k, Math.min(k, 62))
      assert.equal(
        [...found.indices],
        expected.map(({ m }) => m),
      )
      for (const [i, { sim }] of expected.entries())
        assert.ok(Math.abs((found.similarities[i] ?? NaN) - sim) < 1e-6)
    }
  }
  const unit = gpu.tensor([1, 0, 0, 1], [2, 2])
  const { indices, similarities } = await nearest(unit, unit, 2, { normalized: true })
  assert.equal([...indices], [0, 1, 1, 0])
  assert.equal([...similarities], [1, 0, 1, 0])
})

test('of 70,000 features in two directions, as many as are wanted count, the first of equal ones', async (owner) => {
  const M = 70_000 // its indices have three digits of eight bits
  const signs = Float32Array.from({ length: M }, (_, m) => ((m * 7919) % 3 === 0 ? 1 : -1))
  const places = Array.from({ length: M }, (_, m) => m)
  const order = [1, -1].flatMap((sign) => places.filter((m) => signs[m] === sign))
  const query = { features: [1], M: 1, D: 1 }
  for (const kernels of ['device', 'gpu'] as const) {
    const gpu = new Gpu(owner.gpu.device, { kernels })
    const bank = gpu.tensor(signs, [M, 1])
    for (const k of [1, 257, 23_334, 23_335, 65_537]) {
      const { indices } = await nearest(bank, query, k)
      assert.equal([...indices], order.slice(0, k))
    }
    gpu.destroy()
  }
})

test('holds one slab at a time', async ({ gpu }) => {
  const queries = rowsOf(4, 64, 2)
  let [most, parts] = [0, 0]
  async function* many() {
    for (; parts < 30; parts++) {
      most = Math.max(most, gpu.stats().bytes)
      yield rowsOf(1000, 64, parts)
    }
  }
  const before = gpu.stats().bytes
  const { indices, k } = await nearest(many(), queries, 3)
    .catch(() => null)
    .then(() => nearest(many(), queries, 3, { gpu }))
  assert.is(k, 3)
  assert.ok(indices.every((index) => index < 30_000))
  assert.ok(most - before < 8 * 1000 * 64 * 4, `${most - before} bytes`)
})

test('a slab is what the device binds, and 128 MiB at most', ({ gpu }) => {
  assert.is(slabRows(gpu, 3072), Math.floor(2 ** 27 / 3072 / 4))
  assert.is(slabRows(gpu, 1), 2 ** 24)
})

test('refuses in words what cannot be searched', async ({ gpu }) => {
  const [bank, queries] = [rowsOf(4, 2, 1), rowsOf(3, 2, 2)]
  const refused = async (asked: Promise<unknown>, message: string) => {
    const error = await asked.catch((e: unknown) => e)
    assert.is(error instanceof Error ? error.message : 'it was accepted', message)
  }
  const bad = { ...bank, features: Float32Array.of(1, 2, 3, NaN, 5, 6, 7, 8) }
  const diverged = 'features or queries are not finite; the encoder has diverged'
  for (const slab of [1, 4]) {
    await refused(nearest(bad, queries, 1, { slab, gpu }), `nearest: ${diverged}`)
    await refused(knn(bad, [0, 1, 0, 1], queries, { k: 1, slab, gpu }), `knn: ${diverged}`)
  }
  await refused(
    nearest(bank, { ...queries, features: Float32Array.of(1, 2, NaN, 4, 5, 6) }, 1, { gpu }),
    `nearest: ${diverged}`,
  )
  await refused(
    nearest(bank, queries, 1),
    'nearest: features and queries lie on the host; pass the Gpu to compute on as options.gpu',
  )
  await refused(
    knn(bank, [0, 1, 0, 1], queries),
    'knn: features and queries lie on the host; pass the Gpu to compute on as options.gpu',
  )
  await refused(
    nearest(bank, queries, 0, { gpu }),
    'nearest: k must be a whole number from 1, got 0',
  )
  await refused(
    knn(bank, [0, 1, 0, 1], queries, { slab: 0.5, gpu }),
    'knn: slab must be a whole number from 1, got 0.5',
  )
  await refused(
    nearest([], queries, 1, { gpu }),
    'nearest: features must have at least one row, got none',
  )
  await refused(
    knn([], [], queries, { gpu }),
    'knn: features [M, D] must have M at least 1, got none',
  )
  await refused(
    knn(partsOf(bank, [2, 2]), [0, 1, 2], queries, { gpu }),
    'knn: there must be one label per feature, got 3 for [4, 2]',
  )
  await refused(
    nearest(rowsOf(4, 3, 1), queries, 1, { gpu }),
    'nearest: features [M, D] and queries [Q, D] must agree in D, got [4, 3] and [3, 2]',
  )
  await refused(
    nearest({ ...bank, M: 5 }, queries, 1, { gpu }),
    'nearest: features [M, D] must hold M D numbers, got 8 for [5, 2]',
  )
})

test('rows said to be unit are refused when they are infinite, seen by a query or not', async ({
  gpu,
}) => {
  const unit = [1, 0, 0, 1, 0.6, 0.8]
  const labels = [0, 1, 0]
  const host = (bad: number) => ({
    features: Float32Array.from([...unit.slice(0, 5), bad]),
    M: 3,
    D: 2,
  })
  const tensor = (bad: number) => gpu.tensor(host(bad).features, [3, 2])
  const told = async (asked: Promise<unknown>) => {
    const error = await asked.catch((e: unknown) => e)
    return error instanceof Error ? error.message : 'it was accepted'
  }
  const diverged = 'features or queries are not finite; the encoder has diverged'
  const given = { k: 1, normalized: true, gpu }
  for (const bad of [Infinity, -Infinity, NaN])
    for (const of of [host, tensor]) {
      assert.is(
        await told(nearest(of(bad), of(0.8), 1, { normalized: true, gpu })),
        `nearest: ${diverged}`,
      )
      assert.is(
        await told(nearest(of(0.8), of(bad), 1, { normalized: true, gpu })),
        `nearest: ${diverged}`,
      )
      assert.is(await told(knn(of(bad), labels, of(0.8), given)), `knn: ${diverged}`)
      assert.is(await told(knn(of(0.8), labels, of(bad), given)), `knn: ${diverged}`)
    }
  assert.equal([...(await knn(tensor(0.8), labels, tensor(0.8), given)).predictions], labels)
})

test('nearest tells how many pairs have been compared', async ({ gpu }) => {
  const [bank, queries] = [rowsOf(20, 3, 1), rowsOf(7, 3, 2)]
  const toldOf = async (rows: Parameters<typeof nearest>[0], options = {}) => {
    const told: { readonly done: number; readonly total: number }[] = []
    const onProgress = (so: { readonly done: number; readonly total: number }) => told.push(so)
    await nearest(rows, queries, 2, { gpu, ...options, onProgress })
    return told.map(({ done, total }) => `${done} of ${total}`)
  }
  assert.equal(await toldOf(bank, { chunk: 60 }), ['60 of 140', '120 of 140', '140 of 140'])
  assert.equal(await toldOf(bank, { slab: 15 }), ['70 of 140', '140 of 140'])
  assert.equal(await toldOf(partsOf(bank, [12, 8])), ['84 of Infinity', '140 of Infinity'])
  const on = ({ features, M, D }: Embeddings) => gpu.tensor(features, [M, D])
  const labels = new Int32Array(20)
  for (const given of [bank, on(bank)]) {
    const heard: number[] = []
    const onProgress = ({ done }: { readonly done: number }) => heard.push(done)
    await knn(given, labels, on(queries), { k: 2, chunk: 60, gpu, onProgress })
    assert.equal(heard, [60, 120, 140])
  }
  const stop = () => {
    throw new Error('enough')
  }
  const options = { gpu, onProgress: stop }
  await refusesAsync(() => nearest(bank, queries, 2, options), 'enough')
})

test.run()
