// Tests the map of UMAP: it keeps clusters apart, and its seed decides it.

import * as assert from 'uvu/assert'
import { umap } from '../../../evaluate/measure/umap.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refusesAsync } from '../../fixtures/refusal.ts'

const test = gpuSuite('umap')

const M = 30
/** Two clusters of directions, one after the other. */
const rows = {
  features: Float32Array.from({ length: M * 3 }, (_, n) => {
    const [m, d] = [Math.floor(n / 3), n % 3]
    const axis = m < M / 2 ? 0 : 2
    return (d === 1 ? 0.2 : Number(d === axis)) + 0.05 * Math.sin(7 * n)
  }),
  M,
  D: 3,
}

test('neighbours on the map are of the same cluster, and a seed makes one map', async ({ gpu }) => {
  const { coordinates } = await umap(rows, { neighbours: 5, gpu })
  const place = (m: number) => [coordinates[2 * m] ?? NaN, coordinates[2 * m + 1] ?? NaN] as const
  for (let m = 0; m < M; m++) {
    const far = (n: number) => Math.hypot(place(n)[0] - place(m)[0], place(n)[1] - place(m)[1])
    const [next = -1] = [...Array(M).keys()].filter((n) => n !== m).sort((a, b) => far(a) - far(b))
    assert.is(next < M / 2, m < M / 2)
  }
  assert.equal((await umap(rows, { neighbours: 5, gpu })).coordinates, coordinates)
  const other = await umap(rows, { neighbours: 5, seed: 1, gpu })
  assert.not.equal(other.coordinates, coordinates)
})

test('too few features are refused', async ({ gpu }) => {
  const few = { features: new Float32Array(6).fill(1), M: 2, D: 3 }
  await refusesAsync(() => umap(few, { gpu }), 'umap: needs at least 4 features, got 2')
})

test('umap takes a few features, with more neighbours asked for than there are', async ({
  gpu,
}) => {
  for (const count of [4, 12, 16]) {
    const features = Float32Array.from({ length: count * 3 }, (_, i) => Math.sin(i * i))
    const { coordinates } = await umap({ features, M: count, D: 3 }, { gpu })
    assert.is(coordinates.length, 2 * count)
    assert.ok(coordinates.every(Number.isFinite))
  }
})

test.run()
