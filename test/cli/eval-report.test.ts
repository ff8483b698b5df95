// Tests what --report, --choose and --sweep of kindred eval add, and that what is frozen stays so.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { classMeasures, reportLines } from '../../cli/eval-report.ts'
import { featureMeasures } from '../../cli/feature-measures.ts'
import { probeExactly } from '../../cli/exact-probe.ts'
import { type LinearProtocolName, linearProtocols } from '../../evaluate/linear-protocols.ts'
import { trainByEpochs } from '../../cli/epoch-classifier.ts'
import { procedural } from '../../data/procedural.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { openGpu } from '../../engine/node.ts'
import type { Tensor } from '../../kernels/op.ts'
import { variablesOf } from '../../models/state.ts'
import { configOf } from '../../training/config.ts'
import { networksOf } from '../../training/encoder.ts'
import { kindred } from '../fixtures/kindred.ts'

const test = suite<{ dir: string; run: string; gpu: Gpu }>('kindred eval --report')

test.before(async (context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-report-'))
  context.run = join(context.dir, 'run')
  const flags =
    'train simclr --data procedural:60,40 --stem imagenet --width 2 --batch 30 --epochs 1 --model resnet8'
  const { code, err } = kindred(...flags.split(' '), '--out', context.run)
  assert.is(code, 0, err)
  context.gpu = await openGpu()
})
test.after(({ dir, gpu }) => {
  gpu.destroy()
  rmSync(dir, { recursive: true, force: true })
})

const features = {
  ...{ measuredOn: 4, alignment: 0.5, uniformity: -1, effectiveRank: 2, dimensions: 4 },
  ...{ deviation: 0.1, evenDeviation: 0.5, collapsed: false },
}

test('tells two classes by accuracy, confusion and AUC', () => {
  const scores = Float32Array.of(0.9, 0.1, 0.6, 0.4, 0.65, 0.35, 0.2, 0.8)
  const set = { labels: Int32Array.of(0, 0, 1, 1), classes: ['a', 'a name much too long'] }
  const measures = classMeasures({ scores }, set)
  assert.equal(measures, {
    classes: [
      { name: 'a', images: 2, accuracy: 100 },
      { name: 'a name much too long', images: 2, accuracy: 50 },
    ],
    balancedAccuracy: 75,
    top5: null,
    confusion: [
      [2, 0],
      [1, 1],
    ],
    auc: 0.75, // rocCurve's example in docs/evaluation.md
  })
  const lines = reportLines({ ...measures, ...features })
  assert.ok(lines.includes('  ROC AUC             0.7500'))
  assert.ok(lines.includes('    2 a name much t… 1 1'), lines.join('\n'))
  const one = classMeasures(
    { scores: scores.subarray(0, 4) },
    { ...set, labels: Int32Array.of(0, 0) },
  )
  assert.is(one.auc, null)
  assert.is(one.classes[1]?.accuracy, null)
})

test('fits every line into 60 columns, or says where the matrix is', () => {
  for (const C of [2, 5, 6, 10, 13, 14, 100]) {
    const classes = Array.from({ length: C }, (_, c) => `class ${c} with a name`)
    const labels = Int32Array.from({ length: 10 * C }, (_, i) => i % C)
    const scores = Float32Array.from({ length: 10 * C * C }, (_, i) => (i * 37) % 101)
    const lines = reportLines({ ...classMeasures({ scores }, { labels, classes }), ...features })
    for (const line of lines) assert.ok(line.length <= 60, line)
    const isWide = lines.some(
      (line) => line === 'confusion matrix: too wide; in --json, report.confusion',
    )
    assert.is(isWide, C > 13, `${C} classes`)
    assert.is(
      lines.some((line) => line.startsWith('  top-5')),
      C > 5,
    )
  }
})

test('features that are all alike have collapsed', async ({ gpu }) => {
  const config = configOf('simclr', { model: 'resnet8', width: 2 }, false)
  const { test: images } = procedural({ train: 10, test: 30, size: 16 })
  const flat = {
    ...{ parameters: {}, norms: {}, features: 3 },
    forward: (x: Tensor) =>
      gpu.tensor(new Float32Array(3 * (x.shape[0] ?? 0)).fill(2), [x.shape[0] ?? 0, 3]),
  }
  const measures = await featureMeasures(gpu, flat, config, images)
  assert.ok(measures.collapsed && measures.deviation < 1e-6)
  assert.ok(Math.abs(measures.effectiveRank - 1) < 1e-3, String(measures.effectiveRank))
  assert.ok(Math.abs(measures.alignment) < 1e-6 && Math.abs(measures.uniformity ?? 1) < 1e-6)
})

test('no protocol changes a bit of the frozen encoder', async ({ gpu }) => {
  const config = configOf('simclr', { model: 'resnet8', width: 2, stem: 'imagenet' }, false)
  const { train, test: judged } = procedural({ train: 40, test: 10 })
  const { model: encoder } = networksOf(gpu, config, 'features')
  const state = async () => ({
    bits: await Promise.all(Object.values(variablesOf(encoder)).map((v) => gpu.read(v))),
    batches: Object.values(encoder.norms).map(({ batches }) => batches),
  })
  const before = await state()
  assert.ok(before.batches.length > 0)
  const progress = { start() {}, update() {}, note() {}, stop() {} }
  const subject = { gpu, config, encoder, train, test: judged, progress }
  const linear = { ...subject, kind: 'linear' } as const
  for (const [kind, protocol] of [
    ['linear', 'paper'],
    ['mlp', 'paper'],
    ...Object.keys(linearProtocols).map((name) => ['linear', name as LinearProtocolName] as const),
  ] as const) {
    await trainByEpochs({ ...subject, kind, protocol, flags: { epochs: 2, batch: 20, lr: 0.1 } })
    assert.equal(await state(), before, `${kind}, ${protocol}`)
  }
  await probeExactly({ ...linear, protocol: 'exact', flags: {} })
  assert.equal(await state(), before, 'exact')
})

test('eval knn chooses on held-out images and reports, in one line of JSON', ({ run }) => {
  const { code, out, err } = kindred('eval', 'knn', run, '--choose', '--report', '--json')
  assert.is(code, 0, err)
  const said = JSON.parse(out) as {
    k: number
    temperature: number
    trained: number
    chosen: { k: number; temperature: number; heldOut: number; tried: { heldOut: number }[] }
    report: { confusion: number[][]; classes: { accuracy: number }[]; deviation: number }
  }
  const { chosen, report, ...knn } = said
  assert.equal([chosen.k, chosen.temperature], [knn.k, knn.temperature])
  assert.is(chosen.heldOut, Math.max(...chosen.tried.map(({ heldOut }) => heldOut)))
  const right = report.confusion.reduce((sum, row, c) => sum + (row[c] ?? 0), 0)
  assert.is((100 * right) / 40, knn.trained, 'the confusion of the accuracy that is printed')
  const both = kindred('eval', 'knn', run, '--choose', '--k', '3')
  assert.is(both.code, 2)
  assert.is(both.err, 'kindred: --choose finds k and temperature; leave out --k or --choose')
})

test('eval linear sweeps the learning rate on held-out images alone', ({ run }) => {
  const { code, out, err } = kindred(
    ...['eval', 'linear', run, '--sweep', '0.03,0.0001', '--epochs', '2', '--report', '--json'],
  )
  assert.is(code, 0, err)
  const last = JSON.parse(out.trim().split('\n').at(-1) ?? '') as {
    protocol: string
    lr: number
    train: number
    accuracy: number
    sweep: { lr: number; heldOut: number }[]
    report: { confusion: number[][] }
  }
  assert.equal([last.protocol, last.train], ['paper', 60])
  assert.equal(
    last.sweep.map(({ lr }) => lr),
    [0.0001, 0.03],
  )
  const best = last.sweep.reduce((a, b) => (b.heldOut > a.heldOut ? b : a))
  assert.is(last.lr, best.lr)
  for (const { heldOut } of last.sweep) assert.is(((heldOut / 100) * 10) % 1, 0, 'of 10 held out')
  const right = last.report.confusion.reduce((sum, row, c) => sum + (row[c] ?? 0), 0)
  assert.is((100 * right) / 40, last.accuracy)
  const both = kindred('eval', 'linear', run, '--sweep', '--lr', '0.1')
  assert.is(both.err, 'kindred: --sweep chooses the learning rate; leave out --lr or --sweep')
  const wrong = kindred('eval', 'linear', run, '--sweep', '0.1,x')
  assert.is(wrong.code, 2)
  assert.match(wrong.err, /--sweep: must be numbers above 0, separated by commas, got 0\.1,x/)
})

test('eval linear trains as papers do, and passes over a rate that diverges', ({ run }) => {
  const { code, out, err } = kindred(
    ...['eval', 'linear', run, '--protocol', 'simclr', '--sweep', '3e38,3', '--epochs', '3'],
    '--json',
  )
  assert.is(code, 0, err)
  const last = JSON.parse(out.trim().split('\n').at(-1) ?? '') as {
    protocol: string
    lr: number
    batch: number
    sweep: { lr: number; heldOut: number | null }[]
  }
  assert.equal([last.protocol, last.lr, last.batch], ['simclr', 3, 16])
  assert.is(last.sweep[1]?.heldOut, null)
  const hopeless = kindred(
    ...['eval', 'linear', run, '--protocol', 'moco', '--sweep', '3e38', '--epochs', '3'],
  )
  assert.is(hopeless.code, 1)
  assert.is(
    hopeless.err,
    'kindred: --sweep: the loss became infinite with every learning rate; give lower ones',
  )
  const other = kindred('eval', 'linear', run, '--protocol', 'mocco')
  assert.is(other.code, 2)
  assert.match(other.err, /--protocol: must be one of exact, paper, simclr, moco, moco-v3, simsiam/)
})

test.run()
