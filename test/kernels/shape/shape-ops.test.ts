import * as assert from 'uvu/assert'
import { type Shape, type Tensor, sizeOf } from '../../../kernels/op.ts'
import { concat } from '../../../kernels/shape/concat.ts'
import { gather, indexSelect } from '../../../kernels/shape/gather.ts'
import { reshape } from '../../../kernels/shape/reshape.ts'
import { slice } from '../../../kernels/shape/slice.ts'
import { transpose } from '../../../kernels/shape/transpose.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { gradientAt, matchesGolden } from '../../fixtures/golden-op.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('shape-ops')
const says = (message: string) => (e: Error) => e.message === message
const zeros = (...shape: number[]) => [new Float32Array(sizeOf(shape)), shape] as const

/** A shape around one axis: the element (a, r, b) lies at (a R + r) B + b. */
const around = (shape: Shape, axis: number) => {
  const [A, R, B] = [
    sizeOf(shape.slice(0, axis)),
    shape[axis] ?? NaN,
    sizeOf(shape.slice(axis + 1)),
  ]
  return { A, R, B, at: (a: number, r: number, b: number) => (a * R + r) * B + b }
}

test('reshape copies nothing and fills in -1', async ({ gpu }) => {
  const x = gpu.tensor(random(24), [2, 3, 4])
  await gpu.sync() // dispatches are counted when they are submitted
  const before = gpu.stats().dispatches
  assert.equal(reshape(x, [4, -1]).shape, [4, 6])
  assert.equal(reshape(x, [-1]).shape, [24])
  assert.equal(reshape(gpu.tensor(Int32Array.of(1, 2), [2]), [2, 1]).dtype, 'i32')
  await gpu.sync()
  assert.is(gpu.stats().dispatches, before)
  await checkOp(
    gpu,
    (t) => reshape(t, [-1, 2]),
    (t) => t,
    [[3, 4]],
  )
  assert.throws(
    () => reshape(x, [5, -1]),
    says('reshape: 24 elements of [2, 3, 4] do not fill [5, -1]'),
  )
  assert.throws(
    () => reshape(x, [-1, -1]),
    says('reshape: 24 elements of [2, 3, 4] do not fill [-1, -1]'),
  )
})

test('concat joins along any axis, and each input receives its own part', async ({ gpu }) => {
  const joined =
    (axis: number, ...shapes: Shape[]) =>
    (...xs: number[][]) => {
      const parts = shapes.map((shape) => around(shape, axis))
      const out: number[] = []
      for (let a = 0; a < (parts[0]?.A ?? 0); a++)
        for (const [i, { R, B }] of parts.entries())
          out.push(...(xs[i] ?? []).slice(a * R * B, (a + 1) * R * B))
      return out
    }
  const cases: [number, ...Shape[]][] = [
    [0, [2, 3], [4, 3]],
    [1, [2, 3], [2, 1], [2, 5]],
    [1, [2, 3, 2], [2, 1, 2], [2, 2, 2], [2, 4, 2]],
    [0, [1, 70], [2, 70], [1, 70], [1, 70], [3, 70], [1, 70]],
    [0, [3]],
  ]
  for (const [axis, ...shapes] of cases)
    await checkOp(gpu, (...xs) => concat(xs, axis), joined(axis, ...shapes), shapes)
  await checkOp(gpu, (...xs) => concat(xs, -1), joined(1, [2, 2], [2, 3]), [
    [2, 2],
    [2, 3],
  ])
  assert.throws(
    () => concat([gpu.tensor(...zeros(2, 3)), gpu.tensor(...zeros(3, 4))], 0),
    says('concat: shapes may differ only along axis 0, got [2, 3], [3, 4]'),
  )
  assert.throws(() => concat([], 0), says('concat: at least one tensor is needed, got none'))
})

test('slice takes bytes from wherever they begin', async ({ gpu }) => {
  const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 37 + 11) % 256)
  for (const [shape, axis, start, end] of [
    [[5, 3, 3], 0, 1, 4],
    [[4, 2, 2, 3], 0, 3, 4],
    [[3, 7], 1, 2, 5],
    [[70, 5], 0, 0, 69],
    [[2, 5], 0, 1, 1],
  ] as const) {
    const { A, R, B } = around(shape, axis)
    const x = bytes(sizeOf(shape))
    const y = slice(gpu.tensor(x, shape), axis, start, end)
    assert.is(y.dtype, 'u8')
    assert.equal(
      y.shape,
      shape.map((size, i) => (i === axis ? end - start : size)),
    )
    const rows = Array.from({ length: A }, (_, a) => [
      ...x.subarray((a * R + start) * B, (a * R + end) * B),
    ])
    assert.equal([...(await gpu.read(y))], rows.flat())
  }
})

test('slice takes labels, to the bit', async ({ gpu }) => {
  const labels = gpu.tensor(
    Int32Array.from({ length: 12 }, (_, i) => 5 - i),
    [3, 4],
  )
  const y = slice(labels, 1, 1, 3)
  assert.equal([y.dtype, y.shape], ['i32', [3, 2]])
  assert.equal([...(await gpu.read(y))], [4, 3, 0, -1, -4, -5])
  assert.equal((await gpu.read(slice(labels, 0, 2, 2))).length, 0)
})

test('slice takes a range and gives zeros back outside it', async ({ gpu }) => {
  const taken = (shape: Shape, axis: number, start: number, end: number) => (x: number[]) => {
    const { R, B } = around(shape, axis)
    return x.filter((_, i) => Math.floor(i / B) % R >= start && Math.floor(i / B) % R < end)
  }
  await checkOp(gpu, (x) => slice(x, 0, 1, 3), taken([4, 5], 0, 1, 3), [[4, 5]])
  await checkOp(gpu, (x) => slice(x, -1, 2, 5), taken([2, 3, 7], 2, 2, 5), [[2, 3, 7]])
  await checkOp(gpu, (x) => slice(x, 1, 0, 65), taken([2, 66, 2], 1, 0, 65), [[2, 66, 2]])
  await checkOp(gpu, (x) => slice(x, 1, 1, 3), taken([3, 5, 8], 1, 1, 3), [[3, 5, 8]]) // in fours
  await checkOp(gpu, (x) => slice(x, 2, 4, 12), taken([3, 5, 16], 2, 4, 12), [[3, 5, 16]])
  await checkOp(gpu, (x) => slice(x, 2, 2, 6), taken([3, 5, 8], 2, 2, 6), [[3, 5, 8]])
  assert.throws(
    () => slice(gpu.tensor(...zeros(2, 3)), 1, 2, 4),
    says('slice: 2 to 4 does not lie in axis 1 of [2, 3]'),
  )
})

test('gather and indexSelect pick, and repeats add up in the gradient', async ({ gpu }) => {
  const shape = [2, 5, 3]
  const { at } = around(shape, 1)
  const rows = [4, 0, 4, 1, 4, 0, 4]
  const each = (pick: (a: number, k: number, b: number) => number) => (x: number[]) =>
    [0, 1].flatMap((a) =>
      rows.flatMap((_, k) => [0, 1, 2].map((b) => x[at(a, pick(a, k, b), b)] ?? NaN)),
    )
  const selected = each((_, k) => rows[k] ?? NaN)
  await checkOp(gpu, (x) => indexSelect(x, 1, rows), selected, [shape])
  await checkOp(gpu, (x) => indexSelect(x, 1, gpu.tensor(rows, [7])), selected, [shape])
  await checkOp(gpu, (x) => indexSelect(x, -2, gpu.tensor(Int32Array.from(rows), [7])), selected, [
    shape,
  ])
  const indices = random(42, 7).map((v) => Math.floor((v + 1) * 2.5))
  const gathered = each((a, k, b) => indices[(a * 7 + k) * 3 + b] ?? NaN)
  await checkOp(gpu, (x) => gather(x, 1, indices), gathered, [shape])
  await checkOp(
    gpu,
    (x) => gather(x, 1, gpu.tensor(Int32Array.from(indices), [2, 7, 3])),
    gathered,
    [shape],
  )
})

test('indices outside the axis', async ({ gpu }) => {
  const x = gpu.tensor([1, 2, 3, 4], [2, 2])
  assert.throws(
    () => indexSelect(x, 0, [1, 2]),
    says('indexSelect: indices must be whole numbers from 0 to 1, got 2 at 1'),
  )
  assert.throws(
    () => gather(x, 0, [0, -1]),
    says('gather: indices must be whole numbers from 0 to 1, got -1 at 1'),
  )
  assert.throws(
    () => indexSelect(x, 0, [0.5]),
    says('indexSelect: indices must be whole numbers from 0 to 1, got 0.5 at 0'),
  )
  assert.throws(
    () => gather(x, 0, [0, 1, 0]),
    says('gather: 3 indices do not divide over the 2 lines of [2, 2]'),
  )
  assert.throws(
    () => gather(x, 1, gpu.tensor([0, 1], [1, 2])),
    says('gather: indices may differ from x only along axis 1, got [1, 2] for [2, 2]'),
  )
  const y = indexSelect(x, 0, gpu.tensor(Int32Array.of(1, 2, -1), [3]))
  assert.equal([...(await gpu.read(y))], [3, 4, NaN, NaN, NaN, NaN])
  assert.equal([...(await gradientAt(gpu, y, x))], [0, 0, 1, 1])
})

test('golden: gather, index_select, cat', async ({ gpu }) => {
  for (const [name, op] of [
    ['gather_dim1', gather],
    ['index_select_dim0', indexSelect],
    ['index_select_dim1_b', indexSelect],
  ] as const) {
    const golden = await matchesGolden(gpu, name, ([x], g) =>
      op(x, Number(g.config['dim']), g.indices(gpu, 'in.index')),
    )
    golden.done()
  }
  for (const [name, inputs] of [
    ['cat_dim0', ['a', 'b']],
    ['cat_dim1', ['a', 'b']],
    ['cat_3_b', ['a', 'b', 'c']],
  ] as const) {
    const golden = await matchesGolden(
      gpu,
      name,
      (xs, { config }) => concat(xs, Number(config['dim'])),
      {
        inputs,
      },
    )
    golden.done()
  }
})

test('golden: permute, reshape, channel padding', async ({ gpu }) => {
  for (const name of ['permute_b', 'transpose_2d_b']) {
    const golden = await matchesGolden(gpu, name, ([x], { config }) =>
      transpose(x, config['perm'] as number[] /* in every such case */),
    )
    golden.done()
  }
  ;(
    await matchesGolden(gpu, 'permute_1023_reshape', ([x]) =>
      reshape(transpose(x, [1, 0, 2, 3]), [4, -1]),
    )
  ).done()
  const padded = (x: Tensor) => concat([x, gpu.tensor(...zeros(2, 3, 3, 3))], 1) // the case is NCHW
  ;(await matchesGolden(gpu, 'channel_zero_pad', ([x]) => padded(x))).done()
})

test.run()
