// Tests how a run finds its images again.

import {
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findSource, sourceOf } from '../../cli/data-source.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = suite<{ dir: string }>('source of a run')
test.before.each((context) => {
  context.dir = realpathSync(mkdtempSync(join(tmpdir(), 'kindred-source-')))
  for (const name of ['runs/a', 'photos', 'elsewhere'])
    mkdirSync(join(context.dir, name), { recursive: true })
})
test.after.each(({ dir }) => rmSync(dir, { recursive: true }))

test('is absolute, and relative to the run', ({ dir }) => {
  assert.equal(sourceOf(`folder:${dir}/photos`, join(dir, 'runs/a')), {
    data: `folder:${dir}/photos`,
    dataFromRun: '../../photos',
  })
  assert.is(sourceOf('folder:photos', 'runs/a').data, `folder:${process.cwd()}/photos`)
  assert.is(sourceOf('cifar10:a:b', 'runs/a').data, `cifar10:${process.cwd()}/a:b`)
})

test('of the built-in images has no path', () => {
  for (const spec of ['procedural', 'procedural:20,10']) {
    assert.equal(sourceOf(spec, 'runs/a'), { data: spec })
    assert.is(findSource({ data: spec }, 'runs/a'), spec)
  }
})

test('is found when the run, or both, were moved', ({ dir }) => {
  const source = sourceOf(`folder:${dir}/photos`, join(dir, 'runs/a'))
  renameSync(join(dir, 'runs'), join(dir, 'elsewhere/deep'))
  assert.is(findSource(source, join(dir, 'elsewhere/deep/a')), `folder:${dir}/photos`)
  renameSync(join(dir, 'elsewhere/deep'), join(dir, 'elsewhere/runs'))
  renameSync(join(dir, 'photos'), join(dir, 'elsewhere/photos'))
  assert.is(findSource(source, join(dir, 'elsewhere/runs/a')), `folder:${dir}/elsewhere/photos`)
})

test('that lies in the run is not looked for in the folder where the user is', ({ dir }) => {
  const source = { data: 'images:images.safetensors', dataFromRun: 'images.safetensors' }
  const here = process.cwd()
  for (const place of ['runs/a', 'elsewhere'])
    writeFileSync(join(dir, place, 'images.safetensors'), place)
  process.chdir(join(dir, 'elsewhere'))
  try {
    assert.is(findSource(source, join(dir, 'runs/a')), `images:${dir}/runs/a/images.safetensors`)
  } finally {
    process.chdir(here)
  }
})

test('is seen from where the run folder really is', ({ dir }) => {
  symlinkSync(join(dir, 'runs/a'), join(dir, 'elsewhere/link'))
  const source = sourceOf(`folder:${dir}/photos`, join(dir, 'elsewhere/link'))
  assert.is(source.dataFromRun, '../../photos')
})

test('that is at neither place is asked for', ({ dir }) => {
  const run = join(dir, 'runs/a')
  const source = sourceOf(`folder:${dir}/photos`, run)
  rmSync(join(dir, 'photos'), { recursive: true })
  refuses(
    () => findSource(source, run),
    `${run}: its images are not at ${dir}/photos; say where they are with --data folder:PATH`,
  )
  refuses(
    () => findSource(source, join(dir, 'elsewhere')),
    `${dir}/elsewhere: its images are not at ${dir}/photos, nor at ${join(dir, '../photos')}; say where they are with --data folder:PATH`,
  )
})

test.run()
