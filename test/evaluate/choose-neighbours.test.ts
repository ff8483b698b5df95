// Tests that k and temperature are chosen as kNN itself would do on the held-out images.

import * as assert from 'uvu/assert'
import { accuracy } from '../../evaluate/accuracy.ts'
import { chooseNeighbours } from '../../evaluate/choose-neighbours.ts'
import { rowsAt } from '../../evaluate/embed.ts'
import { parted } from '../../evaluate/held-out.ts'
import { knn } from '../../evaluate/knn.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('chooseNeighbours')
const [M, D, classes] = [60, 4, 3]
const labels = Int32Array.from({ length: M }, (_, i) => i % classes)
const noise = random(M * D, 3)
const rows = {
  features: Float32Array.from(
    noise,
    (v, i) => v + Number(i % D === (labels[Math.floor(i / D)] ?? 0)),
  ),
  M,
  D,
}

test('tries every pair as knn does, and takes the best, the first of equals', async ({ gpu }) => {
  const choices = { ks: [20, 1, 5], temperatures: [0.5, 0.05] }
  const chosen = await chooseNeighbours(gpu, rows, labels, { classes, ...choices, seed: 2 })
  assert.is(chosen.tried.length, 6)
  const { fit, held } = parted(labels, 2)
  assert.equal([fit.length, held.length], [48, 12])
  const of = (places: readonly number[]) => Int32Array.from(places, (i) => labels[i] ?? -1)
  for (const { k, temperature, heldOut } of chosen.tried) {
    const how = { k, temperature, classes, gpu }
    const { predictions } = await knn(rowsAt(rows, fit), of(fit), rowsAt(rows, held), how)
    assert.is(heldOut, accuracy(predictions, of(held)), `k ${k}, temperature ${temperature}`)
  }
  const most = Math.max(...chosen.tried.map(({ heldOut }) => heldOut))
  const first = chosen.tried.find(({ heldOut }) => heldOut === most)
  assert.equal({ ...first }, { k: chosen.k, temperature: chosen.temperature, heldOut: most })
})

test('leaves out a k above the images that vote, and refuses where nothing is left', async ({
  gpu,
}) => {
  const how = { classes, ks: [3, 48, 49], temperatures: [0.1] }
  const { tried } = await chooseNeighbours(gpu, rows, labels, how)
  assert.equal(
    tried.map(({ k }) => k),
    [3, 48],
  )
  const message = async (given: object) => {
    const options = { classes, ...given }
    return chooseNeighbours(gpu, rows, labels, options).catch((error: Error) => error.message)
  }
  assert.is(
    await message({ ks: [49] }),
    'chooseNeighbours: needs two images of a class and a k of at most those that vote, got 60 images, 48 to vote',
  )
  assert.is(
    await message({ ks: [2.5] }),
    'chooseNeighbours: ks must be whole numbers above 0, got 2.5',
  )
  assert.is(
    await message({ temperatures: [0] }),
    'chooseNeighbours: temperatures must be numbers above 0, got 0',
  )
})

test.run()
