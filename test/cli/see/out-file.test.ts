// Tests that files which belong together appear together, or not at all.

import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { writeTogether } from '../../../cli/see/out-file.ts'
import { writeFolder } from '../../../cli/see/out-folder.ts'
import { refusesAsync } from '../../fixtures/refusal.ts'

const test = suite<{ dir: string }>('files of a command')
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-out-'))
})
test.after.each(({ dir }) => rmSync(dir, { recursive: true, force: true }))

const bytes = (text: string) => [new TextEncoder().encode(text)]

/** Parts of a file whose disk is full after the first. */
function* tooLong() {
  yield* bytes('half')
  throw Object.assign(new Error('write'), { code: 'ENOSPC', syscall: 'write' })
}

test('all appear with their contents, and leave no draft', async ({ dir }) => {
  const [a, b] = [join(dir, 'a'), join(dir, 'b')]
  await writeTogether('--out', [
    [a, bytes('one')],
    [b, bytes('two')],
  ])
  assert.equal([readFileSync(a, 'utf8'), readFileSync(b, 'utf8')], ['one', 'two'])
  assert.equal(readdirSync(dir).sort(), ['a', 'b'])
})

test('none appears if the disk fills up at the second, and it is named', async ({ dir }) => {
  const [a, b] = [join(dir, 'a'), join(dir, 'b')]
  const files = [
    [a, bytes('one')],
    [b, tooLong()],
  ] as const
  await refusesAsync(
    () => writeTogether('--out', files),
    `cannot write ${b}: the disk is full; free space, then try again`,
  )
  assert.equal(readdirSync(dir), [])
})

test('none appears if something has taken the name of the second', async ({ dir }) => {
  const [a, b] = [join(dir, 'a'), join(dir, 'b')]
  writeFileSync(b, 'mine')
  const files = [
    [a, bytes('one')],
    [b, bytes('two')],
  ] as const
  await refusesAsync(
    () => writeTogether('--out', files),
    `--out: ${b} exists; add --force to replace it, or give another name`,
  )
  assert.equal(readdirSync(dir), ['b'])
  assert.is(readFileSync(b, 'utf8'), 'mine')
})

test('a folder that cannot be filled does not appear, and is named as it was given', async ({
  dir,
}) => {
  const folder = join(dir, 'made')
  await refusesAsync(
    () => writeFolder('--out', folder, [['x.tsv', tooLong()]], false),
    `cannot write ${folder}: the disk is full; free space, then try again`,
  )
  assert.equal(readdirSync(dir), [])
})

test.run()
