// Tests a cache that several processes write at once.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { draftCache, openCache } from '../../data/record-cache.ts'

const test = suite<{ dir: string }>('record cache')
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-cache-'))
})
test.after.each(({ dir }) => rmSync(dir, { recursive: true }))

const entries = new Map([['a.png', { mtime: 1, bytes: 2, slot: 0, height: 1, width: 1 }]])

test('put in force by several at once, is whole, and leaves nothing else', async ({ dir }) => {
  for (let round = 0; round < 10; round++) {
    const drafts = await Promise.all([0, 1, 2].map(() => draftCache(dir, 4)))
    await Promise.all(
      drafts.map(({ handle }, i) => handle.write(Uint8Array.of(i, i, i, i), 0, 4, 0)),
    )
    await Promise.all(drafts.map((draft) => draft.finish(1, entries)))
    await Promise.all(drafts.map(({ handle }) => handle.close()))
    const cache = await openCache(dir, 4)
    assert.ok(cache, `round ${round}: the index names records that are gone`)
    await cache?.handle.close()
    assert.is(readdirSync(dir).length, 2, readdirSync(dir).join())
  }
})

test('a folder that cannot be made is refused in words', async ({ dir }) => {
  const told = (folder: string) => draftCache(folder, 4).then(() => '', String)
  await writeFile(join(dir, 'file'), '')
  assert.is(
    await told(join(dir, 'file')),
    `Error: cannot write ${join(dir, 'file')}: there is a file, not a folder; choose another`,
  )
  if (process.platform !== 'linux') return
  assert.is(
    await told('/proc/kindred/cache'),
    'Error: cannot write /proc/kindred/cache: no folder can be made there; choose another folder',
  )
})

test.run()
