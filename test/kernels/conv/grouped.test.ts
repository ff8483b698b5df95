import * as assert from 'uvu/assert'
import type { Shape, Tensor } from '../../../kernels/op.ts'
import { type Conv2dOptions, conv2d } from '../../../kernels/conv/conv2d.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { gradientAt } from '../../fixtures/golden-op.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('conv2d in groups, and with a bias')

interface Layer {
  readonly x: readonly [N: number, H: number, W: number, C: number]
  /** K is the number of output channels. */
  readonly w: readonly [kH: number, kW: number, K: number]
  readonly groups: number
  readonly stride?: readonly [number, number]
  readonly padding?: readonly [number, number]
}

/** The definition, pixel by pixel. */
const reference =
  ({ x: [N, H, W, C], w: [kH, kW, K], groups, stride = [1, 1], padding = [0, 0] }: Layer) =>
  (x: number[], w: number[], bias: number[] = []) => {
    const y: number[] = []
    const [inPer, outPer] = [C / groups, K / groups]
    for (let n = 0; n < N; n++)
      for (let h = -padding[0]; h + kH <= H + padding[0]; h += stride[0])
        for (let v = -padding[1]; v + kW <= W + padding[1]; v += stride[1])
          for (let k = 0; k < K; k++) {
            let sum = bias[k] ?? 0
            for (let t = 0; t < kH * kW; t++) {
              const [row, column] = [h + Math.floor(t / kW), v + (t % kW)]
              if (row < 0 || row >= H || column < 0 || column >= W) continue
              const start = ((n * H + row) * W + column) * C + Math.floor(k / outPer) * inPer
              for (let c = 0; c < inPer; c++)
                sum += (x[start + c] ?? NaN) * (w[(t * inPer + c) * K + k] ?? NaN)
            }
            y.push(sum)
          }
    return y
  }

async function agree(gpu: Gpu, layer: Layer, isBiased = false) {
  const { x, w, ...options } = layer
  const shapes: Shape[] = [x, [w[0], w[1], x[3] / layer.groups, w[2]]]
  const op = (image: Tensor, weight: Tensor, bias: Tensor | null = null) =>
    conv2d(image, weight, { ...options, bias })
  const all = isBiased ? [...shapes, [w[2]]] : shapes
  await checkOp(gpu, op, reference(layer), all)
}

const layers: readonly Layer[] = [
  { x: [2, 7, 9, 8], w: [7, 7, 8], groups: 8, padding: [3, 3] }, // ConvNeXt's
  { x: [1, 1, 17, 4], w: [1, 9, 4], groups: 4, padding: [0, 4] }, // a signal
  { x: [1, 6, 11, 5], w: [3, 3, 5], groups: 5, padding: [1, 1] }, // channels one by one
  { x: [2, 7, 10, 4], w: [3, 5, 4], groups: 4, stride: [2, 3], padding: [1, 2] },
  { x: [1, 5, 8, 3], w: [3, 2, 6], groups: 3, padding: [2, 3], stride: [3, 1] }, // two of each
  { x: [2, 4, 9, 6], w: [3, 3, 4], groups: 2, padding: [1, 0] },
  { x: [1, 5, 5, 8], w: [2, 2, 12], groups: 4, stride: [2, 2] },
]

test('convolves in groups', async ({ gpu }) => {
  for (const [i, layer] of layers.entries()) await agree(gpu, layer, i % 2 === 0)
})

test('adds a bias in every kernel of either adapter', async ({ gpu: host }) => {
  for (const gpu of [host, new Gpu(host.device, { kernels: 'gpu' })]) {
    await agree(gpu, { x: [1, 5, 4, 3], w: [3, 3, 5], groups: 1, padding: [1, 1] }, true)
    await agree(gpu, { x: [1, 6, 4, 4], w: [3, 3, 16], groups: 1, stride: [2, 1] }, true)
    await agree(gpu, { x: [2, 3, 4, 5], w: [1, 1, 6], groups: 1 }, true)
    if (gpu !== host) gpu.destroy()
  }
})

test('images in f16 stay in f16, and agree to its 11 bits', async ({ gpu: host }) => {
  const gpu = new Gpu(host.device, { activations: 'f16' })
  for (const groups of [8, 2, 1]) {
    const [x, w] = [
      gpu.tensor(random(2 * 5 * 6 * 8), [2, 5, 6, 8]),
      gpu.tensor(random(9 * (8 / groups) * 8, 2), [3, 3, 8 / groups, 8]),
    ]
    const bias = gpu.tensor(random(8, 3), [8])
    const options: Conv2dOptions = { groups, padding: 1, bias }
    const y = conv2d(conv2d(x, w, options), w, options)
    assert.is(y.dtype, 'f16')
    const layer: Layer = { x: [2, 5, 6, 8], w: [3, 3, 8], groups, padding: [1, 1] }
    const once = reference(layer)
    const [a, b, c] = [await gpu.read(x), await gpu.read(w), await gpu.read(bias)].map((t) => [
      ...t,
    ])
    const exact = once(once(a ?? [], b ?? [], c), b ?? [], c)
    const most = Math.max(...exact.map(Math.abs))
    const off = (await gpu.read(y)).map((v, i) => Math.abs(v - (exact[i] ?? NaN)))
    assert.ok(Math.max(...off) < most * 2 ** -9, `${Math.max(...off)} of ${most}`)
    const dBias = await gradientAt(gpu, y, bias)
    assert.ok(dBias.every(Number.isFinite))
  }
  gpu.destroy()
})

test('groups and biases that do not fit are refused', ({ gpu }) => {
  const of = (...shape: number[]) =>
    gpu.tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  refuses(
    () => conv2d(of(1, 4, 4, 6), of(3, 3, 6, 6), { groups: 6 }),
    'conv2d: channels differ, x [1, 4, 4, 6] has 6 and w [3, 3, 6, 6] takes 6 in each of 6 groups',
  )
  refuses(
    () => conv2d(of(1, 4, 4, 6), of(3, 3, 3, 5), { groups: 2 }),
    'conv2d: groups must divide the channels that w makes, got 2 for w [3, 3, 3, 5]',
  )
  refuses(
    () => conv2d(of(1, 4, 4, 6), of(3, 3, 6, 5), { bias: of(6) }),
    'conv2d: bias must have one value per channel that w makes, got [6] for w [3, 3, 6, 5]',
  )
})

test.run()
