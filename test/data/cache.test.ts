import { open, readdir, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { openData } from '../../data/open.ts'
import { Records } from '../../data/records.ts'
import { type Colour, near, opened, picture, pictureSuite, pixels } from '../fixtures/images.ts'
import { refusal } from '../fixtures/refusal.ts'

const test = pictureSuite('cache')

test('a second opening decodes only what is new or changed', async ({ folder, cache }) => {
  for (let i = 0; i < 5; i++) await picture(join(folder, `${i}.png`), [i * 40, 0, 0])
  await writeFile(join(folder, 'broken.png'), 'no')
  assert.is((await opened(folder, { cache })).decoded, 6)
  assert.is((await opened(folder, { cache })).decoded, 0)
  await picture(join(folder, '22.png'), [7, 70, 7])
  await picture(join(folder, '3.png'), [1, 200, 1])
  await utimes(join(folder, '3.png'), 1e9, 1e9)
  await rm(join(folder, '0.png'))
  const changed = await opened(folder, { cache, testShare: 0 })
  assert.is(changed.decoded, 2)
  assert.equal(changed.train.files, ['1.png', '2.png', '22.png', '3.png', '4.png'])
  assert.equal(
    changed.train.skipped.map(({ file }) => file),
    ['broken.png'],
  )
  const all = await pixels(changed.train)
  const colours: Colour[] = [
    [40, 0, 0],
    [80, 0, 0],
    [7, 70, 7],
    [1, 200, 1],
    [160, 0, 0],
  ]
  colours.forEach((colour, i) => near(all.subarray(i * 192), colour))
  assert.is((await opened(folder, { cache })).decoded, 0)
  assert.is((await opened(folder, { cache, size: 16 })).decoded, 6)
})

test('an abort ends decoding, leaves nothing open, and keeps the old cache', async ({
  folder,
  cache,
}) => {
  for (let i = 0; i < 6; i++) await picture(join(folder, `${i}.png`), [i * 40, 0, 0])
  assert.is((await opened(folder, { cache })).decoded, 6)
  const filesOf = async () => {
    const [inner = ''] = await readdir(cache)
    return (await readdir(join(cache, inner))).sort()
  }
  const before = await filesOf()
  for (let i = 6; i < 12; i++) await picture(join(folder, `${i}.png`), [i * 20, 0, 0])
  const why = new Error('enough')
  const stop = new AbortController()
  let done = 0
  const onProgress = () => ++done === 2 && stop.abort(why)
  const ended = await openData(`folder:${folder}`, {
    ...{ cache, size: 8, workers: 2, onProgress, signal: stop.signal },
  }).catch((reason: unknown) => reason)
  assert.is(ended, why)
  const atEnd = done
  for (let i = 0; i < 20; i++) await turn()
  assert.is(done, atEnd)
  assert.equal(await filesOf(), before)
  assert.is(await openData('procedural', { signal: stop.signal }).catch((e: unknown) => e), why)
  assert.is((await opened(folder, { cache })).decoded, 6) // the new ones alone
})

test('what is too large for memory is read from the cache', async ({ folder, cache }) => {
  for (let i = 0; i < 8; i++) await picture(join(folder, `${i}.png`), [i * 30, 5, 5])
  const held = await opened(folder, { cache: `${cache}-2` })
  for (const round of [1, 2]) {
    const { train, test: rest, decoded } = await opened(folder, { cache, memory: 100 })
    assert.is(decoded, round === 1 ? 8 : 0)
    assert.equal(await pixels(train), await pixels(held.train))
    await train.close?.()
    await train.close?.()
    assert.equal(await pixels(rest), await pixels(held.test))
    await rest.close?.()
    assert.is(await refusal(() => pixels(rest)), 'folder: the images have been closed')
  }
})

test('a damaged cache is made again, and what a dead process left is removed', async ({
  folder,
  cache,
}) => {
  for (let i = 0; i < 3; i++) await picture(join(folder, `${i}.png`), [i * 30, 5, 5])
  const first = await pixels((await opened(folder, { cache })).train)
  const [inner = ''] = await readdir(cache)
  const home = join(cache, inner)
  const [records = ''] = (await readdir(home)).filter((file) => file.endsWith('.bin'))
  await truncate(join(home, records), 100)
  const dead = 2 ** 22 + 1 // above the largest process id there is
  await writeFile(join(home, `records-${dead}-ab.bin.tmp`), 'half')
  const again = await opened(folder, { cache })
  assert.is(again.decoded, 3)
  assert.equal(await pixels(again.train), first)
  assert.is((await readdir(home)).length, 2)
  await writeFile(join(home, 'index.json'), '{"version":')
  assert.is((await opened(folder, { cache })).decoded, 3)
})

test('a cache that cannot be written is done without', async ({ folder, cache }) => {
  for (let i = 0; i < 3; i++) await picture(join(folder, `${i}.png`), [i * 30, 5, 5])
  await writeFile(cache, 'a file where the folder should be')
  const { train, notices } = await opened(folder, { cache, memory: 100, testShare: 0 })
  assert.is(notices.length, 1)
  assert.match(notices[0] ?? '', /^folder: cannot write the cache in .*, going on without: /)
  near(await pixels(train), [0, 5, 5])
})

test('records whose file fails half-way go on in memory', async ({ folder }) => {
  const handle = await open(join(folder, 'records'), 'wx+')
  const records = new Records(2, 4, { handle, limit: 1 })
  assert.is(await records.put(0, Uint8Array.of(1, 2)), null)
  assert.is(await records.put(1, Uint8Array.of(3, 4)), null)
  Object.assign(handle, {
    write: () => Promise.reject(new Error('ENOSPC: no space left on device')),
  })
  assert.is(await records.put(2, Uint8Array.of(5, 6)), 'ENOSPC: no space left on device')
  assert.is(await records.put(3, Uint8Array.of(7, 8)), null)
  const out = new Uint8Array(8)
  await records.read([3, 2, 1, 0], out)
  assert.equal([...out], [7, 8, 5, 6, 3, 4, 1, 2])
})

test.run()
