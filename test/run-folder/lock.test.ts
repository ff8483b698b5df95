// Tests the lock of run folders and caches.

import { execFileSync, fork } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { lock } from '../../run-folder/lock.ts'
import { parseHolder, self, stateOf } from '../../data/holder.ts'

const role = process.argv[2]

/** Takes a lock whenever it is told where, and says whether it was alone with it. */
function take() {
  process.on('message', (path: string) => {
    void lock(path, 'run', { resuming: false }).then(
      async (release) => {
        const witness = `${path}.witness`
        let alone = true
        try {
          openSync(witness, 'wx')
        } catch {
          alone = false
        }
        await new Promise((resolve) => setTimeout(resolve, 2)) // long enough to meet another
        if (alone) unlinkSync(witness)
        await release()
        process.send?.(alone ? 'took' : 'clash')
      },
      (error: Error) => process.send?.(error.message.replace(/\d+/, 'N')),
    )
  })
}

function tests() {
  const test = suite<{ dir: string }>('lock')
  test.before.each((context) => {
    context.dir = mkdtempSync(join(tmpdir(), 'kindred-lock-'))
  })
  test.after.each(({ dir }) => rmSync(dir, { recursive: true }))

  const inUse = 'run is in use by process N; wait for it to end, stop it, or choose another folder'
  const stale = JSON.stringify({ ...self(), pid: 2 ** 22 + 1 })
  for (const [what, content, rounds] of [
    ['a lock of a dead process', stale, 20],
    ['no lock', null, 8],
    ['an empty lock', '', 3],
  ] as const)
    test(`of several processes that find ${what}, one at a time holds it`, async ({ dir }) => {
      const path = join(dir, 'lock')
      const takers = Array.from({ length: 3 }, () => fork(fileURLToPath(import.meta.url), ['take']))
      try {
        for (let round = 0; round < rounds; round++) {
          if (content !== null) writeFileSync(path, content)
          const said = await Promise.all(
            takers.map(
              (taker) =>
                new Promise((resolve) => {
                  taker.once('message', resolve)
                  taker.send(path)
                }),
            ),
          )
          assert.ok(said.includes('took'), `round ${round}: ${said.join()}`)
          for (const word of said) assert.ok(word === 'took' || word === inUse, String(word))
          assert.equal(readdirSync(dir), [])
        }
      } finally {
        for (const taker of takers) taker.kill() // a living one keeps this process from ending
      }
    })

  test('of this process is refused to this process', async ({ dir }) => {
    const release = await lock(join(dir, 'lock'), 'run', { resuming: false })
    assert.is(await refusalOf(dir), inUse)
    assert.is(
      await refusalOf(dir, true),
      'run is in use by process N; wait for it to end or stop it',
    )
    await release()
    assert.not(existsSync(join(dir, 'lock')))
  })

  test('that is no longer ours is left alone when it is given back', async ({ dir }) => {
    const release = await lock(join(dir, 'lock'), 'run', { resuming: false })
    writeFileSync(join(dir, 'lock'), "another's")
    await release()
    assert.is(readFileSync(join(dir, 'lock'), 'utf8'), "another's")
  })

  test('of a process that cannot be seen from here is not taken over', async ({ dir }) => {
    const path = join(dir, 'lock')
    writeFileSync(path, JSON.stringify({ ...self(), pid: 2 ** 22 + 1, host: 'elsewhere' }))
    assert.is(
      await refusalOf(dir),
      `run is in use by process N of elsewhere, which cannot be seen from here; wait for it to end, choose another folder, or delete ${path} if it is gone`,
    )
  })

  test('that is a link, a pipe or a folder is refused at once, and so is what removes it', async ({
    dir,
  }) => {
    const path = join(dir, 'lock')
    const make = {
      'a link': (at: string) => symlinkSync(join(dir, 'nowhere'), at),
      'a folder': (at: string) => mkdirSync(at),
      'a pipe': (at: string) => execFileSync('mkfifo', [at]),
    }
    for (const [kind, put] of Object.entries(make)) {
      put(path)
      assert.is(await refusalOf(dir), `${path} is ${kind} and must be a file; delete it`)
      rmSync(path, { recursive: true })
      writeFileSync(path, stale)
      put(`${path}.takeover`)
      assert.is(await refusalOf(dir), `${path}.takeover is ${kind} and must be a file; delete it`)
      rmSync(`${path}.takeover`, { recursive: true })
      rmSync(path)
    }
  })

  test('is judged by more than the number of its process', () => {
    const me = self()
    assert.is(stateOf(me), 'there')
    assert.is(stateOf({ ...me, pid: 2 ** 22 + 1 }), 'gone')
    if (me.started !== '') assert.is(stateOf({ ...me, started: '1' }), 'gone')
    if (me.boot !== '') assert.is(stateOf({ ...me, boot: 'before', started: '' }), 'gone')
    if (me.space !== '') assert.is(stateOf({ ...me, space: 'pid:[1]' }), 'unseen')
    assert.equal(parseHolder('{"pid":7,"started":"8"}'), {
      ...{ pid: 7, started: '8', host: '', boot: '', space: '' },
    })
    for (const text of ['', '{"pid":', '[]', 'null', '{"pid":"7","started":"8"}', '{"pid":7}'])
      assert.is(parseHolder(text), null, text)
  })

  test.run()
}

const refusalOf = (dir: string, resuming = false) =>
  lock(join(dir, 'lock'), 'run', { resuming }).then(
    () => 'was not refused',
    (error: Error) => error.message.replace(/process \d+/, 'process N'),
  )

if (role === 'take') take()
else tests()
