import * as assert from 'uvu/assert'
import { takeImages } from '../../../kernels/shape/take-images.ts'
import { refuses } from '../../fixtures/refusal.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('takeImages')

const bytes = (count: number) =>
  Uint8Array.from({ length: count }, (_, i) => (i * 7919 + (i >> 3)) % 251)

// images of whole words and not, below, at and above a workgroup's 64 words
for (const [H, W, numbers] of [
  [2, 2, [3, 0, 3]],
  [4, 4, [6, 1, 2, 5, 0]], // 60 words
  [8, 8, [4, 4, 0, 6, 2]],
  [5, 5, [6, 0, 5]],
  [1, 1, [2, 6, 0, 1, 3]],
  [3, 7, [1, 6, 6, 0, 2, 4]],
] as const) {
  test(`takes images of ${H} x ${W} by their numbers, byte for byte`, async ({ gpu }) => {
    const B = H * W * 3
    const pixels = bytes(7 * B)
    const set = gpu.variable(pixels, [7, H, W, 3])
    const taken = takeImages(set, gpu.tensor(Int32Array.from(numbers), [numbers.length]))
    assert.equal([taken.shape, taken.dtype], [[numbers.length, H, W, 3], 'u8'])
    const expected = numbers.flatMap((n) => [...pixels.subarray(n * B, (n + 1) * B)])
    assert.equal([...(await gpu.read(taken))], expected)
  })
}

test('a number outside the set gives zeros', async ({ gpu }) => {
  for (const side of [1, 2]) {
    const set = gpu.variable(bytes(3 * side * side * 3).fill(9), [3, side, side, 3])
    const taken = await gpu.read(takeImages(set, gpu.tensor(Int32Array.of(-1, 2, 3), [3])))
    const B = side * side * 3
    assert.equal(
      [...taken],
      [...Array<number>(B).fill(0), ...Array<number>(B).fill(9), ...Array<number>(B).fill(0)],
    )
  }
})

test('refuses what is no list of numbers, and images that are no bytes', ({ gpu }) => {
  const set = gpu.variable(bytes(24), [2, 2, 2, 3])
  refuses(
    () => takeImages(set, gpu.tensor(Int32Array.of(0, 1), [2, 1])),
    'takeImages: numbers must be a list [N], got [2, 1]',
  )
  refuses(
    () => takeImages(gpu.variable([0, 0, 0], [1, 1, 1, 3]), gpu.tensor(Int32Array.of(0), [1])),
    'takeImages: set must be u8, got f32 [1, 1, 1, 3]',
  )
})

test.run()
