import * as assert from 'uvu/assert'
import { openGpu } from '../../engine/node.ts'
import { residentBank } from '../../evaluate/bank.ts'
import type { Embeddings } from '../../evaluate/embed.ts'
import { nearest } from '../../evaluate/nearest.ts'
import { random } from '../fixtures/check.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, refusesAll } from '../fixtures/misuse.ts'

const [test, full] = quickAndFull(gpuSuite('resident bank'))

const rowsOf = (M: number, D: number, seed: number): Embeddings => ({
  features: Float32Array.from(random(M * D, seed)),
  M,
  D,
})

const partOf = ({ features, D }: Embeddings, from: number, to: number): Embeddings => ({
  features: features.slice(from * D, to * D),
  M: to - from,
  D,
})

test('gives what nearest gives of the same features, bit for bit, however it was uploaded', async ({
  gpu,
}) => {
  const [bank, queries] = [rowsOf(1300, 7, 1), rowsOf(5, 7, 2)]
  const tensor = gpu.tensor(bank.features, [bank.M, bank.D])
  const parts = [0, 400, 401, 1300]
  for (const k of [1, 9, 1200, 1300, 5000]) {
    const wanted = await nearest(bank, queries, k, { gpu })
    assert.equal(await nearest(tensor, queries, k), wanted)
    for (const made of [
      await residentBank(gpu, bank),
      await residentBank(gpu, bank, { slab: 250 }),
      await residentBank(gpu, tensor),
      await residentBank(
        gpu,
        parts.slice(1).map((to, i) => partOf(bank, parts[i] ?? 0, to)),
      ),
    ]) {
      assert.equal([made.M, made.D], [1300, 7])
      assert.equal(await nearest(made, queries, k), wanted)
      made.free()
    }
  }
})

test('equal rows come in the order of their indices, in one slab or in several', async ({
  gpu,
}) => {
  const twice = { features: Float32Array.from({ length: 40 }, (_, i) => i % 2), M: 20, D: 2 }
  for (const slab of [20, 7, 1]) {
    const made = await residentBank(gpu, twice, { slab })
    const { indices } = await nearest(made, partOf(twice, 0, 1), 15)
    assert.equal(
      [...indices],
      Array.from({ length: 15 }, (_, i) => i),
    )
    made.free()
  }
})

test('queries take no memory that stays, and a bank gives back all of its own', async ({ gpu }) => {
  const [bank, queries] = [rowsOf(2000, 16, 1), rowsOf(3, 16, 2)]
  const empty = gpu.stats().bytes
  {
    using made = await residentBank(gpu, bank, { slab: 700 })
    await nearest(made, queries, 4)
    const { bytes } = gpu.stats()
    for (let i = 0; i < 20; i++) await nearest(made, queries, 4)
    assert.ok(gpu.stats().bytes <= bytes)
    assert.ok(bytes - empty < 2 * 2000 * 17 * 4)
  }
  const bytes: number[] = []
  for (let i = 0; i < 5; i++) {
    const own = await residentBank(gpu, bank)
    own.free()
    own.free() // does nothing
    bytes.push(gpu.stats().bytes)
  }
  assert.ok(
    bytes.every((b) => b <= (bytes[0] ?? 0)),
    bytes.join(),
  )
})

test('a bank survives steps that free the tensor it was made of', async ({ gpu }) => {
  const { features, M, D } = rowsOf(50, 4, 1)
  const unit = features.map(
    (v, i) => v / Math.hypot(...features.subarray(i - (i % D), i - (i % D) + D)),
  )
  const lent = gpu.step(() => gpu.tensor(unit, [M, D]))
  const making = residentBank(gpu, lent, { normalized: true })
  gpu.step(() => gpu.tensor([1])) // frees `lent`
  const made = await making
  const queries = { features: unit.subarray(0, 3 * D), M: 3, D }
  const { indices } = await nearest(made, queries, 1, { normalized: true })
  assert.equal([...indices], [0, 1, 2])
  made.free()
})

test('refuses in words what cannot be a bank', async ({ gpu }) => {
  const bank = rowsOf(4, 2, 1)
  const broken = (bad: number) => ({ ...bank, features: Float32Array.of(1, 2, 3, bad, 5, 6, 7, 8) })
  const diverged = 'residentBank: features or queries are not finite; the encoder has diverged'
  const made = await residentBank(gpu, bank)
  const other = await openGpu()
  await refusesAll([
    ['NaN', () => residentBank(gpu, broken(NaN)), diverged],
    ['infinity', () => residentBank(gpu, broken(Infinity)), diverged],
    ['NaN in a tensor', () => residentBank(gpu, gpu.tensor([1, NaN], [1, 2])), diverged],
    ['infinity in a tensor', () => residentBank(gpu, gpu.tensor([1, Infinity], [1, 2])), diverged],
    [
      'no rows',
      () => residentBank(gpu, []),
      'residentBank: features must have at least one row, got none',
    ],
    [
      'parts of two widths',
      () => residentBank(gpu, [bank, rowsOf(2, 3, 1)]),
      'residentBank: all parts must have the same width, got 2 and 3',
    ],
    [
      "another Gpu's tensor",
      () => residentBank(gpu, other.tensor([1, 2], [1, 2])),
      'residentBank: features are on another Gpu; give that one',
    ],
    [
      'numbers',
      () => call(residentBank, gpu, [1, 2]),
      'residentBank: features must be a tensor [M, D], or what embed or embedSlabs returns, got an array of 2',
    ],
    [
      'no Gpu',
      () => call(residentBank, bank),
      'residentBank: gpu must be a Gpu, as openGpu() resolves to, got an object with features, M, D',
    ],
    [
      'a slab of a bank',
      () => nearest(made, bank, 1, { slab: 5 }),
      'nearest: a resident bank has its slabs already; leave out slab',
    ],
    [
      'another width',
      () => nearest(made, rowsOf(2, 3, 1), 1),
      'nearest: features [M, D] and queries [Q, D] must agree in D, got [4, 2] and [2, 3]',
    ],
  ])
  other.destroy()
  made.free()
  await refusesAll([
    [
      'a bank that was freed',
      () => nearest(made, bank, 1),
      'a tensor [4, 2] was used after gpu.free gave its memory back',
    ],
  ])
})

full(
  '100,000 features of 128 numbers are searched in bounded memory, for 1,000 neighbours',
  async ({ gpu }) => {
    const [bank, queries] = [rowsOf(100_000, 128, 1), rowsOf(8, 128, 2)]
    const before = gpu.stats().bytes
    const made = await residentBank(gpu, bank)
    const found = await nearest(made, queries, 1000)
    const taken = gpu.stats().bytes - before
    assert.ok(taken < 3 * 100_000 * 129 * 4, `${taken} bytes`)
    const dot = (a: Float32Array, b: Float32Array) =>
      a.reduce((sum, v, d) => sum + v * (b[d] ?? NaN), 0)
    const lengths = Float64Array.from({ length: bank.M }, (_, m) => {
      const row = bank.features.subarray(m * 128, (m + 1) * 128)
      return Math.sqrt(dot(row, row))
    })
    for (let q = 0; q < queries.M; q += 7) {
      const query = queries.features.subarray(q * 128, (q + 1) * 128)
      const length = Math.sqrt(dot(query, query))
      const all = lengths.map(
        (own, m) => dot(bank.features.subarray(m * 128, (m + 1) * 128), query) / own / length,
      )
      const sorted = all.toSorted().reverse()
      const own = found.similarities.subarray(q * 1000, (q + 1) * 1000)
      for (const [j, similarity] of own.entries()) {
        assert.ok(Math.abs(similarity - (sorted[j] ?? NaN)) < 1e-6)
        assert.ok(Math.abs(similarity - (all[found.indices[q * 1000 + j] ?? NaN] ?? NaN)) < 1e-6)
      }
      assert.is(new Set(found.indices.subarray(q * 1000, (q + 1) * 1000)).size, 1000)
    }
    made.free()
  },
)

test.run()
