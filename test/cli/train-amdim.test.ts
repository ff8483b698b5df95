// Tests AMDIM through the command line, as a user types it.

import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { constant, multiStep, warmup } from '../../engine/optim/schedule.ts'
import type { Recipe } from '../../kernels/augment/recipes.ts'
import { type AmdimSettings, amdimSchedule } from '../../methods/presets/amdim-rules.ts'
import { type ConfigOptions, configOf } from '../../training/config.ts'
import { runCli, signalAfter } from '../fixtures/cli.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = suite<{ dir: string }>('kindred train amdim')
test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-amdim-'))
})
test.after((context) => rmSync(context.dir, { recursive: true, force: true }))

const tiny =
  '--data procedural:48,20 --width 2 --features 16 --batch 16 --epochs 2 --knn-every 1'.split(' ')

/** Runs kindred to its end, or interrupts it once it has printed what `until` matches. */
async function kindred(args: readonly string[], until?: RegExp) {
  const { code, out, err } = await runCli(args, until && signalAfter(until, 'SIGINT'))
  return { code, out: err + out } // the last line is one of `out`
}

const amdimConfig = (options: ConfigOptions) => configOf('amdim', options, false)

const schedule = amdimConfig({ data: 'cifar10:x' }).schedule as AmdimSettings['schedule']

const metrics = (run: string) => readFileSync(join(run, 'metrics.jsonl'), 'utf8')

test('reports each loss by itself, and resumes to the same bits', async ({ dir }) => {
  const [whole, cut] = [join(dir, 'whole'), join(dir, 'cut')]
  const first = await kindred(['train', 'amdim', ...tiny, '--out', whole])
  assert.is(first.code, 0, first.out)
  assert.not.match(first.out, /was not replayed/)
  assert.match(first.out, /AMDIM: an encoder of width 2, 16 features, depth 1 on 48 images/)
  const lines = metrics(whole)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { loss?: number; terms?: Record<string, number> })
  const losses = lines.filter((line) => line.loss !== undefined)
  assert.is(losses.length, 6)
  for (const { loss = NaN, terms = {} } of losses) {
    assert.equal(Object.keys(terms), ['1→5', '1→7', '5→5', 'penalty', 'linear', 'mlp'])
    const sum = ['1→5', '1→7', '5→5', 'penalty'].reduce(
      (total, name) => total + (terms[name] ?? NaN),
      0,
    )
    assert.ok(Math.abs(sum - loss) < 1e-4, `${sum}, ${loss}`)
  }
  const report = readFileSync(join(whole, 'report.html'), 'utf8')
  for (const title of ['Loss: 1→5', 'Loss: 1→7', 'Loss: 5→5', 'Loss: penalty'])
    assert.ok(report.includes(title), title)

  const early = await kindred(['train', 'amdim', ...tiny, '--out', cut], /epoch 1, kNN/)
  assert.is(early.code, 130, early.out)
  const rest = await kindred(['train', 'amdim', '--resume', cut])
  assert.is(rest.code, 0, rest.out)
  assert.is(metrics(cut), metrics(whole))
  const last = (run: string) =>
    readFileSync(
      join(run, 'checkpoints', readdirSync(join(run, 'checkpoints')).sort().at(-1) ?? ''),
    )
  assert.ok(last(cut).equals(last(whole)), 'the checkpoints differ')
})

test('in chunks, interrupted, resumes to the same bits', async ({ dir }) => {
  const [whole, cut] = [join(dir, 'chunks'), join(dir, 'chunks-cut')]
  const chunked = [...tiny, '--chunk', '6'] // 5, 5 and 6 images
  const first = await kindred(['train', 'amdim', ...chunked, '--out', whole])
  assert.is(first.code, 0, first.out)
  assert.not.match(first.out, /was not replayed/)
  assert.match(first.out, /batch 16 in chunks of 6, /)
  const config = JSON.parse(readFileSync(join(whole, 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >
  assert.is(config['chunk'], 6)
  assert.is((await kindred(['train', 'amdim', ...chunked, '--out', cut], /epoch 1, kNN/)).code, 130)
  assert.is((await kindred(['train', 'amdim', '--resume', cut, '--no-capture'])).code, 0)
  assert.is(metrics(cut), metrics(whole))
  const last = (run: string) => readFileSync(join(run, 'checkpoints/step-00000006.safetensors'))
  assert.ok(last(cut).equals(last(whole)), 'the checkpoints differ')
  refuses(
    () => amdimConfig({ batch: 16, chunk: 1 }),
    '--chunk: batch norm needs 2 images or more at a time, got 1 of a batch of 16 in chunks of 1',
  )
})

test('classifiers of the frozen encoder score every test image', async ({ dir }) => {
  const run = join(dir, 'whole')
  for (const kind of ['linear', 'mlp']) {
    const once = () => kindred(['eval', kind, run, '--epochs', '2', '--json'])
    const [a, b] = [await once(), await once()]
    assert.is(a.code, 0, a.out)
    const result = JSON.parse(a.out.trim().split('\n').at(-1) ?? '') as Record<string, unknown>
    assert.is(result['test'], 20)
    assert.is(result['train'], 48)
    const accuracy = Number(result['accuracy'])
    assert.ok(
      accuracy >= 0 && accuracy <= 100 && (accuracy / 5) % 1 === 0,
      `${accuracy} of 20 images`,
    )
    assert.is(b.out.trim().split('\n').at(-1), a.out.trim().split('\n').at(-1))
  }
  const { code, out } = await kindred(['eval', 'knn', run])
  assert.is(code, 0, out)
})

test('a folder trains on crops of whole photos, and goes on', async ({ dir }) => {
  const photos = join(dir, 'photos')
  mkdirSync(photos)
  for (let i = 0; i < 10; i++) {
    const raw = { width: 48, height: 40, channels: 3 } as const
    const pixels = Uint8Array.from({ length: 48 * 40 * 3 }, (_, at) => (at * (i + 7)) % 256)
    await sharp(pixels, { raw })
      .png()
      .toFile(join(photos, `${i}.png`))
  }
  const run = join(dir, 'folder')
  const size = '--width 2 --features 16 --batch 4 --epochs 1'.split(' ')
  const begun = await kindred([
    'train',
    'amdim',
    '--data',
    `folder:${photos}`,
    ...size,
    '--out',
    run,
  ])
  assert.is(begun.code, 0, begun.out)
  const again = await kindred(['train', 'amdim', '--resume', run, '--epochs', '2'])
  assert.is(again.code, 0, again.out)
})

test('the climb does not move the milestones', () => {
  assert.equal(schedule, {
    name: 'step',
    lr: 2e-4,
    warmupSteps: 500,
    milestones: [250, 280],
    gamma: 0.2,
  })
  const at = amdimSchedule(schedule, 100)
  const climb = warmup(500, constant(2e-4), { first: 'nonzero' })
  for (const t of [0, 1, 250, 499]) assert.is(at(t), climb(t))
  const plain = multiStep(2e-4, [25_000, 28_000], 0.2)
  for (const t of [500, 24_999, 25_000, 27_999, 28_000, 29_999]) assert.is(at(t), plain(t))
})

test('a milestone within the climb decays from there on, not before', () => {
  const at = amdimSchedule({ ...schedule, warmupSteps: 20, milestones: [4] }, 4)
  assert.is(at(0), 2e-4 / 20)
  assert.is(at(15), (2e-4 * 16) / 20)
  assert.is(at(16), (2e-4 * 0.2 * 17) / 20)
  assert.is(at(40), 2e-4 * 0.2)
})

test('a batch of one image has nothing to compare it with', () => {
  refuses(
    () => amdimConfig({ batch: 1 }),
    '--batch: must be 2 or more, as images are compared with the others of their batch, got 1',
  )
})

test('sizes and features that the encoder has no layers for are refused by their flags', () => {
  const wrong = { size: 40, data: 'folder:x' }
  refuses(
    () => amdimConfig(wrong),
    '--size: maps must reach sides of 7, 5 and 1, got 38, 38, 18, 9, 9, 7, 5, 3, 3 for images of 40 px; use 32, 64 or 128',
  )
  refuses(
    () => amdimConfig({ width: 2, features: 7 }),
    '--features: features must be at least the 8 channels of the last map, got 7',
  )
})

test('features that no memory holds are refused with their limit', async () => {
  const { code, out } = await kindred(['train', 'amdim', '--features', '100000000'])
  assert.is(code, 2)
  assert.match(out, /--features: must be a whole number from 1 to 16384, got 100000000/)
})

test('a preset is chosen by the data, and refused by name', () => {
  assert.is(amdimConfig({}).preset, 'amdim-demo')
  assert.is(amdimConfig({ data: 'cifar10:x' }).preset, 'amdim-cifar-small')
  assert.is(configOf('amdim', { data: 'cifar10:x' }, true).preset, 'amdim-demo')
  const stl = amdimConfig({ data: 'stl10-unlabeled:x' })
  assert.equal([stl.preset, stl.size, (stl.views as Recipe).testResize], ['amdim-stl10', 64, 70])
  refuses(
    () => amdimConfig({ preset: 'large' }),
    '--preset: must be one of amdim-cifar-small, amdim-cifar-large, amdim-stl10, amdim-imagenet128, amdim-demo, got large',
  )
})

test.run()
