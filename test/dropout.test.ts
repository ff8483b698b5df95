import * as assert from 'uvu/assert'
import type { Tensor } from '../kernels/op.ts'
import { dropout } from '../kernels/dropout.ts'
import { threefry2x32, uniform01 } from '../kernels/threefry.ts'
import { checkOp, random } from './check.ts'
import { gpuSuite } from './gpu.ts'

const test = gpuSuite('dropout')

/** Which of `count` elements stay, from the TypeScript twin of the generator. */
function stay(count: number, p: number, [seed, stream, step]: readonly [number, number, number]): boolean[] {
  const key = threefry2x32([seed, stream], [step, 0])
  return Array.from({ length: count }, (_, i) => uniform01(threefry2x32(key, [i, 0])[0]) >= p)
}

test('drops what the generator says, and scales the rest', async ({ gpu }) => {
  for (const [p, seed, stream, step] of [
    [0.1, 7, 0, 3],
    [0.5, 0xffffffff, 2, 0],
    [0.9, 1, 0, 1],
  ] as const) {
    const kept = stay(131, p, [seed, stream, step])
    const reference = (x: number[]) => x.map((v, i) => (kept[i] ? v / (1 - p) : 0))
    await checkOp(gpu, (x) => dropout(x, p, { seed, stream, step }), reference, [[131]])
  }
})

test('another step, stream or seed drops others; the same drops the same', async ({ gpu }) => {
  const x = gpu.tensor(new Float32Array(200).fill(1), [200])
  const pattern = async (options: { seed: number; step: number; stream?: number }) =>
    (await gpu.read(dropout(x, 0.5, options))).join()
  const first = await pattern({ seed: 1, step: 1 })
  assert.is(await pattern({ seed: 1, step: 1 }), first)
  for (const other of [
    { seed: 2, step: 1 },
    { seed: 1, step: 2 },
    { seed: 1, step: 1, stream: 1 },
  ])
    assert.is.not(await pattern(other), first)
})

test('keeps the share it should', async ({ gpu }) => {
  const x = gpu.tensor(new Float32Array(20000).fill(1), [20000])
  const kept = (await gpu.read(dropout(x, 0.3, { seed: 5, step: 0 }))).filter((v) => v > 0).length / 20000
  assert.ok(Math.abs(kept - 0.7) < 4 * Math.sqrt((0.3 * 0.7) / 20000), `kept ${kept}`) // four standard deviations
})

test('returns x itself in evaluation and for p = 0, zeros for p = 1', async ({ gpu }) => {
  const x: Tensor = gpu.tensor(random(5), [5])
  assert.is(dropout(x, 0.5, { seed: 1, step: 1, training: false }), x)
  assert.is(dropout(x, 0, { seed: 1, step: 1 }), x)
  assert.ok((await gpu.read(dropout(x, 1, { seed: 1, step: 1 }))).every((v) => v === 0))
  assert.throws(
    () => dropout(x, 1.5, { seed: 1, step: 1 }),
    (e: Error) => e.message === 'dropout: p must lie in [0, 1], got 1.5',
  )
})

test.run()
