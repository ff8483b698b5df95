// Tests what is measured of an encoder for its report.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import * as assert from 'uvu/assert'
import { keepMeasured } from '../../../cli/report/keep.ts'
import { type Reported, measureReport } from '../../../cli/report/measure.ts'
import { readMeasured } from '../../../cli/report/measured.ts'
import { batches } from '../../../data/loader.ts'
import type { Dataset } from '../../../data/dataset.ts'
import { memoryDataset } from '../../../data/memory-dataset.ts'
import { procedural } from '../../../data/procedural.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { augment } from '../../../kernels/augment/augment.ts'
import { methodOf } from '../../../methods/registry.ts'
import { recipeOf } from '../../../methods/views.ts'
import { createRun } from '../../../run-folder/open.ts'
import { configOf } from '../../../training/config.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('measure')

const config = configOf(
  'simclr',
  { data: 'procedural:40,24', preset: 'simclr-demo', stem: 'imagenet', width: 2, batch: 16 },
  true,
)

const subjectOf = (gpu: Gpu, data: Reported['data'], points = 2000): Reported => ({
  ...{ config, data, step: 7, points },
  model: methodOf('simclr').encoder(gpu, config),
})

const unlabelled = (set: Dataset): Dataset => ({ ...set, labels: null, classes: [] })

const emptyLike = ({ image }: Dataset) =>
  memoryDataset({
    ...{ name: 'none', image, classes: [], labels: null },
    pixels: new Uint8Array(0),
  })

test('measures test images, and keeps what report.json holds', async ({ gpu }) => {
  const dir = mkdtempSync(join(tmpdir(), 'kindred-'))
  const run = await createRun(join(dir, 'a'), {})
  const data = procedural({ train: 40, test: 24 })
  await keepMeasured(gpu, run, subjectOf(gpu, data, 20))
  const found = await readMeasured(run.dir)
  await run.close()
  rmSync(dir, { recursive: true })
  assert.ok(found)
  const { map, report, neighbours, views, rank } = found
  assert.equal([found.step, map?.of, map?.size, map?.from], [7, 'test', 20, 24])
  assert.equal(
    map?.layouts.map(({ name }) => name),
    ['UMAP', 'PCA'],
  )
  for (const { points } of map?.layouts ?? []) {
    assert.ok(points.every((v) => v >= 0 && v <= 65_535))
    assert.is(Math.max(...points) - Math.min(...points), 65_535) // the wider axis fills all
  }
  const C = found.classes.length
  const right = map?.labels.filter((label, i) => label === map.predictions[i]).length ?? NaN
  const total = (report?.confusion ?? []).reduce((a, b) => a + b, 0)
  const diagonal = (report?.confusion ?? []).filter((_, i) => i % (C + 1) === 0)
  assert.is(total, 20)
  assert.is(
    diagonal.reduce((a, b) => a + b, 0),
    right,
  )
  assert.is(report?.accuracy, right / 20)
  assert.equal([views.length, neighbours.length, neighbours[0]?.before.length], [6, 6, 5])
  // the model has its initial weights: nothing differs after training
  for (const { before, after } of neighbours) assert.equal(before, after)
  assert.ok(rank && rank.effectiveRank >= 1 && rank.effectiveRank <= 20)
})

test('shows the views that the first step sees', async ({ gpu }) => {
  const data = procedural({ train: 40, test: 24 })
  const { views } = await measureReport(gpu, subjectOf(gpu, data))
  for await (const { images, shape } of batches(data.train, { batch: 16, seed: 0, epoch: 0 })) {
    const recipe = recipeOf(config.views, 1)
    const at = { seed: config.seed, step: 0, view: 1 }
    const seen = await gpu.read(gpu.step(() => augment(gpu.tensor(images, [...shape]), recipe, at)))
    const base64 = views[2]?.two.split(',')[1] ?? ''
    const { data: shown, info } = await sharp(Buffer.from(base64, 'base64'))
      .raw()
      .toBuffer({ resolveWithObject: true })
    const each = info.width * info.height * 3
    const { mean, std } = recipe.normalize ?? { mean: [0, 0, 0], std: [1, 1, 1] }
    let most = 0
    for (let i = 0; i < each; i++) {
      const value = 255 * ((seen[2 * each + i] ?? NaN) * (std[i % 3] ?? 1) + (mean[i % 3] ?? 0))
      most = Math.max(most, Math.abs(value - (shown[i] ?? NaN)))
    }
    assert.ok(most <= 0.51, `${most} of 255`)
    break
  }
})

test('does without labels and test images, where no image is its own neighbour', async ({
  gpu,
}) => {
  const { train } = procedural({ train: 12, test: 1 })
  const images = unlabelled(train)
  const found = await measureReport(gpu, subjectOf(gpu, { train: images, test: emptyLike(train) }))
  assert.equal([found.map?.of, found.map?.size, found.report], ['training', 12, null])
  assert.equal(new Set(found.map?.labels), new Set([-1]))
  assert.equal(found.map?.predictions, [])
  for (const { query, after } of found.neighbours)
    assert.not.ok(after.some(({ picture }) => picture === query.picture))
})

test('measures a set of one class', async ({ gpu }) => {
  const one = (set: Dataset) => ({ ...set, classes: ['only'], labels: new Int32Array(set.size) })
  const { train, test: tested } = procedural({ train: 16, test: 8 })
  const found = await measureReport(gpu, subjectOf(gpu, { train: one(train), test: one(tested) }))
  assert.equal(found.report?.confusion, [8])
  assert.equal(
    found.map?.layouts.map(({ name }) => name),
    ['PCA'],
  ) // too few for UMAP
})

test.run()
