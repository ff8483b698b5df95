// Tests that files which belong together appear together, or not at all.

import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
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

/** Parts of a file in whose place, as it is written, something else appears. */
function* during(appears: () => void) {
  yield* bytes('new')
  appears()
}

for (const appears of ['before', 'while they are written'])
  test(`none appears if something takes the name of the second ${appears}`, async ({ dir }) => {
    const [a, b] = [join(dir, 'a'), join(dir, 'b')]
    const take = () => writeFileSync(b, 'mine')
    if (appears === 'before') take()
    const files = [
      [a, bytes('one')],
      [b, during(appears === 'before' ? () => undefined : take)],
    ] as const
    await refusesAsync(
      () => writeTogether('--out', files),
      `--out: ${b} exists; add --force to replace it, or give another name`,
    )
    assert.equal(readdirSync(dir), ['b'])
    assert.is(readFileSync(b, 'utf8'), 'mine')
  })

for (const appears of ['before', 'while they are written'])
  test(`none is replaced if a folder takes the name of the last ${appears}`, async ({ dir }) => {
    const [a, b, c] = [join(dir, 'a'), join(dir, 'b'), join(dir, 'c')]
    writeFileSync(a, 'old')
    const take = () => mkdirSync(c)
    if (appears === 'before') take()
    const files = [
      [a, bytes('one')],
      [b, bytes('two')],
      [c, during(appears === 'before' ? () => undefined : take)],
    ] as const
    await refusesAsync(
      () => writeTogether('--out', files, true),
      appears === 'before'
        ? `--out: ${c} is a folder; name a file`
        : `cannot write ${c}: it is a folder`,
    )
    assert.equal(readdirSync(dir).sort(), ['a', 'c'])
    assert.is(readFileSync(a, 'utf8'), 'old')
    assert.equal(readdirSync(c), [])
  })

test('all are replaced with force, at once: no signal is heard between two', async ({ dir }) => {
  const paths = ['a', 'b', 'c'].map((name) => join(dir, name))
  for (const path of paths) writeFileSync(path, 'old')
  const seen = new Set<string>()
  const look = () => {
    seen.add(paths.map((path) => readFileSync(path, 'utf8')).join(' '))
    clearImmediate(next)
    next = setImmediate(look)
  }
  let next = setImmediate(look)
  const files = paths.map((path) => [path, bytes('new')] as const)
  await writeTogether('--out', files, true)
  look()
  clearImmediate(next)
  assert.equal([...seen], ['old old old', 'new new new'])
  assert.equal(readdirSync(dir).sort(), ['a', 'b', 'c'])
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
