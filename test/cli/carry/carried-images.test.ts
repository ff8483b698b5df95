// A run on a folder of photos leaves with its images, for where pictures are decoded otherwise, and
// ends with the bits of one that never left.

import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type Zippable, unzipSync, zipSync } from 'fflate'
import { procedural } from '../../../data/procedural.ts'
import { openRun } from '../../../run-folder/open.ts'
import { packRun } from '../../../training/pack.ts'
import { encodeImages } from '../../../training/run-images.ts'
import { train } from '../../../training/train.ts'
import { unpackRun } from '../../../training/unpack.ts'
import { kindred, metricsOf, stoppedAfter } from '../../fixtures/cli.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { picture } from '../../fixtures/images.ts'
import { bitsOf } from '../../fixtures/stored-bits.ts'

const test = gpuSuite('runs with their images')

/** Runs `kindred`, and returns what it prints. Throws where it fails. */
async function ran(...args: string[]) {
  const { code, out, err } = await kindred(...args)
  assert.is(code, 0, err)
  return out
}

async function photosIn(folder: string) {
  for (let i = 0; i < 12; i++) {
    const kind = i % 2 ? 'dog' : 'cat'
    const path = join(folder, kind, `${i}.${i % 3 ? 'png' : 'jpg'}`)
    await picture(path, [20 * i, 255 - 15 * i, (i * 77) % 256], 17 + 5 * i, 40 - 2 * i)
  }
}

test('a run on photos goes on in a page and on a server without the photos', async ({ gpu }) => {
  const dir = mkdtempSync(join(tmpdir(), 'kindred-carried-'))
  const at = (...names: string[]) => join(dir, ...names)
  await photosIn(at('photos'))
  const settings = [
    ...['simclr', '--data', `folder:${at('photos')}`, '--preset', 'simclr-demo', '--size', '16'],
    ...[
      '--model',
      'resnet8',
      '--stem',
      'imagenet',
      '--width',
      '2',
      '--batch',
      '4',
      '--subset',
      '8',
    ],
    ...['--epochs', '3', '--knn-every', '1'],
  ]
  await ran('train', ...settings, '--out', at('whole'))
  const stopped = await stoppedAfter(/epoch 1, /, 'train', ...settings, '--out', at('begun'))
  assert.is(stopped.code, 130, stopped.err)
  const told = await ran('export', at('begun'), '--to', at('run.zip'), '--with-images')
  assert.match(
    told,
    /run\.zip, \d+ KB\n {2}with its images: 8 training and 2 test images, \d+ KB as files, \d+ KB as pixels\n/,
  )
  assert.match(
    await ran('export', at('begun'), '--to', at('alone.zip')),
    /to go on with where its images are, in .*alone\.zip, .*\n {2}without its images: for a page, or elsewhere, add --with-images\n/,
  )
  renameSync(at('photos'), at('gone'))
  const again = await kindred('export', at('begun'), '--to', at('b.zip'), '--with-images')
  assert.match(
    again.err,
    /its images are not at .*photos.*; say where they are with --data folder:PATH/,
  )
  const moved = ['--with-images', '--data', `folder:${at('gone')}`, '--json']
  const json = JSON.parse(await ran('export', at('begun'), '--to', at('b.zip'), ...moved)) as object
  assert.equal((json as { images: { train: number; test: number } }).images.train, 8)

  // a server that has no photos
  assert.match(
    await ran('import', at('run.zip'), '--out', at('back')),
    /at step \d+\n {2}with its images: 8 training and 2 test images, .*\ngo on with: .* train simclr --resume .*back\n/,
  )
  assert.match(
    await ran('train', 'simclr', '--resume', at('back')),
    /read .*images\.safetensors: 8 training and 2 test images .*\n.*\n {2}from the file .*images\.safetensors, first read from folder:.*photos\n/,
  )
  const whole = await bitsOf(await openRun(at('whole')))
  assert.equal(await bitsOf(await openRun(at('back'))), whole)
  assert.is(metricsOf(at('back')), metricsOf(at('whole')))
  renameSync(at('back'), at('moved')) // the images move along
  for (const command of [['eval', 'knn'], ['report'], ['embed']])
    await ran(...command, at('moved'), ...(command[0] === 'embed' ? ['--out', at('e.npy')] : []))

  // a page
  const run = await unpackRun(new Uint8Array(readFileSync(at('run.zip'))))
  const images = await run.images()
  assert.ok(images)
  assert.is(run.config['data'], 'images:images.safetensors')
  assert.ok((await train(gpu, images, run)).finished)
  assert.equal(await bitsOf(run), whole)
  writeFileSync(at('page.zip'), new Uint8Array(await (await packRun(run)).arrayBuffer()))
  await ran('import', at('page.zip'), '--out', at('from-page'))
  assert.equal(await bitsOf(await openRun(at('from-page'))), whole)

  // an unzipped file is a run folder, also from where other images lie
  const files = unzipSync(new Uint8Array(readFileSync(at('run.zip'))))
  assert.equal(Object.keys(files).at(-1), 'images.safetensors')
  const without: Zippable = { ...files }
  delete without['images.safetensors']
  writeFileSync(at('without.zip'), zipSync(without))
  await ran('import', at('without.zip'), '--out', at('bare'))
  const bare = await kindred('train', 'simclr', '--resume', at('bare'))
  assert.match(bare.err, /its images are not at images\.safetensors.*; say where they are/)
  const found = await kindred(
    'train',
    'simclr',
    '--resume',
    at('bare'),
    '--data',
    `folder:${at('gone')}`,
  )
  assert.is(found.code, 0, found.err)
  assert.equal(await bitsOf(await openRun(at('bare'))), whole)
  rmSync(dir, { recursive: true })
})

test('images that are not those of the run, or of no use, are refused in words', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'kindred-carried-'))
  const at = (...names: string[]) => join(dir, ...names)
  const settings = ['--batch', '8', '--epochs', '1', '--width', '2', '--knn-every', '0']
  const small = ['--preset', 'simclr-demo', '--model', 'resnet8', '--stem', 'imagenet']
  await ran(
    'train',
    'simclr',
    '--data',
    'procedural:8,4',
    ...settings,
    ...small,
    '--out',
    at('run'),
  )
  const wrong: readonly (readonly [readonly string[], number, RegExp])[] = [
    [
      ['--to', at('a.zip'), '--with-images', '--data', 'procedural:9,4'],
      1,
      /it was trained on other images than the 9 given; give those, or leave the images out/,
    ],
    [
      ['--to', at('a.zip'), '--data', 'procedural:8,4'],
      2,
      /--data: says where the images are; give it with --with-images/,
    ],
    [['--to', at('a.onnx'), '--with-images'], 2, /--with-images: is of \.zip files; leave it out/],
  ]
  for (const [args, code, words] of wrong) {
    const told = await kindred('export', at('run'), ...args)
    assert.is(told.code, code, told.err)
    assert.match(told.err, words)
  }
  assert.equal(readdirSync(dir), ['run'])
  await ran('export', at('run'), '--to', at('run.zip'), '--with-images')
  const files = unzipSync(new Uint8Array(readFileSync(at('run.zip'))))
  const { 'images.safetensors': images = new Uint8Array(0) } = files
  images[images.length - 1] = (images.at(-1) ?? 0) ^ 1
  writeFileSync(at('damaged.zip'), zipSync(files))
  const damaged = await kindred('import', at('damaged.zip'), '--out', at('x'))
  assert.match(
    damaged.err,
    /damaged\.zip: images\.safetensors: its contents are not what was saved; the file is damaged/,
  )
  assert.not.ok(existsSync(at('x')))
  for (const [data, code, words] of [
    ['garbage', 2, /--data: must be one of cifar10:PATH, .*procedural, got 'garbage'/],
    ['', 2, /--data: must be one of .*, got ''/],
    ['folder:', 2, /--data: folder needs a path, as in folder:PATH/],
    [`folder:${at('none')}`, 1, /--data: there is nothing at .*none; say where the images are/],
  ] as const) {
    const told = await kindred('import', at('run.zip'), '--out', at('x'), '--data', data)
    assert.is(told.code, code, told.err)
    assert.match(told.err, words)
  }
  assert.not.ok(existsSync(at('x')))
  await picture(at('others', '1.png'), [1, 2, 3], 8, 8)
  const others = ['--out', at('others-run'), '--data', `folder:${at('others')}`]
  assert.match(
    await ran('import', at('run.zip'), ...others),
    /\n {2}without the images that it carries: 8 training and 4 test images, .*\n {2}they must be those of folder:.*others\ngo on/,
  )
  rmSync(at('others'), { recursive: true })
  const lost = await kindred('train', 'simclr', '--resume', at('others-run'))
  assert.match(lost.err, /with --data folder:PATH, or import .*run\.zip again without --data\n/)
  await ran('import', at('run.zip'), '--out', at('own'), '--data', 'procedural:8,4')
  assert.not.ok(existsSync(at('own', 'images.safetensors')))
  await ran('import', at('run.zip'), '--out', at('with'))
  assert.match(
    await ran('export', at('run'), '--to', at('drawn.zip')),
    /to go on with anywhere, in .*drawn\.zip, \d+ KB\n$/,
  )
  await ran('export', at('with'), '--to', at('with.zip')) // it has its own, and takes them along
  assert.ok(unzipSync(new Uint8Array(readFileSync(at('with.zip'))))['images.safetensors'])
  const strange = await encodeImages(procedural({ train: 9, test: 4 }))
  writeFileSync(at('run', 'images.safetensors'), strange)
  writeFileSync(at('with', 'images.safetensors'), images) // damaged
  for (const [name, words] of [
    ['run', /other images than the 9 given; .*; --no-images leaves out those in the run folder/],
    ['with', /its contents are not what was saved; .*; --no-images leaves out those in/],
  ] as const) {
    const told = await kindred('export', at(name), '--to', at('k.zip'), '--force')
    assert.is(told.code, 1)
    assert.match(told.err, words)
    await ran('export', at(name), '--to', at('k.zip'), '--no-images', '--force')
    const { 'config.json': config, ...rest } = unzipSync(new Uint8Array(readFileSync(at('k.zip'))))
    assert.not.ok(rest['images.safetensors'])
    assert.ok(config)
  }
  const both = ['--with-images', '--no-images']
  const opposite = await kindred('export', at('run'), '--to', at('k.zip'), ...both)
  assert.match(opposite.err, /--no-images: is the opposite of --with-images; leave it out/)
  rmSync(dir, { recursive: true })
})

test.run()
