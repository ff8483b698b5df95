// What is said of a path, and whether nothing is there.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { lookAt, namesIn } from '../../data/paths.ts'
import { refusal } from '../fixtures/refusal.ts'

const test = suite<{ dir: string }>('paths')
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-'))
  mkdirSync(join(context.dir, 'photos'))
  writeFileSync(join(context.dir, 'file'), '')
  symlinkSync('nowhere', join(context.dir, 'gone'))
  symlinkSync('circle', join(context.dir, 'circle'))
})
test.after.each(({ dir }) => rmSync(dir, { recursive: true }))

test('a path is missing where nothing is there, also behind a link', async ({ dir }) => {
  for (const [path, trouble, isMissing] of [
    ['photos', null, false],
    ['fotos', 'does not exist', true],
    ['fotos/a', 'does not exist', true],
    ['gone', 'is a link to nowhere, which does not exist', true],
    ['circle', 'cannot be reached: its links lead in a circle', false],
    ['file/a', 'cannot be reached: part of the path is a file, not a folder', false],
    ['x'.repeat(300), 'cannot be reached: a name in the path is too long', false],
    ['\ufffd', 'has a name that is not UTF-8; rename it', false],
  ] as const) {
    const found = await lookAt(join(dir, path))
    assert.equal([found.trouble, found.isMissing], [trouble, isMissing], path)
  }
})

test('only a missing folder is answered by a name like it', async ({ dir }) => {
  const told = async (name: string) =>
    (await refusal(() => namesIn('folder', join(dir, name), 'a folder of images'))).slice(
      `folder: ${join(dir, name)} `.length,
    )
  assert.is(await told('photo'), `does not exist; did you mean ${join(dir, 'photos')}?`)
  assert.is(await told('q'), 'does not exist; give a folder of images')
  const link = 'is a link to nowhere, which does not exist; give a folder of images'
  assert.is(await told('gone'), link)
  assert.is(await told('circle'), 'cannot be reached: its links lead in a circle')
  const within = 'cannot be reached: part of the path is a file, not a folder'
  assert.is(await told('file/photos'), within)
  assert.is(await told('photos\ufffd'), 'has a name that is not UTF-8; rename it')
})

test.run()
