import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openData } from '../../data/open.ts'
import { openStl10 } from '../../data/stl10.ts'
import { refusal } from '../fixtures/refusal.ts'

const test = suite<{ folder: string }>('stl10')
test.before.each(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), 'kindred-stl10-'))
})
test.after.each(({ folder }) => rm(folder, { recursive: true }))

const RECORD = 27648
/** The byte of channel c at row y, column x of image `seed`. */
const byteAt = (seed: number, c: number, y: number, x: number) => (seed + 50 * c + 3 * y + x) % 251

/** An image as the file has it: plane by plane, column by column. */
const record = (seed: number) =>
  Uint8Array.from({ length: RECORD }, (_, i) =>
    byteAt(seed, Math.floor(i / 9216), i % 96, Math.floor((i % 9216) / 96)),
  )

async function write(folder: string, name: string, seeds: readonly number[]) {
  await writeFile(join(folder, name), Buffer.concat(seeds.map(record)))
}

async function fill(folder: string) {
  await write(folder, 'train_X.bin', [1, 2])
  await write(folder, 'test_X.bin', [3])
  await write(folder, 'unlabeled_X.bin', [4, 5, 6])
  await writeFile(join(folder, 'train_y.bin'), Uint8Array.of(10, 1))
  await writeFile(join(folder, 'test_y.bin'), Uint8Array.of(4))
}

test('columns become rows, and unlabelled images follow the labelled ones', async ({ folder }) => {
  const inside = join(folder, 'stl10_binary')
  await mkdir(inside)
  await fill(inside)
  await writeFile(
    join(inside, 'class_names.txt'),
    'airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n',
  )
  const { train, test: held } = await openStl10(folder, { unlabeled: true })
  assert.equal(train.image, { height: 96, width: 96, channels: 3 })
  assert.equal([...(train.labels ?? [])], [9, 0, -1, -1, -1])
  assert.equal([...(held.labels ?? [])], [3])
  assert.is(train.classes[9], 'truck')
  const out = new Uint8Array(3 * RECORD)
  await train.read([4, 0, 1], out)
  for (const [n, seed] of [6, 1, 2].entries())
    for (const [y, x] of [
      [0, 0],
      [0, 95],
      [95, 0],
      [17, 40],
    ] as const)
      for (const c of [0, 1, 2])
        assert.is(
          out[n * RECORD + 3 * (96 * y + x) + c],
          byteAt(seed, c, y, x),
          `${seed} ${y} ${x} ${c}`,
        )
  await Promise.all([train.close?.(), held.close?.()])
})

test('is named stl10, with its unlabelled images stl10-unlabeled', async ({ folder }) => {
  await fill(folder)
  const [small, large] = [
    await openData(`stl10:${folder}`),
    await openData(`stl10-unlabeled:${folder}`),
  ]
  assert.equal([small.train.size, small.test.size, large.train.size], [2, 1, 5])
})

test('refuses what is cut short, naming the record', async ({ folder }) => {
  await fill(folder)
  const path = join(folder, 'unlabeled_X.bin')
  await writeFile(path, Buffer.concat([record(1), record(2).subarray(0, 100)]))
  assert.is(
    await refusal(() => openStl10(folder, { unlabeled: true })),
    `stl10: ${path} must be whole records of 27648 bytes, got 27748 bytes: record 1 (counted from 0) ends after 100 bytes; get it again`,
  )
  await writeFile(path, Buffer.concat([record(1), Uint8Array.of(1)]))
  assert.match(
    await refusal(() => openStl10(folder, { unlabeled: true })),
    /: record 1 \(counted from 0\) ends after 1 byte; get it again$/,
  )
  await openStl10(folder) // which does not need it
  await writeFile(join(folder, 'train_y.bin'), Uint8Array.of(1))
  assert.is(
    await refusal(() => openStl10(folder)),
    `stl10: ${join(folder, 'train_y.bin')} must have one byte per image of train_X.bin, got 1 byte for 2 images`,
  )
  await writeFile(join(folder, 'train_y.bin'), Uint8Array.of(1, 11))
  assert.is(
    await refusal(() => openStl10(folder)),
    `stl10: ${join(folder, 'train_y.bin')}: record 1 must have a label from 1 to 10, got 11; it is damaged`,
  )
  const file = join(folder, 'train_y.bin')
  assert.is(
    await refusal(() => openStl10(file)),
    `stl10: ${file} is a file; name the folder that holds the .bin files`,
  )
  await rm(join(folder, 'test_X.bin'))
  await writeFile(join(folder, 'train_y.bin'), Uint8Array.of(1, 10))
  assert.is(
    await refusal(() => openStl10(folder)),
    `stl10: ${join(folder, 'test_X.bin')} does not exist; the folder must hold the binary version's files, unpacked`,
  )
})

test.run()
