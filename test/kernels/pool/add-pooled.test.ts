import * as assert from 'uvu/assert'
import { add } from '../../../kernels/elementwise/add.ts'
import { addPooled } from '../../../kernels/pool/add-pooled.ts'
import { avgPool } from '../../../kernels/pool/avg-pool.ts'
import { concat } from '../../../kernels/shape/concat.ts'
import { sizeOf } from '../../../kernels/op.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('addPooled')

test('addPooled is avgPool, padded and added', async ({ gpu }) => {
  for (const [N, H, W, C, K, size, stride] of [
    [2, 7, 6, 3, 5, 3, 1],
    [1, 9, 8, 4, 4, 4, 2],
    [3, 5, 5, 1, 2, 1, 1],
  ] as const) {
    const [h, w] = [Math.floor((H - size) / stride) + 1, Math.floor((W - size) / stride) + 1]
    const shapes = [
      [N, h, w, K],
      [N, H, W, C],
    ]
    const [branch, x] = shapes.map((shape, i) => gpu.tensor(random(sizeOf(shape), i + 1), shape))
    if (!branch || !x) throw new Error('no inputs')
    const zeros = gpu.tensor(new Float32Array(N * h * w * (K - C)), [N, h, w, K - C])
    const pooled = avgPool(x, { size, stride })
    const expected = add(branch, K > C ? concat([pooled, zeros], 3) : pooled)
    assert.equal(await gpu.read(addPooled(branch, x, { size, stride })), await gpu.read(expected))
    await checkOp(
      gpu,
      (a, b) => addPooled(a, b, { size, stride }),
      (a, b) =>
        a.map((v, e) => {
          const [k, j, i, n] = [
            e % K,
            Math.floor(e / K) % w,
            Math.floor(e / K / w) % h,
            Math.floor(e / K / w / h),
          ]
          if (k >= C) return v
          let total = 0
          for (let y = 0; y < size; y++)
            for (let z = 0; z < size; z++)
              total += b[((n * H + i * stride + y) * W + j * stride + z) * C + k] ?? NaN
          return v + total / size ** 2
        }),
      shapes,
    )
  }
})

test('refuses a branch of another size or with fewer channels', ({ gpu }) => {
  const x = gpu.tensor(random(32), [1, 4, 4, 2])
  for (const shape of [
    [1, 2, 3, 2],
    [1, 2, 2, 1],
  ])
    refuses(
      () => addPooled(gpu.tensor(random(sizeOf(shape)), shape), x, { size: 2 }),
      `addPooled: the branch must be [N, H, W, K] of the pooled size, K at least its channels, got [${shape.join(', ')}] and [1, 2, 2, 2]`,
    )
})

test.run()
