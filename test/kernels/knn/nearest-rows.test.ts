import * as assert from 'uvu/assert'
import type { Gpu } from '../../../engine/gpu.ts'
import { keyOf } from '../../../evaluate/search.ts'
import { MOST_BOUNDED, nearestRows } from '../../../kernels/knn/nearest-rows.ts'
import { random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('nearest rows')

const bitsOf = (values: Float32Array) =>
  new Uint32Array(values.buffer, values.byteOffset, values.length)

/** The definition: the places of the k largest, of equals the first, in the order in which
 *  `threads` threads write them. */
function reference(values: Float32Array, k: number, threads: number) {
  const keys = Array.from(bitsOf(values), keyOf)
  const order = Array.from(keys.keys())
  order.sort((a, b) => (keys[b] ?? 0) - (keys[a] ?? 0) || a - b)
  return order.slice(0, k).sort((a, b) => (a % threads) - (b % threads) || a - b)
}

/** The k largest of rows of M values, as the products of [M, 1] with the query 1. */
async function found(
  gpu: Gpu,
  values: Float32Array,
  how: { readonly k: number; readonly threads: number; readonly bounded: boolean },
) {
  const M = values.length
  const tags = gpu.tensor(
    Int32Array.from({ length: M }, (_, m) => m),
    [M],
  )
  const [one, rows] = [gpu.tensor([1], [1, 1]), gpu.tensor(values, [M, 1])]
  const near = nearestRows(one, rows, tags, { start: 0, end: 1, ...how })
  const [s, places] = await Promise.all([gpu.read(near.similarities), gpu.read(near.tags)])
  gpu.free([one, rows, tags, near])
  return { places: [...places], bits: [...bitsOf(Float32Array.from(s))] }
}

/** Rows of M values, by what is special about them. */
const rowsOf = (M: number): Readonly<Record<string, Float32Array>> => {
  const plain = Float32Array.from(random(M, M))
  const special = [NaN, -NaN, Infinity, -Infinity, 0, -0, 1e-42, -1e-42]
  return {
    plain,
    rising: plain.toSorted(),
    falling: plain.toSorted().reverse(),
    'of five values': plain.map((v) => Math.round(2 * v)),
    'all equal': plain.map(() => 0.5),
    'all NaN': plain.map(() => NaN),
    'not all finite': plain.map((v, m) => (m % 3 === 0 ? v : (special[m % 8] ?? 0))),
    // no bound tells them from the others, of which there are more than are kept
    'largest in one block': plain.map((v, m) => (m % 256 === 5 ? 2 + v : 0)),
    'largest in a row': plain.map((v, m) => (m >= 0.7 * M && m < 0.8 * M ? 2 + v : v)),
  }
}

// 8 threads have 32 blocks each or more, 256 in all, and keep 128 candidates each, 1024 in all
for (const M of [1, 7, 8, 9, 255, 256, 257, 1023, 1024, 1025, 5003])
  test(`of ${M} rows the k largest, of equals the first, with and without a bound`, async ({
    gpu,
  }) => {
    const wanted = [1, 2, 10, 85, 86, 200, MOST_BOUNDED, M].filter((k) => k <= M)
    for (const [what, values] of Object.entries(rowsOf(M)))
      for (const k of new Set(wanted))
        for (const [threads, bounded] of [
          [8, true],
          [8, false],
          [64, false],
          [4, true],
        ] as const) {
          if ((bounded && k > 64 * threads) || (threads !== 8 && k !== 10)) continue
          const expected = reference(values, k, threads)
          const { places, bits } = await found(gpu, values, { k, threads, bounded })
          const name = `${what}, k ${k}, ${threads} threads, bounded ${bounded}`
          assert.equal(places, expected, name)
          const keys = expected.map((m) => keyOf(bitsOf(values)[m] ?? 0))
          assert.equal(bits.map(keyOf), keys, name)
        }
  })

test('with and without a bound the bits are the same', async ({ gpu }) => {
  const [queries, rows] = [random(3 * 5, 1), random(900 * 5, 2)]
  const [q, f] = [gpu.tensor(queries, [3, 5]), gpu.tensor(rows, [900, 5])]
  const tags = gpu.tensor(new Int32Array(900), [900])
  const how = { start: 0, end: 3, k: 40, threads: 8 }
  const read = async (bounded: boolean) =>
    bitsOf(await gpu.read(nearestRows(q, f, tags, { ...how, bounded }).similarities))
  assert.equal(await read(true), await read(false))
})

test.run()
