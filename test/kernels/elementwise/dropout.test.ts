import * as assert from 'uvu/assert'
import type { Tensor } from '../../../kernels/op.ts'
import { dropPath } from '../../../kernels/elementwise/drop-path.ts'
import { type MaskOptions, dropout } from '../../../kernels/elementwise/dropout.ts'
import { streamOf, threefry2x32, uniform01 } from '../../../kernels/wgsl/threefry.ts'
import { concat } from '../../../kernels/shape/concat.ts'
import { slice } from '../../../kernels/shape/slice.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('dropout and dropPath')

type Numbers = readonly [seed: number, stream: number | string, step: number]

/** Which of N samples of `size` elements stay, from the TypeScript twin of the generator. */
function stay(
  [N, size]: readonly [number, number],
  p: number,
  [seed, stream, step]: Numbers,
  { view = 0, views = 1, offset = 0, network = '' } = {},
): boolean[] {
  const named = network === '' ? String(stream) : `${network}/${stream}`
  const number = typeof stream === 'number' && network === '' ? stream : streamOf(named)
  const key = threefry2x32([seed, number], [step, 0])
  return Array.from({ length: N * size }, (_, i) => {
    const n = Math.floor(i / size)
    const perView = N / views
    const sample = (view + Math.floor(n / perView)) * 2 ** 24 + offset + (n % perView)
    return uniform01(threefry2x32(key, [sample, i % size])[0]) >= p
  })
}

test('drops what the generator says, and scales the rest', async ({ gpu }) => {
  const cases: [number, ...Numbers, Partial<MaskOptions>?][] = [
    [0.1, 7, 0, 3],
    [0.5, 0xffffffff, 2, 0],
    [0.9, 1, 'blocks.0.drop', 1],
    [0.5, 1, 'fc', 1, { view: 3, views: 2, offset: 1000 }],
    [0.5, 1, 'fc', 1, { view: 255, offset: 2 ** 24 - 4, network: 'key' }],
  ]
  for (const [p, seed, stream, step, more = {}] of cases) {
    const kept = stay([4, 35], p, [seed, stream, step], more)
    const reference = (x: number[]) => x.map((v, i) => (kept[i] ? v / (1 - p) : 0))
    const options = { seed, stream, step, ...more }
    await checkOp(gpu, (x) => dropout(x, p, options), reference, [[4, 5, 7]])
    const whole = stay([4, 1], p, [seed, stream, step], more)
    const paths = (x: number[]) => x.map((v, i) => (whole[Math.floor(i / 35)] ? v / (1 - p) : 0))
    await checkOp(gpu, (x) => dropPath(x, p, options), paths, [[4, 5, 7]])
  }
})

test('chunks, shards and two views at once draw what the whole batch draws', async ({ gpu }) => {
  const x = gpu.tensor(new Float32Array(48).fill(1), [6, 8])
  for (const op of [dropout, dropPath]) {
    const of = async (t: Tensor, more: Partial<MaskOptions>) => [
      ...(await gpu.read(op(t, 0.5, { seed: 3, step: 2, stream: 'a', ...more }))),
    ]
    const all = await of(x, { view: 1 })
    const cut = [
      ...(await of(slice(x, 0, 0, 2), { view: 1 })),
      ...(await of(slice(x, 0, 2, 6), { view: 1, offset: 2 })),
    ]
    assert.equal(cut, all)
    const both = await of(concat([x, x], 0), { views: 2 })
    assert.equal(both, [...(await of(x, {})), ...all])
    assert.is.not(both.slice(0, 48).join(), all.join())
  }
})

test('another step, stream, view, network or seed drops others; the same drops the same', async ({
  gpu,
}) => {
  const x = gpu.tensor(new Float32Array(200).fill(1), [200])
  const pattern = async (options: Partial<MaskOptions>) =>
    (await gpu.read(dropout(x, 0.5, { seed: 1, step: 1, stream: 'fc', ...options }))).join()
  const first = await pattern({})
  assert.is(await pattern({ view: 0, offset: 0, views: 1 }), first)
  const others = [
    ...[{ seed: 2 }, { step: 2 }, { stream: 'fc1' }, { stream: 1 }, { view: 1 }, { offset: 1 }],
    ...[{ network: 'key' }, { network: 'text' }],
  ]
  const patterns = await Promise.all(others.map(pattern))
  assert.is(new Set([first, ...patterns]).size, others.length + 1)
})

test('keeps the share it should', async ({ gpu }) => {
  const x = gpu.tensor(new Float32Array(20000).fill(1), [20000])
  const kept =
    (await gpu.read(dropout(x, 0.3, { seed: 5, step: 0, stream: 0 }))).filter((v) => v > 0).length /
    20000
  assert.ok(Math.abs(kept - 0.7) < 4 * Math.sqrt((0.3 * 0.7) / 20000), `kept ${kept}`) // four standard deviations
})

test('returns x itself in evaluation and for p = 0, zeros for p = 1', async ({ gpu }) => {
  const x: Tensor = gpu.tensor(random(5), [5])
  const options = { seed: 1, step: 1, stream: 0 }
  for (const op of [dropout, dropPath]) {
    assert.is(op(x, 0.5, { ...options, training: false }), x)
    assert.is(op(x, 0, options), x)
    assert.ok((await gpu.read(op(x, 1, options))).every((v) => v === 0))
  }
})

const twice =
  "dropout: a mask with seed 1, step 2, view 1, offset 0 and stream 'fc' was drawn in this step already, so both would drop the same elements; give each layer a stream of its own, each pass a view, and each network a name, as in { ...draws, network: 'text', stream: 'fc1' }"

test('refuses one mask for two layers of a step', async ({ gpu }) => {
  const x = gpu.variable(random(8), [8])
  const two = (more: object) => () => {
    const first = dropout(x, 0.5, { seed: 1, step: 2, stream: 'fc', views: 2 })
    return dropout(first, 0.5, { seed: 1, step: () => 2, stream: 'fc', view: 1, ...more })
  }
  refuses(() => gpu.step(two({})), twice)
  refuses(() => gpu.capture(two({})).run(), twice)
  refuses(() => gpu.backward(two({})()), twice) // outside of steps, where it is trained on
  for (const other of [{ stream: 'fc1' }, { network: 'key' }, { view: 2 }, { offset: 8 }]) {
    gpu.step(two(other))
    gpu.backward(two(other)())
  }
  const captured = gpu.capture(two({ view: 2 }))
  for (let i = 0; i < 4; i++) captured.run()
  assert.is(captured.reason, null)
})

test('the same mask may be made again off the tape, in another step, and on the way back', async ({
  gpu,
}) => {
  const x = gpu.variable(random(8), [8])
  const once = () => dropout(x, 0.5, { seed: 1, step: 2, stream: 'fc' })
  gpu.step(() => {
    gpu.noGrad(once)
    const y = once()
    gpu.backward(y)
    gpu.backward(y)
  })
  gpu.step(once)
  gpu.backward(once())
  gpu.backward(once())
})

test.run()
