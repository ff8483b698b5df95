// Tests resuming a run whose images, folder or checkpoints have changed since it began.

import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { digestsOf, sampleOf } from '../../training/fingerprint.ts'
import { sha256 } from '../../training/sha256.ts'
import { type GoingOn, checkResumable } from '../../training/resumable.ts'
import { procedural } from '../../data/procedural.ts'
import { decodeSafetensors } from '../../engine/safetensors.ts'
import { kindred, metricsOf } from '../fixtures/cli.ts'
import { picture } from '../fixtures/images.ts'

const knn = { every: 1, k: null, temperature: 0.5, bank: null, queries: null }

const test = suite<{ dir: string; photos: string; run: string }>('kindred train --resume')
test.before(async (context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-resume-'))
  context.photos = join(context.dir, 'photos')
  context.run = join(context.dir, 'run')
  for (let i = 0; i < 8; i++)
    await picture(join(context.photos, 'train', `${i}.png`), [20 * i, 200 - 9 * i, 60])
  await picture(join(context.photos, 'test', '0.png'))
})
test.after((context) => rmSync(context.dir, { recursive: true, force: true }))

test('goes on with the same images, and with no others', async ({ photos, run }) => {
  const tiny =
    '--size 16 --model resnet8 --stem cifar --width 2 --batch 4 --epochs 1 --preset simclr-demo'
  const first = await kindred(
    'train',
    'simclr',
    '--data',
    `folder:${photos}`,
    ...tiny.split(' '),
    '--out',
    run,
  )
  assert.is(first.code, 0, first.err)
  assert.match(first.out, /warm-up of 2 steps, the run has 2: the learning rate climbs to the end/)
  const { metadata } = decodeSafetensors(
    readFileSync(join(run, 'checkpoints/step-00000002.safetensors')),
  )
  for (const name of ['images.sha256', 'measured.sha256'])
    assert.match(metadata[name] ?? '', /^[0-9a-f]{64}$/)
  const resume = () => kindred('train', 'simclr', '--resume', run)
  const same = await resume()
  assert.is(same.code, 0, same.err)
  const before = metricsOf(run)
  await picture(join(photos, 'train', '3.png'), [250, 250, 250])
  const changed = await resume()
  assert.is(changed.code, 1)
  assert.match(
    changed.err,
    /run: it was trained on other images than the 8 that the data set folder:.*photos holds now; give the data set that it was trained on as --data, or start a new run on these from its weights, with --init .*run\/checkpoints\/step-00000002\.safetensors\n$/,
  )
  assert.match(changed.out, /^read folder/)
  assert.not.match(changed.out, /SimCLR|into|going on/, 'it refuses before it says that it trains')
  await picture(join(photos, 'train', '3.png'), [60, 173, 60])
  await picture(join(photos, 'train', 'more.png'))
  assert.match(
    (await resume()).err,
    /other images than the 9 that the data set folder:.*photos holds now/,
  )
  rmSync(join(photos, 'train', 'more.png'))
  const moved = `${photos} now`
  renameSync(photos, moved)
  const lost = await resume()
  assert.is(lost.code, 1)
  assert.match(
    lost.err,
    /run: its images are not at .*photos; say where they are with --data folder:PATH\n$/,
  )
  const again = await kindred('train', 'simclr', '--resume', run, '--data', `folder:${moved}`)
  assert.is(again.code, 0, again.err)
  assert.match(
    again.out,
    /changed since the checkpoint of step 2: data "folder:.*photos" -> "folder:.*now"/,
  )
  assert.is(metricsOf(run), before)
})

test('says so where there is no checkpoint to go on from', async ({ dir, run }) => {
  const bare = join(dir, 'bare')
  cpSync(run, bare, { recursive: true })
  for (const name of readdirSync(join(bare, 'checkpoints'))) rmSync(join(bare, 'checkpoints', name))
  const { code, out, err } = await kindred(
    'train',
    'simclr',
    '--resume',
    bare,
    '--out',
    `${dir}/./bare/`,
  )
  assert.is(code, 0, err)
  assert.match(out, /bare: there is no checkpoint yet, beginning at step 0/)
  assert.is(metricsOf(bare), metricsOf(run))
})

test('a run that would end before its checkpoint is told the least length', async ({ run }) => {
  const { code, err } = await kindred('train', 'simclr', '--resume', run, '--epochs', '3')
  assert.is(code, 0, err)
  const shorter = await kindred('train', 'simclr', '--resume', run, '--epochs', '2')
  assert.is(shorter.code, 1)
  assert.match(
    shorter.err,
    /run: its checkpoint is of step 6, and a run of 2 epochs of 2 steps ends at step 4; give --epochs 3 or more; changed since the checkpoint: epochs 3 -> 2\n$/,
  )
})

test('a changed test half, or other labels, are said, and accuracies not compared', async ({
  dir,
}) => {
  const [photos, run] = [join(dir, 'labelled'), join(dir, 'measured')]
  for (let i = 0; i < 8; i++) {
    await picture(join(photos, 'train', 'ab'[i % 2] ?? '', `${i}.png`), [20 * i, 200 - 9 * i, 60])
    if (i < 4)
      await picture(join(photos, 'test', 'ab'[i % 2] ?? '', `${i}.png`), [20 * i, 200 - 9 * i, 60])
  }
  const tiny =
    '--size 16 --model resnet8 --width 2 --batch 4 --epochs 1 --preset simclr-demo --json'
  const data = ['--data', `folder:${photos}`]
  const first = await kindred('train', 'simclr', ...data, ...tiny.split(' '), '--out', run)
  assert.is(first.code, 0, first.err)
  await picture(join(photos, 'test', 'a', '0.png'), [250, 3, 250])
  const resume = (...more: string[]) => kindred('train', 'simclr', '--resume', run, ...more)
  const words =
    /measured: labels, names of classes, test images or the settings of kNN have changed since they were last measured: accuracies from here on are not compared with earlier ones/
  const replaced = await resume('--epochs', '2')
  assert.is(replaced.code, 0, replaced.err)
  assert.match(replaced.out, words)
  assert.match(replaced.out, /raw pixels +-\n/, 'of the earlier test half')
  const lines = metricsOf(run).trim().split('\n')
  const at = lines.findIndex((line) => line.startsWith('{"step":2,"changed":{"measured":{"from":"'))
  assert.match(lines[at + 1] ?? '', /^{"step":2,"changed":{"epochs"|^{"step":2,"epoch":1,"knn":/)
  assert.not.match((await resume()).out, words, 'said once')
  renameSync(join(photos, 'train', 'b'), join(photos, 'train', 'c'))
  renameSync(join(photos, 'test', 'b'), join(photos, 'test', 'c'))
  assert.match((await resume()).out, words)
})

test('a run of another method is told how to go on', async ({ run }) => {
  const { code, err } = await kindred('train', 'moco', '--resume', run)
  assert.is(code, 1)
  assert.match(
    err,
    /not of a MoCo run, its method is simclr; go on with: npx kindred train simclr --resume .*run/,
  )
})

test('checkpoints that name no images, or 32 of them, go on as before', async () => {
  const { train, ...data } = procedural({ train: 4, test: 1 })
  const digests = () => digestsOf({ train, test: data.test }, { knn }, sha256)
  const run: GoingOn = {
    storage: { name: 'r', nameOf: (setting) => `--${setting}` },
    config: { method: 'simclr', epochs: 3, data: 'procedural' },
    images: train,
    digests,
    stepsPerEpoch: 4,
  }
  const path = 'r/step-3'
  await checkResumable({ step: 12, path, metadata: {} }, run)
  await checkResumable({ step: 3, path, metadata: { images: await sampleOf(train) } }, run)
  const refusal = (step: number, metadata: Record<string, string>) =>
    checkResumable({ step, path, metadata }, run).then(
      () => 'was not refused',
      (error: Error) => error.message,
    )
  assert.match(
    await refusal(3, { images: '01234567' }),
    /^r: it was trained on other images than the 4 .*; give the data set that it was trained on as --data, or start a new run on these from its weights, with --init r\/step-3$/,
  )
  assert.match(
    await refusal(14, {}),
    /^r: its checkpoint is of step 14, .*; give --epochs 4 or more$/,
  )
})

test.run()
