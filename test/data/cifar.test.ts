import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openCifar10, openCifar100 } from '../../data/cifar.ts'
import { openData } from '../../data/open.ts'
import { refusal } from '../fixtures/refusal.ts'

const test = suite<{ folder: string }>('cifar')
test.before.each(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), 'kindred-cifar-'))
})
test.after.each(({ folder }) => rm(folder, { recursive: true }))

/** A record: the label bytes, then planes in which red, green and blue tell the pixel and the
 *  record apart. */
function record(labels: readonly number[], seed: number): number[] {
  const planes = Array.from(
    { length: 3072 },
    (_, i) => ((i % 1024) * (1 + Math.floor(i / 1024)) + seed) % 256,
  )
  return [...labels, ...planes]
}

const file = (...records: number[][]) => Uint8Array.from(records.flat())

test('planes become pixels, files are read in order, tests are told by their name', async ({
  folder,
}) => {
  await writeFile(join(folder, 'data_batch_2.bin'), file(record([9], 30)))
  await writeFile(join(folder, 'data_batch_1.bin'), file(record([3], 10), record([0], 20)))
  await writeFile(join(folder, 'test_batch.bin'), file(record([7], 40)))
  const { train, test: held } = await openCifar10(folder)
  assert.is(train.name, 'cifar10')
  assert.equal(train.image, { height: 32, width: 32, channels: 3 })
  assert.equal([...(train.labels ?? [])], [3, 0, 9])
  assert.equal([...(held.labels ?? [])], [7])
  assert.equal(train.classes, ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
  const out = new Uint8Array(2 * 3072)
  await train.read([2, 0], out)
  for (const [n, seed] of [30, 10].entries())
    for (const pixel of [0, 1, 33, 1023])
      assert.equal(
        [...out.subarray(n * 3072 + pixel * 3, n * 3072 + pixel * 3 + 3)],
        [1, 2, 3].map((c) => (pixel * c + seed) % 256),
      )
})

test('the parent of the usual folder does as well, and class names are taken from it', async ({
  folder,
}) => {
  const inner = join(folder, 'cifar-10-batches-bin')
  await mkdir(inner)
  await writeFile(join(inner, 'train_10k.bin'), file(record([1], 0)))
  await writeFile(join(inner, 'test_2k.bin'), file(record([2], 0)))
  const names = [
    'airplane',
    'automobile',
    'bird',
    'cat',
    'deer',
    'dog',
    'frog',
    'horse',
    'ship',
    'truck',
  ]
  await writeFile(join(inner, 'batches.meta.txt'), `${names.join('\n')}\n\n`)
  const { train } = await openData(`cifar10:${folder}`)
  assert.equal(train.classes, names)
})

test("the archive's own files are not mixed with a subset beside them", async ({ folder }) => {
  for (const name of [
    'data_batch_1.bin',
    'data_batch_2.bin',
    'test_batch.bin',
    'train_10k.bin',
    'test_2k.bin',
  ])
    await writeFile(join(folder, name), file(record([name.length % 10], 0)))
  const { train, test: held } = await openCifar10(folder)
  assert.is(train.size, 2)
  assert.is(held.size, 1)
  await rm(join(folder, 'test_batch.bin'))
  assert.equal([...((await openCifar10(folder)).test.labels ?? [])], ['test_2k.bin'.length % 10])
})

test('CIFAR-100 gives the fine labels', async ({ folder }) => {
  await writeFile(join(folder, 'train.bin'), file(record([19, 99], 5), record([1, 42], 6)))
  await writeFile(join(folder, 'test.bin'), file(record([0, 0], 7)))
  const { train } = await openCifar100(folder)
  assert.equal([...(train.labels ?? [])], [99, 42])
  assert.is(train.classes.length, 100)
  const out = new Uint8Array(3072)
  await train.read([1], out)
  assert.equal([...out.subarray(3, 6)], [7, 8, 9])
})

test('a file that is cut short is refused, naming the record', async ({ folder }) => {
  const path = join(folder, 'train.bin')
  await writeFile(path, file(record([1], 0), record([1], 0)).subarray(0, 5000))
  await writeFile(join(folder, 'test.bin'), file(record([2], 0)))
  assert.is(
    await refusal(() => openCifar10(folder)),
    `cifar10: ${path} must be whole records of 3073 bytes, got 5000 bytes: record 1 (counted from 0) ends after ` +
      `1927 bytes; the file is cut short, so get it again`,
  )
  await writeFile(path, new Uint8Array(1))
  assert.is(
    await refusal(() => openCifar10(folder)),
    `cifar10: ${path} must be whole records of 3073 bytes, got 1 byte: record 0 (counted from 0) ends after ` +
      `1 byte; the file is cut short, so get it again`,
  )
  await writeFile(path, new Uint8Array(0))
  assert.is(await refusal(() => openCifar10(folder)), `cifar10: ${path} is empty; get it again`)
})

test('a file of the other kind is refused with a hint', async ({ folder }) => {
  await writeFile(join(folder, 'train.bin'), file(record([1, 1], 0)))
  await writeFile(join(folder, 'test.bin'), file(record([1, 2], 0)))
  assert.match(
    await refusal(() => openCifar10(folder)),
    /its size fits cifar100, so try cifar100:PATH$/,
  )
})

test('a label that is no class is refused, naming the record', async ({ folder }) => {
  const path = join(folder, 'test.bin')
  await writeFile(join(folder, 'train.bin'), file(record([1], 0)))
  await writeFile(path, file(record([2], 0), record([10], 0)))
  assert.is(
    await refusal(() => openCifar10(folder)),
    `cifar10: ${path}: record 1 must have a label from 0 to 9, got 10; this is not a cifar10 file, or it is damaged`,
  )
  await writeFile(join(folder, 'train.bin'), file(record([1, 100], 0)))
  assert.match(
    await refusal(() => openCifar100(folder)),
    /record 0 must have a label from 0 to 99, got 100/,
  )
})

test('a half that is missing is refused, naming what is there', async ({ folder }) => {
  await writeFile(join(folder, 'data_batch_1.bin'), file(record([1], 0)))
  assert.is(
    await refusal(() => openCifar10(folder)),
    `cifar10: ${folder} must hold a test file, test_batch.bin or any .bin whose name starts with 'test', got only ` +
      `data_batch_1.bin`,
  )
  await rm(join(folder, 'data_batch_1.bin'))
  await writeFile(join(folder, 'test_batch.bin'), file(record([1], 0)))
  assert.is(
    await refusal(() => openCifar10(folder)),
    `cifar10: ${folder} must hold a training file, such as data_batch_1.bin, got only test_batch.bin`,
  )
})

test('a folder without the files says what it looks like', async ({ folder }) => {
  assert.is(
    await refusal(() => openCifar10(folder)),
    `cifar10: ${folder} must hold .bin files, found none`,
  )
  await writeFile(join(folder, 'data_batch_1'), '')
  assert.match(
    await refusal(() => openCifar10(folder)),
    /found none; get the binary version, not the Python one$/,
  )
  await writeFile(join(folder, 'data_batch_1.bin.xz'), '')
  assert.match(
    await refusal(() => openCifar10(folder)),
    /found none; unpack data_batch_1.bin.xz first$/,
  )
  const nowhere = join(folder, 'nowhere')
  assert.is(
    await refusal(() => openCifar10(nowhere)),
    `cifar10: ${nowhere} does not exist; give the folder of the .bin files`,
  )
  const path = join(folder, 'data_batch_1')
  assert.is(
    await refusal(() => openCifar10(path)),
    `cifar10: ${path} must be the folder of the .bin files, got a file; pass the folder`,
  )
})

test.run()
