// Tests kindred embed as a program, on a narrow untrained encoder and a folder of pictures.

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import sharp from 'sharp'
import * as assert from 'uvu/assert'
import { load } from '../../../engine/node-files.ts'
import { embedder } from '../../../run-folder/embedder.ts'
import { kindred, stoppedAfter } from '../../fixtures/cli.ts'
import { HOSTILE, seenSuite } from '../../fixtures/seen.ts'

const test = seenSuite('kindred embed')

test('embed writes features, names, labels and a map, equal to those of embedder', async ({
  run,
  photos,
  dir,
}) => {
  const out = join(dir, 'features.safetensors')
  const args = ['embed', run, '--data', `folder:${photos}`, '--map', 'pca', '--out', out]
  const { code, err, out: said } = await kindred(...args, '--json')
  assert.is(code, 0, err)
  const { images, features } = JSON.parse(said) as { images: number; features: number }
  const { tensors, metadata } = await load(out)
  const names = JSON.parse(new TextDecoder().decode(tensors.get('names')?.data)) as string[]
  assert.is(names.length, images)
  assert.ok(names.includes(join(photos, 'a', HOSTILE)))
  assert.equal(tensors.get('map')?.shape, [images, 2])
  assert.equal(JSON.parse(metadata['classes'] ?? ''), ['a', 'b'])
  const labels = Array.from(tensors.get('labels')?.data as Int32Array)
  assert.equal(
    labels,
    names.map((name) => Number(name.includes('/b/'))),
  )
  const rows = tensors.get('features')?.data as Float32Array
  await using service = await embedder(run, { warm: false })
  for (const m of [0, images - 1]) {
    const wanted = await service.embed(names[m] ?? '')
    for (const [d, value] of wanted.entries())
      assert.ok(Math.abs(value - (rows[m * features + d] ?? NaN)) < 1e-5)
  }
})

test('embed replaces nothing unasked, and refuses what it does not know', async ({ run, dir }) => {
  const out = join(dir, 'kept.csv')
  writeFileSync(out, 'mine')
  const kept = await kindred('embed', run, '--out', out)
  assert.is(kept.code, 1)
  assert.is(
    kept.err,
    `kindred: --out: ${out} exists; add --force to replace it, or give another name\n`,
  )
  assert.is(readFileSync(out, 'utf8'), 'mine')
  const unknown = await kindred('embed', run, '--out', join(dir, 'a.xls'))
  assert.is(unknown.code, 2)
  assert.match(unknown.err, /must end in \.safetensors, \.csv, \.parquet, \.npy, or be a folder/)
  const broken = join(dir, 'broken.png')
  writeFileSync(broken, 'no image')
  const file = await kindred('embed', run, broken, '--out', join(dir, 'a.csv'))
  assert.is(file.code, 1)
  assert.match(file.err, /broken\.png/)
  assert.not(existsSync(join(dir, 'a.csv')))
  const ending = await kindred('embed', run, '--out', join(dir, '.parquet'))
  assert.is(ending.code, 2)
  assert.match(ending.err, /--out: must have a name before its ending, got .*\.parquet/)
})

test('embed leaves a file out that is no image, and names it', async ({ run, photos, dir }) => {
  const [broken, out] = [join(dir, 'short.png'), join(dir, 'some.csv')]
  writeFileSync(broken, 'no image')
  const files = [join(photos, 'a', '1.png'), broken, join(photos, 'a', '2.png')]
  const some = await kindred('embed', run, ...files, '--out', out, '--json')
  assert.is(some.code, 0, some.err)
  assert.match(some.err, /^1 file left out:\n {2}\S*short\.png /m)
  const { images, skippedFiles } = JSON.parse(some.out) as Record<string, unknown>
  assert.equal([images, skippedFiles], [2, 1])
  const own = join(dir, 'own.csv')
  const good = files.filter((file) => file !== broken)
  assert.is((await kindred('embed', run, ...good, '--out', own)).code, 0)
  assert.is(readFileSync(out, 'utf8'), readFileSync(own, 'utf8'))
})

test('embed writes Parquet: a row of each image, as in safetensors', async ({
  run,
  photos,
  dir,
}) => {
  const made = async (name: string, ...more: readonly string[]) => {
    const out = join(dir, name)
    const args = ['embed', run, '--data', `folder:${photos}`, '--out', out]
    const { code, err } = await kindred(...args, ...more)
    assert.is(code, 0, err)
    return out
  }
  const { tensors } = await load(await made('like.safetensors', '--map', 'pca'))
  const names: unknown = JSON.parse(new TextDecoder().decode(tensors.get('names')?.data))
  const file = await asyncBufferFromFile(await made('like.parquet', '--map', 'pca'))
  const rows = await parquetReadObjects({ file })
  assert.equal(
    rows.map(({ name }) => name as unknown),
    names,
  )
  const halves = [...(tensors.get('test')?.data ?? [])].map((n) => (n ? 'test' : 'train'))
  assert.equal(
    rows.map((row) => [row['class'], row['half']]),
    rows.map(({ name }, m) => [String(name).includes('/b/') ? 'b' : 'a', halves[m]]),
  )
  const same = (columns: readonly unknown[], name: string) =>
    assert.equal(columns.flat(), [...(tensors.get(name)?.data ?? [])])
  same(
    rows.map(({ x, y }) => [x, y]),
    'map',
  )
  same(
    rows.map((row) => row['features']),
    'features',
  )
  const plain = await parquetReadObjects({
    file: await asyncBufferFromFile(await made('plain.parquet')),
  })
  assert.equal(Object.keys(plain[0] ?? {}), ['name', 'class', 'half', 'features'])
})

test('embed makes a folder for the projector, and CSV cells that stay cells', async ({
  run,
  photos,
  dir,
}) => {
  const folder = join(dir, 'projector')
  const first = await kindred('embed', run, '--data', `folder:${photos}`, '--out', folder)
  assert.is(first.code, 0, first.err)
  const { width, height } = await sharp(join(folder, 'sprite.png')).metadata()
  assert.equal([width, height], [3 * 32, 3 * 32])
  const rows = readFileSync(join(folder, 'metadata.tsv'), 'utf8').trim().split('\n')
  assert.is(rows[0], 'name\tclass\thalf')
  assert.is(rows.length, 1 + 8)
  assert.is(readFileSync(join(folder, 'vectors.tsv'), 'utf8').trim().split('\n').length, 8)
  const named = join(dir, 'a,"b".png')
  await sharp(join(photos, 'a', HOSTILE)).toFile(named)
  const csv = await kindred('embed', run, named, '--out', join(dir, 'one.csv'))
  assert.is(csv.code, 0, csv.err)
  const text = readFileSync(join(dir, 'one.csv'), 'utf8')
  assert.match(text, /^name,class,half,f0,f1.*\n".*a,""b""\.png",,,-?\d/)
})

test('Ctrl-C leaves nothing half-written', async ({ run, photos, dir }) => {
  const place = join(dir, 'stopped')
  mkdirSync(place)
  const out = join(place, 'f.npy')
  const args = ['embed', run, '--data', `folder:${photos}`, '--out', out]
  const { code } = await stoppedAfter(/read folder/, ...args)
  assert.is(code, 130)
  assert.equal(readdirSync(place), [])
})

test.run()
