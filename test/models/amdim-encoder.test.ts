import * as assert from 'uvu/assert'
import { add } from '../../kernels/elementwise/add.ts'
import { avgPool } from '../../kernels/pool/avg-pool.ts'
import { batchNorm } from '../../kernels/norm/batch-norm.ts'
import { concat } from '../../kernels/shape/concat.ts'
import { conv2d } from '../../kernels/conv/conv2d.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { type Tensor, sizeOf } from '../../kernels/op.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { reshape } from '../../kernels/shape/reshape.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import type { Gpu } from '../../engine/gpu.ts'
import type { SavedTensor } from '../../engine/safetensors.ts'
import { type AmdimEncoder, amdimEncoder } from '../../models/amdim-encoder.ts'
import { loadModel, variablesOf } from '../../models/state.ts'
import { random } from '../fixtures/check.ts'
import { Golden, goldenNames } from '../fixtures/golden.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('amdimEncoder')

const evaluating = { training: false }
const training = { training: true }

/** A golden case's encoder, with its weights and running statistics. */
function build(gpu: Gpu, golden: Golden): AmdimEncoder {
  const { encoder_size, ndf, n_rkhs, n_depth, use_bn } = golden.config
  const encoder = amdimEncoder(gpu, {
    size: Number(encoder_size),
    width: Number(ndf),
    features: Number(n_rkhs),
    depth: Number(n_depth),
    batchNorm: use_bn === true,
  })
  const saved = golden.names
    .filter((name) => /^(w|buf)\./.test(name))
    .map((name): [string, SavedTensor] => [
      name.replace(/^(w|buf)\./, ''),
      { data: golden.values(name), shape: golden.shape(name) },
    ])
  loadModel(gpu, encoder, new Map(saved))
  return encoder
}

for (const name of goldenNames('amdim_enc'))
  test(`${name} agrees with the original code`, async ({ gpu }) => {
    const golden = new Golden(name)
    const encoder = build(gpu, golden)
    const x = golden.images(gpu, 'in.x')
    const [N = 0, R = 0] = golden.shape('out.eval.r1')
    const seen = gpu.noGrad(() => encoder.scales(x, evaluating))
    for (const [r, got] of Object.entries(asMaps(seen, N, R)))
      await golden.matchImages(gpu, `out.eval.${r}`, got)
    const scales = asMaps(encoder.scales(x, training), N, R)
    for (const [r, got] of Object.entries(scales))
      await golden.matchImages(gpu, `out.train.${r}`, got)
    if (golden.has('up.r1')) await matchGradients(gpu, golden, encoder, scales)
    await matchStatistics(gpu, golden, encoder)
    golden.done()
  })

const asMaps = ({ r1, r5, r7 }: { r1: Tensor; r5: Tensor; r7: Tensor }, N: number, R: number) => ({
  r1: reshape(r1, [N, 1, 1, R]),
  r5,
  r7,
})

async function matchGradients(
  gpu: Gpu,
  golden: Golden,
  { parameters }: AmdimEncoder,
  scales: Record<string, Tensor>,
) {
  const [first, ...others] = Object.entries(scales).map(([r, y]) =>
    sum(mul(y, golden.images(gpu, `up.${r}`))),
  )
  if (!first) throw new Error('no features')
  const gradients = gpu.backward(others.reduce((a, b) => add(a, b), first))
  for (const [key, variable] of Object.entries(parameters)) {
    const [expected, got] = [`grad.${key}`, gradients.of(variable)]
    if (!golden.has(expected)) assert.is(got, undefined, `${key}: the case has no gradient`)
    else if (variable.shape.length === 4) await golden.matchKernel(gpu, expected, got)
    else await golden.match(gpu, expected, got)
  }
}

async function matchStatistics(gpu: Gpu, golden: Golden, encoder: AmdimEncoder) {
  for (const [key, variable] of Object.entries(variablesOf(encoder)))
    if (golden.has(`after.${key}`)) await golden.match(gpu, `after.${key}`, variable)
  for (const [key, { batches }] of Object.entries(encoder.norms))
    if (golden.has(`after.${key}.num_batches_tracked`))
      golden.expect(`after.${key}.num_batches_tracked`, [batches])
}

test('at the start it is average pooling with channels of zeros, bit for bit', async ({ gpu }) => {
  const [N, width, R] = [2, 3, 16]
  const encoder = amdimEncoder(gpu, { size: 32, width, features: R, depth: 2, seed: 5 })
  const x = gpu.tensor(
    random(N * 32 * 32 * 3).map((v) => (v + 1) / 2),
    [N, 32, 32, 3],
  )
  const { r1, r7 } = gpu.noGrad(() => encoder.scales(x, evaluating))
  let pooled = stemOf(encoder, x)
  for (const [size, stride] of [
    [4, 2],
    [2, 2],
    [3, 1],
    [3, 1],
    [3, 1],
  ] as const)
    pooled = avgPool(pooled, { size, stride })
  const zeros = gpu.tensor(new Float32Array(N * (R - width)), [N, R - width])
  const ones = gpu.tensor(new Float32Array(R).fill(1), [R])
  const zero = gpu.tensor(new Float32Array(R), [R])
  const running = encoder.norms['layer_list.8.bn'] ?? null
  const expected = concat([reshape(pooled, [N, width]), zeros], 1)
  const normed = batchNorm(expected, ones, zero, running, evaluating)
  assert.equal(await gpu.read(r1), await gpu.read(normed))
  assert.ok(Math.min(...(await gpu.read(pooled))) >= 0 && Math.max(...(await gpu.read(pooled))) > 0)
  assert.equal(r7.shape, [N, 7, 7, R])
})

/** What the first convolution gives, from the model's own parameters. */
function stemOf({ parameters }: AmdimEncoder, x: Tensor): Tensor {
  const { 'layer_list.0.conv.weight': w, 'layer_list.0.conv.bias': b } = parameters
  if (!w || !b) throw new Error('no stem')
  return relu(add(conv2d(x, w), b))
}

const weightsOf = ({ parameters }: AmdimEncoder) =>
  Object.values(parameters)
    .filter(({ shape }) => shape.length === 4)
    .reduce((total, { shape }) => total + sizeOf(shape), 0)

/** The number of a model's convolution weights, which is what the published numbers count (norms
 *  and biases are a thousandth). It is a polynomial in width w and features R, linear in depth:
 *  found from small models, exactly. */
function counter(gpu: Gpu, size: number) {
  const terms = (w: number, R: number) => [w * w, w * R, R * R, w, R, 1]
  const points = [
    [1, 8],
    [1, 9],
    [1, 11],
    [2, 16],
    [2, 17],
    [3, 24],
  ] as const
  const count = (width: number, features: number, depth: number) =>
    weightsOf(amdimEncoder(gpu, { size, width, features, depth }))
  const [one = [], two = []] = [1, 2].map((depth) =>
    solve(points.map(([w, R]) => [...terms(w, R), count(w, R, depth)])).map(Math.round),
  )
  return (width: number, features: number, depth: number) =>
    terms(width, features).reduce(
      (total, term, i) =>
        total + term * ((one[i] ?? 0) + (depth - 1) * ((two[i] ?? 0) - (one[i] ?? 0))),
      0,
    )
}

/** Solves rows of coefficients and their sum, by elimination. */
function solve(rows: number[][]): number[] {
  const at = (i: number, j: number) => rows[i]?.[j] ?? NaN
  for (let j = 0; j < rows.length; j++) {
    const pivot = rows.findIndex((row, i) => i >= j && Math.abs(row[j] ?? 0) > 1e-9)
    ;[rows[j], rows[pivot]] = [rows[pivot] ?? [], rows[j] ?? []]
    const scale = at(j, j)
    rows[j] = (rows[j] ?? []).map((v) => v / scale)
    const lead = [...(rows[j] ?? [])]
    for (const [i, row] of rows.entries())
      if (i !== j) rows[i] = row.map((v, k) => v - (row[j] ?? 0) * (lead[k] ?? 0))
  }
  return rows.map((row) => row.at(-1) ?? NaN)
}

for (const [size, published] of [
  [
    32,
    [
      [128, 1024, 3, 20],
      [128, 1024, 10, 32],
      [256, 2048, 10, 127.8],
    ],
  ],
  [64, [[256, 2048, 10, 425]]],
  [
    128,
    [
      [192, 1536, 8, 208],
      [256, 2048, 10, 426],
      [320, 2560, 10, 666],
    ],
  ],
] as const)
  test(`has the published number of parameters at ${size} px`, ({ gpu }) => {
    const count = counter(gpu, size)
    const whole = amdimEncoder(gpu, { size, width: 5, features: 43, depth: 4 })
    assert.is(count(5, 43, 4), weightsOf(whole), 'the polynomial holds')
    for (const [width, features, depth, millions] of published) {
      const got = count(width, features, depth) / 1e6
      const digit = millions < 200 ? 0.1 : 1 // what the number is rounded to
      assert.is(
        Math.round(got / digit),
        Math.round(millions / digit),
        `${width}, ${features}, ${depth}: ${got}M`,
      )
    }
  })

test('refuses sizes that miss a scale, and too few features', ({ gpu }) => {
  const small = { width: 2, features: 16, depth: 1 }
  refuses(
    () => amdimEncoder(gpu, { ...small, size: 40 }),
    'amdimEncoder: maps must reach sides of 7, 5 and 1, got 38, 38, 18, 9, 9, 7, 5, 3, 3 for images of 40 px; use 32, 64 or 128',
  )
  refuses(
    () => amdimEncoder(gpu, { ...small, size: 32, features: 7 }),
    'amdimEncoder: features must be at least the 8 channels of the last map, got 7',
  )
  refuses(
    () => amdimEncoder(gpu, { ...small, size: 32, depth: 0 }),
    'amdimEncoder: depth must be a whole number from 1 on, got 0',
  )
  const encoder = amdimEncoder(gpu, { ...small, size: 32 })
  refuses(
    () => encoder.forward(gpu.tensor(random(31 * 32 * 3), [1, 31, 32, 3]), evaluating),
    'amdimEncoder: images must be [N, 32, 32, 3], got [1, 31, 32, 3]',
  )
})

test.run()
