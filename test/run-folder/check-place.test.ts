// Tests that errors in a training's folder and options are reported before anything is read.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkNewRun as checkNew, checkOldRun as checkOld } from '../../cli/runs.ts'
import { beginRun as createRun } from '../../cli/runs.ts'
import { kindred } from '../fixtures/cli.ts'

const test = suite<{ dir: string }>('place of a training')
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-place-'))
})
test.after.each(({ dir }) => rmSync(dir, { recursive: true, force: true }))

const told = (checking: Promise<void>) =>
  checking.then(
    () => 'was not refused',
    (error: Error) => error.message.replace(/process \d+/, 'process N'),
  )

test('that is free is left as it was', async ({ dir }) => {
  await checkNew(join(dir, 'a', 'b'))
  mkdirSync(join(dir, 'c'))
  await checkNew(join(dir, 'c'))
  assert.equal(readdirSync(dir, { recursive: true }), ['c'])
})

test('that cannot be one is refused', async ({ dir }) => {
  writeFileSync(join(dir, 'file'), '')
  symlinkSync(join(dir, 'nowhere'), join(dir, 'link'))
  const cases = {
    file: 'there is a file, not a folder; choose another',
    'file/x': 'part of the path is a file, not a folder; choose another folder',
    link: 'there is a link to what does not exist; choose another folder',
    ['x'.repeat(300)]: 'a name in the path is too long; choose a shorter one',
  }
  for (const [name, words] of Object.entries(cases)) {
    const path = join(dir, name)
    assert.is(await told(checkNew(path)), `cannot write ${path}: ${words}`)
  }
  assert.equal(readdirSync(dir).sort(), ['file', 'link'])
})

test('that is in use or holds a run is refused', async ({ dir }) => {
  const run = await createRun(dir, { method: 'moco' })
  const who = `${dir} is in use by process N; wait for it to end`
  assert.is(await told(checkNew(dir)), `${who}, stop it, or choose another --out`)
  assert.is(await told(checkOld(dir)), `${who} or stop it`)
  await run.close()
  assert.match(
    await told(checkNew(dir)),
    / already holds a run; choose another --out, or go on with: .* train moco --resume /,
  )
  await checkOld(dir)
  assert.equal(readdirSync(dir).sort(), ['checkpoints', 'config.json'])
})

test('is looked at before images are read, and before a GPU is looked for', async ({ dir }) => {
  const file = join(dir, 'file')
  writeFileSync(file, '')
  const train = [
    'train',
    'simclr',
    '--data',
    `folder:${join(dir, 'no images')}`,
    '--adapter',
    'none',
  ]
  const { code, out, err } = await kindred(...train, '--out', file)
  assert.is(err, `kindred: cannot write ${file}: there is a file, not a folder; choose another\n`)
  assert.equal([code, out], [1, ''])
  const compared = await kindred('compare', '--adapter', 'none', '--out', file)
  assert.is(compared.err, err)
  const wrong = await kindred(...train, '--out', join(dir, 'run'))
  assert.match(wrong.err, /no images does not exist/)
  assert.equal(readdirSync(dir), ['file'])
})

test.run()
