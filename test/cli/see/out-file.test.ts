// Tests that files which belong together appear together, or not at all.

import fs, {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
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

/** Runs `work`, and calls `look` before each change of names, with what is about to be done. Tells
 *  the syncs of a folder from those of files. */
async function watched(work: () => Promise<unknown>, look: (what: string) => void) {
  const { openSync, fsyncSync, linkSync, renameSync, rmSync: remove } = fs
  const opened = new Map<number, string>()
  Object.assign(fs, {
    openSync(...given: Parameters<typeof openSync>) {
      const file = openSync(...given)
      opened.set(file, String(given[0]))
      return file
    },
    fsyncSync(file: number) {
      look(`sync ${basename(opened.get(file) ?? '')}`)
      fsyncSync(file)
    },
    ...Object.fromEntries(
      Object.entries({ link: linkSync, rename: renameSync, rm: remove }).map(([what, act]) => [
        `${what}Sync`,
        (...given: readonly [never, never]) => {
          look(`${what} ${basename(String(given[0]))}`)
          act(...given)
        },
      ]),
    ),
  })
  syncBuiltinESMExports()
  try {
    await work()
  } finally {
    Object.assign(fs, { openSync, fsyncSync, linkSync, renameSync, rmSync: remove })
    syncBuiltinESMExports()
  }
}

test('a power cut between two leaves each whole, and the old ones beside the new', async ({
  dir,
}) => {
  const names = ['a', 'b', 'new']
  for (const name of ['a', 'b']) writeFileSync(join(dir, name), `old ${name}`)
  const files = names.map((name) => [join(dir, name), bytes(`new ${name}`)] as const)
  const steps: string[] = []
  const own = (name: string) => name.replace(`.${process.pid}`, '')
  await watched(
    () => writeTogether('--out', files, true),
    (what) => {
      steps.push(own(what))
      const there = new Map(
        readdirSync(dir).map((name) => [own(name), readFileSync(join(dir, name), 'utf8')]),
      )
      for (const name of ['a', 'b']) {
        const now = there.get(name)
        assert.ok(now === `old ${name}` || now === `new ${name}`, `${what}: ${now}`)
        const isSafe = steps.filter((step) => step === `sync ${basename(dir)}`).length > 1
        if (now !== `old ${name}` && !isSafe) assert.is(there.get(`.${name}.old`), `old ${name}`)
      }
    },
  )
  const folder = `sync ${basename(dir)}`
  assert.equal(
    steps.filter((step) => !step.startsWith('rm ')),
    [...['link a', 'link b', folder], ...names.map((name) => `rename .${name}.tmp`), folder],
  )
  assert.ok(steps.lastIndexOf(folder) < steps.lastIndexOf('rm .a.old'))
  assert.equal(readdirSync(dir).sort(), names)
})

test('what a crash has kept under a hidden name stays', async ({ dir }) => {
  const kept = join(dir, `.a.${process.pid}.old`)
  writeFileSync(kept, 'kept')
  for (const content of ['first', 'second']) {
    await writeTogether('--out', [[join(dir, 'a'), bytes(content)]], true)
    assert.is(readFileSync(join(dir, 'a'), 'utf8'), content)
  }
  assert.is(readFileSync(kept, 'utf8'), 'kept')
  assert.equal(readdirSync(dir).sort(), [basename(kept), 'a'])
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
