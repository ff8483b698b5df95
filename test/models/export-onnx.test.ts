// Exported models run in ONNX Runtime to Kindred's numbers.

import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import * as assert from 'uvu/assert'
import type { Gpu } from '../../engine/gpu.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { div } from '../../kernels/elementwise/div.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { neg } from '../../kernels/elementwise/neg.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { sub } from '../../kernels/elementwise/sub.ts'
import type { Tensor } from '../../kernels/op.ts'
import { globalAvgPool } from '../../kernels/pool/global-avg-pool.ts'
import { l2Normalize } from '../../kernels/reduce/l2-normalize.ts'
import { mean } from '../../kernels/reduce/mean.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { chunk } from '../../kernels/shape/chunk.ts'
import { concat } from '../../kernels/shape/concat.ts'
import { reshape } from '../../kernels/shape/reshape.ts'
import { slice } from '../../kernels/shape/slice.ts'
import { transpose } from '../../kernels/shape/transpose.ts'
import { amdimEncoder } from '../../models/amdim-encoder.ts'
import { exportOnnx } from '../../models/export-onnx.ts'
import { convNeXt } from '../../models/convnext.ts'
import { projectionHead } from '../../models/heads.ts'
import { mlp } from '../../models/mlp.ts'
import type { Model } from '../../models/model.ts'
import { halfBits } from '../../models/onnx/half.ts'
import { resnet18, resnet50, resnet8 } from '../../models/resnet.ts'
import { signalEncoder } from '../../models/signal.ts'
import { variablesOf } from '../../models/state.ts'
import { vit } from '../../models/vit.ts'
import { random } from '../fixtures/check.ts'
import { toNCHW } from '../fixtures/golden.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { plainModel } from '../fixtures/plain-model.ts'

const test = gpuSuite('ONNX')

/** Sets every variable to numbers that a trained model might have, so that no layer is idle. */
function shake(gpu: Gpu, model: Model) {
  for (const [i, [name, variable]] of Object.entries(variablesOf(model)).entries()) {
    const values = random(
      variable.shape.reduce((a, b) => a * b, 1),
      i + 1,
    )
    const fan = variable.shape.slice(0, -1).reduce((a, b) => a * b, 1)
    const isScale = variable.shape.length === 1 && !/bias|mean/.test(name)
    gpu.write(
      variable,
      values.map((v) => (isScale ? 1 + v / 2 : v / Math.sqrt(fan))),
    )
  }
}

async function inOrt(bytes: Uint8Array, x: readonly number[], shape: readonly number[]) {
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 })
  const values =
    shape.length === 4 ? toNCHW(Float32Array.from(x), shape).values : Float32Array.from(x)
  const [N = 1, H = 1, W = 1, C = 1] = shape
  const dims = shape.length === 4 ? [N, C, H, W] : [...shape]
  const { embedding } = await session.run({ input: new OrtTensor('float32', values, dims) })
  return embedding?.data as Float32Array // as the file says
}

/** Every op of a tensor and a number. */
function numbered(x: Tensor): Tensor {
  const y = add(1, mul(sub(div(add(mul(x, 2), 1), 3), 0.5), -1))
  return add(sub(1, y), add(div(3, add(relu(y), 2)), neg(mul(0.25, x))))
}

const models: Record<string, (gpu: Gpu) => readonly [model: Model, input: readonly number[]]> = {
  'resnet8, cifar stem': (gpu) => [resnet8(gpu, { width: 4 }), [16, 16, 3]],
  'resnet8, imagenet stem': (gpu) => [resnet8(gpu, { width: 4, stem: 'imagenet' }), [33, 40, 3]],
  'resnet18, cifar stem': (gpu) => [resnet18(gpu, { width: 4 }), [16, 16, 3]],
  'resnet18, imagenet stem': (gpu) => [resnet18(gpu, { width: 4, stem: 'imagenet' }), [64, 64, 3]],
  'resnet50, cifar stem': (gpu) => [resnet50(gpu, { width: 4 }), [16, 16, 3]],
  'resnet50, imagenet stem': (gpu) => [resnet50(gpu, { width: 4, stem: 'imagenet' }), [64, 64, 3]],
  amdim: (gpu) => [amdimEncoder(gpu, { size: 32, width: 4, features: 32, depth: 2 }), [32, 32, 3]],
  'amdim with batch norm, 128 px': (gpu) => [
    amdimEncoder(gpu, { size: 128, width: 4, features: 32, depth: 1, batchNorm: true }),
    [128, 128, 3],
  ],
  'vit, token': (gpu) => [
    vit(gpu, { size: 16, patch: 4, width: 24, depth: 2, heads: 3 }),
    [16, 16, 3],
  ],
  'vit, mean': (gpu) => [
    vit(gpu, { size: 16, patch: 4, width: 24, depth: 1, heads: 2, pool: 'avg' }),
    [16, 16, 3],
  ],
  convnext: (gpu) => [convNeXt(gpu, { patch: 2, widths: [8, 16], depths: [1, 2] }), [16, 16, 3]],
  mlp: (gpu) => [mlp(gpu, { inputs: 33, widths: [48, 16] }), [33]],
  signal: (gpu) => [
    signalEncoder(gpu, { channels: 3, width: 4, depths: [1, 1], window: 3 }),
    [20, 3],
  ],
  'projection head': (gpu) => [projectionHead(gpu, { features: 64, hidden: 48, dim: 16 }), [64]],
}

/** Forwards whose ops have attributes that a converter may leave out. */
const forwards: typeof models = {
  'numbers in rows': () => [plainModel(4, numbered), [4]],
  'numbers in images': () => [plainModel(4, (x) => globalAvgPool(numbered(x))), [3, 2, 4]],
  'numbers in f32 and constants': (gpu) => {
    const w = gpu.variable([1, 2, 3], [3])
    return [plainModel(3, (x) => add(mul(x, mul(w, 2)), sub(1, w)), { w }), [3]]
  },
  'one axis': () => [plainModel(4, (x) => mean(x, 1)), [6, 4]],
  'one axis from the end': () => [plainModel(6, (x) => sum(x, -1)), [6, 4]],
  'axes that are kept': () => [
    plainModel(6, (x) => reshape(add(x, mean(x, [-1, 1], { keepDims: true })), [-1, 6])),
    [2, 3],
  ],
  'other axes': () => [
    plainModel(4, (x) => {
      const [a = x, b = x] = chunk(transpose(slice(x, 1, 1, 3), [0, 2, 1]), 2, -2)
      return mean(concat([a, b], -1), 1)
    }),
    [3, 4],
  ],
  'unit rows with an eps': () => [plainModel(4, (x) => l2Normalize(x, { eps: 4 })), [4]],
  'unit rows along another axis': () => [
    plainModel(4, (x) => mean(l2Normalize(x, { axis: -2, eps: 0.01 }), [1])),
    [3, 4],
  ],
}

for (const [name, make] of Object.entries({ ...models, ...forwards }))
  test(`${name} runs in ONNX Runtime, with batches of any size`, async ({ gpu }) => {
    const [model, input] = make(gpu)
    shake(gpu, model)
    const bytes = await exportOnnx(gpu, model, { input })
    const halves = await exportOnnx(gpu, model, { input, half: true, unit: true })
    if (!(name in forwards)) assert.ok(halves.length < bytes.length, 'f16 is smaller')
    for (const N of [1, 3]) {
      const shape = [N, ...input]
      const x = random(
        shape.reduce((a, b) => a * b, 1),
        N,
      )
      const own = gpu.noGrad(() => model.forward(gpu.tensor(x, shape), { training: false }))
      const [want, unit] = await Promise.all([gpu.read(own), gpu.read(l2Normalize(own))])
      const largest = want.reduce((most, v) => Math.max(most, Math.abs(v)), 0)
      const off = (got: ArrayLike<number>, wanted: Float32Array) =>
        wanted.reduce((most, v, i) => Math.max(most, Math.abs(v - (got[i] ?? NaN))), 0)
      const got = await inOrt(bytes, x, shape)
      assert.is(got.length, want.length)
      assert.ok(largest > 1e-3, `features are not zero, ${largest}`)
      assert.ok(off(got, want) <= 1e-4 * Math.max(1, largest), `off by ${off(got, want)}`)
      assert.ok(off(await inOrt(halves, x, shape), unit) <= 0.02, 'f16, unit rows')
    }
  })

test('halves are the nearest f16', () => {
  for (const [x, bits] of [
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65519, 0x7bff],
    [65520, 0x7c00],
    [2 ** -24, 1],
    [2 ** -25, 0],
    [1.5 * 2 ** -24, 2],
    [2 ** -14 - 2 ** -25, 0x0400],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [-0, 0x8000],
    [Infinity, 0x7c00],
    [NaN, 0x7e00],
  ] as const)
    assert.is(halfBits(x), bits, String(x))
})

test('a number whose reciprocal is no f32 is divided by', async ({ gpu }) => {
  const model = plainModel(2, (x) => div(mul(x, 1e38), 1e38))
  const got = await inOrt(await exportOnnx(gpu, model, { input: [2] }), [1, -3], [1, 2])
  assert.ok(
    Math.abs((got[0] ?? NaN) - 1) < 1e-6 && Math.abs((got[1] ?? NaN) + 3) < 1e-6,
    got.join(),
  )
})

test.run()
