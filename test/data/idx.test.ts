import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openIdx } from '../../data/idx.ts'
import { refusal } from '../fixtures/refusal.ts'

const test = suite<{ folder: string }>('idx')
test.before.each(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), 'kindred-idx-'))
})
test.after.each(({ folder }) => rm(folder, { recursive: true }))

/** An idx file of bytes with the given sizes. */
function idx(
  sizes: readonly number[],
  bytes: readonly number[],
  magic = 0x800 + sizes.length,
): Buffer {
  const header = Buffer.alloc(4 + 4 * sizes.length)
  header.writeUInt32BE(magic, 0)
  sizes.forEach((size, i) => header.writeUInt32BE(size, 4 + 4 * i))
  return Buffer.concat([header, Buffer.from(bytes)])
}

const grey = (count: number) => Array.from({ length: count * 6 }, (_, i) => i)
const images = (count: number) => idx([count, 2, 3], grey(count))
const labels = (...of: number[]) => idx([of.length], of)

test('train and t10k files are the halves, grey becomes three channels', async ({ folder }) => {
  await writeFile(join(folder, 'train-images-idx3-ubyte'), images(3))
  await writeFile(join(folder, 'train-labels-idx1-ubyte'), labels(2, 0, 1))
  await writeFile(join(folder, 't10k-images-idx3-ubyte.gz'), gzipSync(images(2)))
  await writeFile(join(folder, 't10k-labels-idx1-ubyte.gz'), gzipSync(labels(4, 1)))
  const { train, test: held } = await openIdx(folder)
  assert.equal(train.image, { height: 2, width: 3, channels: 3 })
  assert.equal([...(train.labels ?? [])], [2, 0, 1])
  assert.equal([...(held.labels ?? [])], [4, 1])
  assert.equal(train.classes, ['0', '1', '2', '3', '4'])
  const out = new Uint8Array(18)
  await train.read([2], out)
  assert.equal([...out], [12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15, 16, 16, 16, 17, 17, 17])
})

test('one pair of files is split, five sixths to train on, and names its classes from classes.txt', async ({
  folder,
}) => {
  await writeFile(join(folder, 't10k-images.idx3-ubyte'), images(13))
  await writeFile(
    join(folder, 't10k-labels.idx1-ubyte'),
    labels(0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1),
  )
  await writeFile(join(folder, 'classes.txt'), 'cat\ndog\n')
  const { train, test: held } = await openIdx(folder)
  assert.equal([train.size, held.size], [10, 3])
  assert.equal([...(held.labels ?? [])], [0, 1, 1])
  assert.equal(held.classes, ['cat', 'dog'])
  const out = new Uint8Array(18)
  await held.read([0], out)
  assert.is(out[0], 60)
})

test('labels and images that are not as many are refused, naming both', async ({ folder }) => {
  const [a, b] = [join(folder, 'train-images-idx3-ubyte'), join(folder, 'train-labels-idx1-ubyte')]
  await writeFile(a, images(3))
  await writeFile(b, labels(1, 2))
  assert.is(
    await refusal(() => openIdx(folder)),
    `idx: images and labels must be as many, got 3 in ${a} and 2 in ${b}; they are not of one set`,
  )
  await rm(b)
  assert.is(
    await refusal(() => openIdx(folder)),
    `idx: ${a} needs train-labels-idx1-ubyte beside it`,
  )
})

test('files that are cut short are refused, naming the item', async ({ folder }) => {
  const path = join(folder, 'train-images-idx3-ubyte')
  await writeFile(join(folder, 'train-labels-idx1-ubyte'), labels(1, 2, 3))
  await writeFile(path, images(3).subarray(0, 16 + 11))
  assert.is(
    await refusal(() => openIdx(folder)),
    `idx: ${path}: 3 x 2 x 3 items need 18 bytes after the header, got 11: item 1 (counted from 0) is cut short; ` +
      `get the file again`,
  )
  await writeFile(path, images(3).subarray(0, 9))
  assert.is(
    await refusal(() => openIdx(folder)),
    `idx: ${path} must have 16 bytes of header, got 9; get it again`,
  )
  await writeFile(path, Buffer.alloc(2))
  assert.is(
    await refusal(() => openIdx(folder)),
    `idx: ${path} must start with the number 2051 (u8, 3 dimensions), got 2 bytes`,
  )
  await writeFile(path, Buffer.alloc(1))
  assert.match(await refusal(() => openIdx(folder)), /, got 1 byte$/)
  await writeFile(path, Buffer.concat([images(3), Buffer.alloc(1)]))
  assert.match(
    await refusal(() => openIdx(folder)),
    /need 18 bytes after the header, got 19; the file is damaged/,
  )
  await rm(path)
  await writeFile(`${path}.gz`, gzipSync(images(3)).subarray(0, 20))
  assert.is(
    await refusal(() => openIdx(folder)),
    `idx: ${path}.gz must be a whole gzip file; it is cut short or damaged, so get it again`,
  )
})

test('files of another kind are refused', async ({ folder }) => {
  const path = join(folder, 'train-images-idx3-ubyte')
  await writeFile(join(folder, 'train-labels-idx1-ubyte'), labels(1))
  await writeFile(path, labels(1))
  assert.is(
    await refusal(() => openIdx(folder)),
    `idx: ${path} must start with the number 2051 (u8, 3 dimensions), got 2049; it is another kind of file`,
  )
  await writeFile(path, idx([0, 2, 3], []))
  assert.is(
    await refusal(() => openIdx(folder)),
    `idx: ${path} must hold at least one item, its header says 0 x 2 x 3`,
  )
})

test('halves of different sizes are refused', async ({ folder }) => {
  for (const [which, height] of [['train', 2] as const, ['t10k', 3] as const]) {
    await writeFile(
      join(folder, `${which}-images-idx3-ubyte`),
      idx([1, height, 2], Array(height * 2).fill(0)),
    )
    await writeFile(join(folder, `${which}-labels-idx1-ubyte`), labels(0))
  }
  assert.is(
    await refusal(() => openIdx(folder)),
    `idx: ${folder}: training and test images must have one size, got 2 x 2 and 3 x 2`,
  )
})

test('a path that is no folder of idx files is refused', async ({ folder }) => {
  assert.is(
    await refusal(() => openIdx(folder)),
    `idx: ${folder} must hold train-images-idx3-ubyte and train-labels-idx1-ubyte, or the t10k- ones, plain or .gz; ` +
      `found neither`,
  )
  const path = join(folder, 'file')
  assert.is(
    await refusal(() => openIdx(path)),
    `idx: ${path} does not exist; give the folder of the idx files`,
  )
  await writeFile(path, '')
  assert.is(
    await refusal(() => openIdx(path)),
    `idx: ${path} must be the folder of the idx files, got a file; pass the folder`,
  )
})

test.run()
