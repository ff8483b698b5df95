// What becomes of a run whose images, folder or checkpoints have changed since it began.

import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkResumable, fingerprint } from '../../cli/fingerprint.ts'
import { procedural } from '../../data/procedural.ts'
import { decodeSafetensors } from '../../engine/safetensors.ts'
import { kindred, metricsOf } from '../fixtures/cli.ts'
import { picture } from '../fixtures/images.ts'

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
  const tiny = '--size 16 --model resnet8 --stem cifar --width 2 --batch 4 --epochs 1 --preset simclr-demo'
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
  const { metadata } = decodeSafetensors(readFileSync(join(run, 'checkpoints/step-00000002.safetensors')))
  assert.match(metadata['images'] ?? '', /^[0-9a-f]{8}$/)
  const resume = () => kindred('train', 'simclr', '--resume', run)
  const same = await resume()
  assert.is(same.code, 0, same.err)
  const before = metricsOf(run)
  await picture(join(photos, 'train', '3.png'), [250, 250, 250])
  const changed = await resume()
  assert.is(changed.code, 1)
  assert.match(
    changed.err,
    /run: it was trained on other images than the 8 that the data set holds now; put those/,
  )
  await picture(join(photos, 'train', '3.png'), [60, 173, 60])
  await picture(join(photos, 'train', 'more.png'))
  assert.match((await resume()).err, /other images than the 9 that the data set holds now/)
  rmSync(join(photos, 'train', 'more.png'))
  const moved = `${photos} now`
  renameSync(photos, moved)
  const lost = await resume()
  assert.is(lost.code, 1)
  assert.match(lost.err, /run: its images are not at .*photos; say where they are with --data folder:PATH\n$/)
  const again = await kindred('train', 'simclr', '--resume', run, '--data', `folder:${moved}`)
  assert.is(again.code, 0, again.err)
  assert.match(again.out, /changed since the checkpoint of step 2: data "folder:.*photos" -> "folder:.*now"/)
  assert.is(metricsOf(run), before)
})

test('says so where there is no checkpoint to go on from', async ({ dir, run }) => {
  const bare = join(dir, 'bare')
  cpSync(run, bare, { recursive: true })
  for (const name of readdirSync(join(bare, 'checkpoints'))) rmSync(join(bare, 'checkpoints', name))
  const { code, out, err } = await kindred('train', 'simclr', '--resume', bare, '--out', `${dir}/./bare/`)
  assert.is(code, 0, err)
  assert.match(out, /bare: there is no checkpoint yet, beginning at step 0/)
  assert.is(metricsOf(bare), metricsOf(run))
})

test('a run that is shorter than its checkpoint is refused', async ({ dir, run }) => {
  const shorter = join(dir, 'shorter')
  cpSync(run, shorter, { recursive: true })
  const config = readFileSync(join(shorter, 'config.json'), 'utf8')
  writeFileSync(join(shorter, 'config.json'), config.replace('"batch": 4', '"batch": 8'))
  const { code, err } = await kindred('train', 'simclr', '--resume', shorter)
  assert.is(code, 1)
  assert.match(
    err,
    /its checkpoint is of step 2, but with its images and config.json as they are now the run ends at step 1;/,
  )
})

test('a run of another method is told how to go on', async ({ run }) => {
  const { code, err } = await kindred('train', 'moco', '--resume', run)
  assert.is(code, 1)
  assert.match(
    err,
    /not of a MoCo run, its method is simclr; go on with: npx kindred train simclr --resume .*run/,
  )
})

test('checkpoints that name no images go on as before', async () => {
  const { train } = procedural({ train: 4, test: 1 })
  const at = { dir: 'r', bank: false, total: 12 }
  await checkResumable(train, { step: 12, metadata: {} }, at)
  await checkResumable(train, { step: 3, metadata: { images: await fingerprint(train) } }, at)
  const refused = await checkResumable(train, { step: 14, metadata: {} }, at).catch((error: unknown) => error)
  assert.match(String(refused), /r: its checkpoint is of step 14, but .* the run ends at step 12/)
})

test.run()
