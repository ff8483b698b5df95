// Tests kindred eval linear through the command line, as a user types it, and the sizes that are
// checked before a run is made.

import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { procedural } from '../../data/procedural.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { configOf } from '../../training/config.ts'
import { ofAll, type KnnProbe } from '../../training/knn.ts'
import { checkRoom } from '../../cli/room.ts'
import { picture } from '../fixtures/images.ts'
import { kindred } from '../fixtures/kindred.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = suite<{ dir: string; run: string }>('kindred eval linear')
const tiny =
  '--data procedural:60,40 --stem imagenet --width 2 --batch 30 --epochs 1 --knn-bank 50 --k 3'.split(
    ' ',
  )

const lastOf = (out: string) =>
  JSON.parse(out.trim().split('\n').at(-1) ?? '') as Record<string, unknown>

test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-linear-'))
  context.run = join(context.dir, 'run')
  const { code, err } = kindred(
    'train',
    'simclr',
    ...tiny,
    '--model',
    'resnet8',
    '--out',
    context.run,
  )
  assert.is(code, 0, err)
})
test.after((context) => rmSync(context.dir, { recursive: true, force: true }))

test('fits one best classifier to features computed once, and puts kNN beside it', ({ run }) => {
  const [a, b] = [
    kindred('eval', 'linear', run, '--json'),
    kindred('eval', 'linear', run, '--json'),
  ]
  assert.is(a.code, 0, a.err)
  assert.is(a.out, b.out)
  const out = a.out.replaceAll('\\n', '\n')
  assert.match(out, /features of 60 training images are computed, 8 numbers each/)
  assert.match(
    out,
    /linear classifier on the frozen encoder of step 2: \d+\.\d\d% of all 40 test images \(logistic regression on the features of 60 labelled ones; lambda [\d.]+, chosen on a fifth of them held out, \d+\.\d\d%\)\nkNN on the same features: \d+\.\d\d% \(k 3, temperature 0\.5, 50 neighbours to choose from\)/,
  )
  const result = lastOf(a.out)
  assert.equal(
    [result['protocol'], result['train'], result['test'], result['bank']],
    ['exact', 60, 40, 50],
  )
  assert.is(result['belowKnn'], Number(result['accuracy']) < Number(result['knn']))
  assert.is(out.includes('this linear classifier is below kNN: no plane'), result['belowKnn'])
  const knn = lastOf(kindred('eval', 'knn', run, '--json').out)
  assert.is(result['knn'], knn['trained'], 'what eval knn says')
})

test('trains by epochs as the paper does where asked, or where a flag of that is given', ({
  run,
}) => {
  for (const flags of [
    ['--protocol', 'paper', '--epochs', '1'],
    ['--epochs', '1', '--lr', '1e-6', '--no-augment'],
  ]) {
    const { code, out, err } = kindred('eval', 'linear', run, ...flags, '--json', '--subset', '40')
    assert.is(code, 0, err)
    const result = lastOf(out)
    assert.equal([result['protocol'], result['epochs'], result['train']], ['paper', 1, 40])
    const said =
      /this linear classifier is below kNN: its training is not at its end; give it more --epochs or a higher --lr, or --protocol exact, which needs neither/
    assert.is(said.test(String(result['text'])), result['belowKnn'])
  }
})

test('says that a rate was too high, not that it was too low', ({ run }) => {
  const flags = ['--protocol', 'moco', '--epochs', '2', '--json']
  for (const [option, remedy] of [
    ['--lr', 'a lower --lr'],
    ['--sweep', 'lower rates to --sweep'],
  ] as const) {
    const { code, out, err } = kindred('eval', 'linear', run, ...flags, option, '1e30')
    assert.is(code, 0, err)
    const { text, diverged, trainLoss } = lastOf(out)
    assert.is(diverged, true)
    assert.ok(trainLoss === null || Number(trainLoss) > 1e6)
    const said =
      /this linear classifier diverged: its loss on training images ended at \S+, and equal scores have 2\.30; learning rate 1e\+30 is too high, give (.*)\n?/
    assert.is(said.exec(String(text))?.[1], remedy)
    assert.not.match(String(text), /more --epochs|higher/)
  }
  for (const more of [
    ['--lr', '1e-6'],
    ['--sweep', '1e-7,1e-6'],
  ]) {
    const { code, out, err } = kindred('eval', 'linear', run, ...flags, ...more)
    assert.is(code, 0, err)
    assert.is(lastOf(out)['diverged'], false)
    assert.ok(Math.abs(Number(lastOf(out)['trainLoss']) - Math.log(10)) < 0.1)
  }
  const mlp = kindred('eval', 'mlp', run, '--epochs', '2', '--json')
  assert.is(lastOf(mlp.out)['diverged'], false, mlp.err)
})

test('lowers a batch of more than all images, and says so', ({ run }) => {
  const flags = ['--protocol', 'simclr', '--epochs', '1', '--json']
  const { code, out, err } = kindred('eval', 'linear', run, ...flags, '--batch', '1000000')
  assert.is(code, 0, err)
  assert.match(out, /"text":"--batch 1000000 is lowered to the 60 training images","batch":60/)
  assert.equal([lastOf(out)['batch'], lastOf(out)['lr']], [60, (0.1 * 60) / 256])
  assert.not.match(kindred('eval', 'linear', run, ...flags, '--batch', '60').out, /lowered/)
})

test('trains on the images that a list names', ({ dir, run }) => {
  const picked = kindred('curate', 'select', '12', run, '--half', 'train')
  assert.is(picked.code, 0, picked.err)
  const list = join(dir, 'to-label.txt')
  writeFileSync(list, `${picked.out}\n`)
  const { code, out, err } = kindred('eval', 'linear', run, '--labelled', list, '--json')
  assert.is(code, 0, err)
  assert.equal([lastOf(out)['train'], lastOf(out)['test']], [12, 40])
  writeFileSync(list, 'train/3\ntest/4\n')
  const wrong = kindred('eval', 'linear', run, '--labelled', list)
  assert.is(wrong.code, 1)
  assert.match(
    wrong.err,
    /to-label\.txt must name training images; 1 line names a test image: test\/4; list training images alone, by curate --half train/,
  )
  const both = kindred('eval', 'linear', run, '--labelled', list, '--subset', '3')
  assert.is(both.code, 2)
  writeFileSync(list, '\n')
  assert.match(kindred('eval', 'linear', run, '--labelled', list).err, /must name a training image/)
})

test('refuses in words, with exit code 2, what exact fitting does not know', ({ run }) => {
  for (const [flag, ...value] of [['epochs', '3'], ['lr', '0.1'], ['batch', '8'], ['no-augment']]) {
    const { code, err } = kindred(
      'eval',
      'linear',
      run,
      '--protocol',
      'exact',
      `--${flag}`,
      ...value,
    )
    assert.is(code, 2)
    assert.is(
      err,
      `kindred: --protocol exact has no epochs, batches or learning rate; leave out --${flag}, or give another protocol`,
    )
  }
})

test('says when more neighbours are asked for than the bank has', ({ run }) => {
  const { code, out } = kindred('eval', 'knn', run, '--k', '500')
  assert.is(code, 0)
  assert.match(
    out,
    /^k 500 is more than the bank's 50 images: all of them vote, so that near ones count little more than far ones\nkNN top-1 at step 2 \(k 50,/m,
  )
  const probe = { k: 50 } as KnnProbe
  assert.is(ofAll(probe, { k: 50 }), null)
  assert.is(ofAll(probe, { k: null }), null)
})

test('of a set without test images is refused in the words of eval knn', async ({ dir, run }) => {
  const photos = join(dir, 'one of each')
  for (const name of ['a', 'b']) await picture(join(photos, name, '0.png'))
  for (const kind of ['linear', 'mlp', 'knn']) {
    const { code, err } = kindred('eval', kind, run, '--data', `folder:${photos}`)
    assert.is(code, 2)
    assert.is(
      err,
      `kindred: eval ${kind}: needs labelled training and test images, and folder:${photos} has no test images; give classes 2 images or more each, of which one is tested on, or name a labelled set with --data`,
    )
  }
})

test('of a run whose newest checkpoint is damaged takes the one before, and says so', ({
  dir,
  run,
}) => {
  const copy = join(dir, 'damaged')
  cpSync(run, copy, { recursive: true })
  const path = join(copy, 'checkpoints', 'step-00000009.safetensors')
  writeFileSync(path, 'no checkpoint')
  const { code, err } = kindred('eval', 'knn', copy, '--json')
  assert.is(code, 0, err)
  assert.ok(err.startsWith(`kindred: ${path}: `), err)
})

/** An adapter that binds so many bytes. */
const binding = (maxStorageBufferBindingSize: number) =>
  ({
    device: { limits: { maxStorageBufferBindingSize } },
    run: null,
    variable: null,
  }) as unknown as Gpu
const { train: images } = procedural({ train: 1000, test: 10 })

test('what the data set or a flag lets grow is checked against what the adapter binds', () => {
  const moco = configOf('moco', { queue: 4096 }, false)
  const bank = (negatives: number) => configOf('memory-bank', { negatives }, false)
  const small = binding(2 ** 19)
  checkRoom(binding(2 ** 27), moco, images, 'on')
  checkRoom(binding(2 ** 27), bank(500), images, 'auto')
  checkRoom(small, configOf('simclr', {}, false), images, 'auto')
  refuses(
    () => checkRoom(small, moco, images),
    '--queue: 4096 of 64 numbers each have 1048576 bytes and this adapter binds at most 524288; give 2048 keys or fewer',
  )
  refuses(
    () => checkRoom(binding(2 ** 17), bank(900), images),
    '--negatives: 900 of 64 numbers each have 230400 bytes and this adapter binds at most 131072; give 512 or fewer',
  )
  refuses(
    () => checkRoom(binding(2 ** 17), bank(500), images),
    'memory bank of one slot per image: 1000 of 64 numbers each have 256000 bytes and this adapter binds at most 131072; give --subset 512 or less',
  )
  refuses(
    () => checkRoom(small, bank(500), images, 'on'),
    '--resident: the 1000 images have 3072000 bytes and this adapter binds at most 524288; leave it at auto, which streams them, or give --subset 170 or less',
  )
})

test('of a run that is resumed no flag is named that a resumed run refuses', () => {
  const bank = configOf('memory-bank', { negatives: 500 }, false)
  const resuming = { resuming: true }
  refuses(
    () => checkRoom(binding(2 ** 17), bank, images, 'auto', resuming),
    'memory bank of one slot per image: 1000 of 64 numbers each have 256000 bytes and this adapter binds at most 131072; name another with --adapter, or start a new run',
  )
  refuses(
    () => checkRoom(binding(2 ** 19), bank, images, 'on', resuming),
    '--resident: the 1000 images have 3072000 bytes and this adapter binds at most 524288; leave it at auto, which streams them',
  )
})

test('a queue that is too large is told before a folder is made', ({ dir }) => {
  const out = join(dir, 'none')
  const { code, err } = kindred(
    'train',
    'moco',
    ...tiny,
    '--queue',
    '9000000',
    '--bn-splits',
    '1',
    '--out',
    out,
  )
  assert.is(code, 2)
  assert.match(
    err,
    /^kindred: --queue: 9000000 of 128 numbers each have 4608000000 bytes and this adapter binds at most \d+; give \d+ keys or fewer$/,
  )
  assert.not.ok(existsSync(out))
  const compared = kindred(
    'compare',
    '--negatives',
    '9000000',
    '--subset',
    '200',
    '--width',
    '2',
    '--out',
    out,
  )
  assert.is(compared.code, 2, compared.err)
  assert.not.ok(existsSync(out))
})

test.run()
