import * as assert from 'uvu/assert'
import { type Shape, type Tensor, kernel, sizeOf } from '../../../kernels/op.ts'
import { add, addOp } from '../../../kernels/elementwise/add.ts'
import { div } from '../../../kernels/elementwise/div.ts'
import { exp } from '../../../kernels/elementwise/exp.ts'
import { leakyRelu } from '../../../kernels/elementwise/leaky-relu.ts'
import { log } from '../../../kernels/elementwise/log.ts'
import { mul } from '../../../kernels/elementwise/mul.ts'
import { preciseLog } from '../../../kernels/wgsl/pointwise.ts'
import { relu } from '../../../kernels/elementwise/relu.ts'
import { sigmoid } from '../../../kernels/elementwise/sigmoid.ts'
import { softplus } from '../../../kernels/elementwise/softplus.ts'
import { sqrt } from '../../../kernels/elementwise/sqrt.ts'
import { sub } from '../../../kernels/elementwise/sub.ts'
import { tanh } from '../../../kernels/elementwise/tanh.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { gradientAt, matchesGolden } from '../../fixtures/golden-op.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('elementwise')

const binary: [string, typeof add, (a: number, b: number) => number][] = [
  ['add', add, (a, b) => a + b],
  ['sub', sub, (a, b) => a - b],
  ['mul', mul, (a, b) => a * b],
  ['div', div, (a, b) => a / b],
]

/** f of every pair of elements that numpy's rule brings together, written index by index. */
function broadcast(f: (a: number, b: number) => number, sa: Shape, sb: Shape) {
  const rank = Math.max(sa.length, sb.length)
  const pad = (s: Shape) => [...Array<number>(rank - s.length).fill(1), ...s]
  const [pa, pb] = [pad(sa), pad(sb)]
  const size = pa.map((n, i) => (n === 1 ? (pb[i] ?? 1) : n))
  return (a: number[], b: number[]) => {
    const out: number[] = []
    const visit = (axis: number, i: number, j: number) => {
      if (axis === rank) out.push(f(a[i] ?? NaN, b[j] ?? NaN))
      else
        for (let k = 0; k < (size[axis] ?? 0); k++) {
          const [na, nb] = [pa[axis] ?? 1, pb[axis] ?? 1]
          visit(axis + 1, i * na + (na === 1 ? 0 : k), j * nb + (nb === 1 ? 0 : k))
        }
    }
    visit(0, 0, 0)
    return out
  }
}

const pairs: [Shape, Shape][] = [
  [
    [7, 9],
    [7, 9],
  ],
  [[3, 5, 2, 4], [4]],
  [
    [3, 5, 2, 4],
    [5, 1, 4],
  ],
  [
    [2, 1, 3, 1],
    [1, 4, 1, 5],
  ],
  [[6, 1], [7]],
  [[], [5]],
  [[65], []],
  [[1, 1, 3], [3]],
]

for (const [name, op, f] of binary)
  test(`${name} broadcasts and sums gradients over what it repeated`, async ({ gpu }) => {
    for (const [sa, sb] of pairs) {
      const far = random(sizeOf(sb), 2).map((v) => v + Math.sign(v || 1)) // divisors away from 0
      const values = [random(sizeOf(sa)), far]
      await checkOp(gpu, (a, b) => op(a, b), broadcast(f, sa, sb), [sa, sb], { values })
    }
  })

test('a number is an operand, and needs no tensor', async ({ gpu }) => {
  for (const [, op, f] of binary)
    await checkOp(
      gpu,
      (a) => op(a, -2.5),
      (a) => a.map((v) => f(v, -2.5)),
      [[13, 5]],
    )
})

test('an input used twice receives both gradients', ({ gpu }) =>
  checkOp(
    gpu,
    (a) => mul(a, a),
    (a) => a.map((v) => v * v),
    [[70]],
  ))

test('more elements than one row of workgroups', async ({ gpu }) => {
  const count = 65535 * 64 + 100
  const x = gpu.tensor(new Float32Array(count).fill(1), [count])
  const y = await gpu.read(add(x, 1))
  assert.ok(y.every((v) => v === 2))
})

test('shapes that do not fit are refused', ({ gpu }) => {
  const of = (...shape: number[]) => gpu.tensor(new Float32Array(sizeOf(shape)), shape)
  assert.throws(
    () => add(of(2, 3), of(2)),
    (e: Error) => e.message === 'add: shapes do not broadcast, [2, 3] and [2]',
  )
  assert.throws(
    () => mul(of(2, 1, 2, 1, 2), of(1, 2, 1, 2, 1)),
    (e: Error) =>
      e.message ===
      'mul: shapes [2, 1, 2, 1, 2] and [1, 2, 1, 2, 1] alternate between 5 groups of axes, at most 4 are supported',
  )
  assert.throws(() => addOp.shape({}, [3], [4]), /add: shapes do not broadcast, \[3\] and \[4\]/)
})

test('golden: two inputs', async ({ gpu }) => {
  const cases: [string, typeof add][] = [
    ['add_chan', add],
    ['sub_row', sub],
    ['sub_b', sub],
    ['mul_outer', mul],
    ['mul_scalar', mul],
    ['div_col', div],
  ]
  for (const [name, op] of cases)
    (await matchesGolden(gpu, name, ([a, b = a]) => op(a, b), { inputs: ['a', 'b'] })).done()
  ;(await matchesGolden(gpu, 'mul_same', ([x]) => mul(x, x))).done()
})

const unary: [string, (x: Tensor) => Tensor, (x: number) => number][] = [
  ['relu', relu, (x) => Math.max(x, 0)],
  ['leakyRelu', (x) => leakyRelu(x, 0.3), (x) => (x > 0 ? x : 0.3 * x)],
  ['tanh', tanh, Math.tanh],
  ['sigmoid', sigmoid, (x) => 1 / (1 + Math.exp(-x))],
  ['softplus', softplus, (x) => Math.log1p(Math.exp(x))],
  ['exp', exp, Math.exp],
  ['log', log, Math.log],
  ['sqrt', sqrt, Math.sqrt],
]

for (const [name, op, f] of unary)
  test(name, async ({ gpu }) => {
    for (const count of [1, 64, 131]) {
      const positive = name === 'log' || name === 'sqrt'
      const values = [random(count).map((v) => (positive ? 1.5 + v : 3 * v))]
      await checkOp(gpu, op, (x) => x.map(f), [[count]], { values })
    }
  })

test('golden: one input', async ({ gpu }) => {
  const cases: [string, (x: Tensor) => Tensor][] = [
    ['relu', relu],
    ['relu_b', relu],
    ['leaky_relu_0.01', leakyRelu],
    ['tanh', tanh],
    ['tanh_clip_20', (x) => mul(tanh(mul(x, 1 / 20)), 20)],
    ['sigmoid', sigmoid],
    ['softplus', softplus],
    ['exp', exp],
    ['log', log],
    ['log_b', log],
    ['sqrt', sqrt],
  ]
  for (const [name, op] of cases) (await matchesGolden(gpu, name, ([x]) => op(x))).done()
})

test('relu and leakyRelu take the left slope at 0 and at -0', async ({ gpu }) => {
  const x = gpu.tensor([0, -0], [2])
  assert.equal([...(await gradientAt(gpu, relu(x), x))], [0, 0])
  close(await gradientAt(gpu, leakyRelu(x), x), [0.01, 0.01], 1e-9, 'slope')
})

test('tanh, sigmoid and softplus are accurate where they are tiny and saturate where they end', async ({
  gpu,
}) => {
  const x = [
    -1e4, -88, -40, -16, -9.5, -0.7, -1e-3, -1e-6, 0, 1e-6, 0.624, 0.626, 1, 5, 9, 20.5, 88, 1e4,
  ]
  const relative = async (
    op: (x: Tensor) => Tensor,
    f: (x: number) => number,
    tolerance: number,
  ) => {
    const got = await gpu.read(op(gpu.tensor(x, [x.length])))
    for (const [i, v] of x.entries()) {
      const want = f(Math.fround(v))
      assert.ok(
        Math.abs((got[i] ?? NaN) - want) <= tolerance * Math.abs(want) + 1e-37,
        `${op.name}(${v}): ${got[i]}, not ${want}`,
      )
    }
  }
  await relative(tanh, Math.tanh, 3e-7)
  // exp's own error grows with |x|: (3 + 2 |x|) units in the last place, which is 1e-5 at 88
  await relative(sigmoid, (v) => 1 / (1 + Math.exp(-v)), 1.1e-5)
  await relative(softplus, (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v))), 1.1e-5)
})

test('NaN stays NaN, and relu hands the gradient on there, as in torch', async ({ gpu }) => {
  const x = gpu.tensor([NaN, -1, 2], [3])
  for (const op of [relu, leakyRelu, tanh, sigmoid, softplus]) {
    const [first, ...others] = await gpu.read(op(x))
    assert.ok(Number.isNaN(first) && others.every(Number.isFinite), op.name)
  }
  assert.equal([...(await gradientAt(gpu, relu(x), x, gpu.tensor([5, 6, 7], [3])))], [5, 0, 7])
})

test('preciseLog is good to two units of the last digit', async ({ gpu }) => {
  const logKernel = kernel`
    @group(0) @binding(0) var<storage, read>       x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    ${preciseLog}
    @compute @workgroup_size(64)
    fn logs(@builtin(global_invocation_id) id: vec3u) { y[id.x] = preciseLog(x[id.x]); }
  `
  const near = Array.from({ length: 640 }, (_, i) => Math.fround(0.5 + i / 640))
  const far = Array.from({ length: 640 }, (_, i) => Math.fround(Math.exp(i / 4 - 80)))
  const special = [NaN, Infinity, ...Array.from({ length: 62 }, () => 1)]
  const x = Float32Array.of(...near, ...far, ...special)
  const [y] = gpu.run(logKernel, {
    reads: [gpu.tensor(x, [x.length])],
    makes: [[x.length]],
    groups: [x.length / 64],
  })
  const got = await gpu.read(y)
  for (const [i, value] of [...near, ...far].entries()) {
    const expected = Math.log(value)
    const error = Math.abs((got[i] ?? NaN) - expected)
    assert.ok(
      error <= 2 ** -22 * Math.abs(expected),
      `log(${value}): got ${got[i]}, expected ${expected}`,
    )
  }
  assert.ok(Number.isNaN(got[1280]))
  assert.equal([...got.slice(1281, 1283)], [Infinity, 0])
})

test('a product with a number keeps the sign of zero', async ({ gpu }) => {
  const x = gpu.tensor([-0, 0, -0, 1])
  const signs = (values: Float32Array) => Array.from(values, (v) => Object.is(v, -0))
  assert.equal(signs(await gpu.read(mul(x, 2))), [true, false, true, false])
  assert.equal(signs(await gpu.read(mul(-2, x))), [false, true, false, false])
})

test.run()
