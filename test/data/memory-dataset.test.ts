// Sets of images in memory: what they are made of, and what is refused.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { memoryDataset } from '../../data/memory-dataset.ts'
import { select } from '../../data/select.ts'
import { call, refusesAll } from '../fixtures/misuse.ts'

const test = suite('sets in memory')
const image = { height: 1, width: 2, channels: 3 }

function detached(): Uint8Array {
  const bytes = new Uint8Array(12)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

test('pixels in an array of any kind are bytes, and labels may be left out', async () => {
  const values = Array.from({ length: 12 }, (_, i) => 20 * i)
  for (const pixels of [
    values,
    Uint8Array.from(values),
    Uint8ClampedArray.from(values),
    Uint16Array.from(values),
    Float64Array.from(values),
    Int32Array.from(values),
  ]) {
    const set = memoryDataset({ pixels, image })
    assert.equal([set.name, set.size, set.classes, set.labels], ['images', 2, [], null])
    const out = new Uint8Array(6)
    await set.read([1], out)
    assert.equal([...out], values.slice(6))
  }
  const set = memoryDataset({ pixels: values, image, labels: [2, -1], files: ['a', 'b'] })
  assert.equal(
    [set.classes, [...(set.labels ?? [])]],
    [
      ['0', '1', '2'],
      [2, -1],
    ],
  )
  assert.equal(select(set, [1]).files, ['b'])
  const most = memoryDataset({ pixels: values, image, labels: [0, 2 ** 20 - 1] })
  assert.is(most.classes.length, 2 ** 20)
})

test('what is no set is refused in words', async () => {
  const pixels = new Uint8Array(12)
  const made = (given: object) => () => call(memoryDataset, { pixels, image, ...given })
  await refusesAll([
    [
      'no bytes',
      made({ pixels: Float32Array.of(0.5) }),
      'images: pixels: 0.5 at 0 is no u8 (whole numbers from 0 to 255)',
    ],
    [
      'no array',
      made({ pixels: new ArrayBuffer(12) }),
      'images: pixels: values must be numbers in a typed array or in arrays, got an ArrayBuffer; say what its bytes are by a typed array, such as new Float32Array(buffer)',
    ],
    [
      'bytes that went to a worker',
      made({ pixels: detached() }),
      "images: pixels: the array's buffer is detached; was it transferred to a worker? Give a copy",
    ],
    [
      'RGBA',
      made({ image: { ...image, channels: 4 } }),
      'images: image must have a height and width in whole pixels and 3 channels, got 1 x 2 x 4',
    ],
    [
      'half an image',
      made({ pixels: new Uint8Array(9) }),
      'images: pixels must be whole images of 1 x 2 x 3 bytes, got 9 bytes',
    ],
    [
      'a label short',
      made({ labels: [0] }),
      'images: there must be one label per image, got 1 label and 2 images',
    ],
    [
      'a file too many',
      made({ files: ['a', 'b', 'c'] }),
      'images: there must be one file per image, got 3 files and 2 images',
    ],
    [
      'an unknown class',
      made({ labels: [0, 3], classes: ['a', 'b'] }),
      'images: a label must be one of the 2 classes, numbered from 0, or -1 for none, got 3 at 1',
    ],
    [
      'a label beyond all sense',
      made({ labels: [5, 2 ** 31 - 1] }),
      'images: a label without class names must be below 1048576, got 2147483647 at 1; number the classes from 0',
    ],
    [
      'a class without a name',
      made({ labels: [0, 1], classes: ['a', ''] }),
      "images: each class must have a name, got '' at 1; name it, or leave classes out",
    ],
    [
      'a class that is no text',
      made({ labels: [0, 1], classes: ['a', 7] }),
      'images: each class must have a name, got 7 at 1; name it, or leave classes out',
    ],
    [
      'a misspelt option',
      made({ label: [0, 1] }),
      "memoryDataset: there is no option 'label'; did you mean 'labels'? Its options are pixels, image, name, labels, classes, files",
    ],
  ])
})

test.run()
