import * as assert from 'uvu/assert'
import { concat } from '../../../kernels/shape/concat.ts'
import { chunk } from '../../../kernels/shape/chunk.ts'
import { mul } from '../../../kernels/elementwise/mul.ts'
import type { Tensor } from '../../../kernels/op.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('chunk')

/** The elements of part i of `parts` of [A, R, B] along the middle axis. */
const partOf = (x: number[], [A, R, B]: readonly number[], parts: number, i: number) => {
  const width = ((R ?? 1) * (B ?? 1)) / parts
  return Array.from({ length: A ?? 1 }, (_, a) =>
    x.slice((a * parts + i) * width, (a * parts + i + 1) * width),
  ).flat()
}

for (const [shape, axis, lines] of [
  [[2, 5, 12], -1, [10, 12, 1]],
  [[12], 0, [1, 12, 1]],
  [[3, 12, 7], 1, [3, 12, 7]],
] as const)
  test(`cuts axis ${axis} of [${shape.join(', ')}], with one gradient`, async ({ gpu }) => {
    for (const parts of [2, 3, 4]) {
      const cubes = (x: Tensor) => {
        const cut = chunk(x, parts, axis)
        return concat(
          cut.map((part, i) => (i === 1 ? part : mul(part, part))),
          0,
        )
      }
      const reference = (x: number[]) =>
        Array.from({ length: parts }, (_, i) =>
          partOf(x, lines, parts, i).map((v) => (i === 1 ? v : v * v)),
        ).flat()
      await checkOp(gpu, cubes, reference, [shape])
    }
  })

test('a part that nothing depends on gives a gradient of zeros', async ({ gpu }) => {
  for (const used of [0, 1, 2]) {
    const x = gpu.variable(random(6), [2, 3])
    const dx = gpu.backward(chunk(x, 3, 1)[used] as Tensor).of(x)
    const want = [0, 1, 2].map((i) => Number(i === used))
    assert.equal(dx && [...(await gpu.read(dx))], [...want, ...want])
  }
})

test('refuses what does not divide', ({ gpu }) => {
  const x = gpu.tensor(random(10), [2, 5])
  refuses(() => chunk(x, 2, 1), 'chunk: axis 1 of [2, 5] does not divide into 2 parts')
  refuses(() => chunk(x, 5, 1), 'chunk: parts must be 2, 3 or 4, got 5')
})

test.run()
