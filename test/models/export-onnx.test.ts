// Exported models run in ONNX Runtime to Kindred's numbers.

import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import * as assert from 'uvu/assert'
import type { Gpu } from '../../engine/gpu.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { l2Normalize } from '../../kernels/reduce/l2-normalize.ts'
import { topK } from '../../kernels/reduce/top-k.ts'
import { amdimEncoder } from '../../models/amdim-encoder.ts'
import { exportOnnx } from '../../models/export-onnx.ts'
import { convNeXt } from '../../models/convnext.ts'
import { projectionHead } from '../../models/heads.ts'
import { mlp } from '../../models/mlp.ts'
import type { Model } from '../../models/model.ts'
import { halfBits } from '../../models/onnx/half.ts'
import { resnet18, resnet50, resnet8 } from '../../models/resnet.ts'
import { variablesOf } from '../../models/state.ts'
import { vit } from '../../models/vit.ts'
import { random } from '../fixtures/check.ts'
import { toNCHW } from '../fixtures/golden.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refusesAll } from '../fixtures/misuse.ts'

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
  'projection head': (gpu) => [projectionHead(gpu, { features: 64, hidden: 48, dim: 16 }), [64]],
}

for (const [name, make] of Object.entries(models))
  test(`${name} runs in ONNX Runtime, with batches of any size`, async ({ gpu }) => {
    const [model, input] = make(gpu)
    shake(gpu, model)
    const bytes = await exportOnnx(gpu, model, { input })
    const halves = await exportOnnx(gpu, model, { input, half: true, unit: true })
    assert.ok(halves.length < bytes.length, 'f16 is smaller')
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

test('what cannot be exported is named', async ({ gpu }) => {
  const model: Model = {
    ...{ parameters: {}, norms: {}, features: 1 },
    forward: (x) => relu(topK(x, 1).values),
  }
  await refusesAll([
    [
      'an op without a form',
      () => exportOnnx(gpu, model, { input: [4] }),
      'exportOnnx: topK of [2, 4] has no ONNX form here; the model can be saved as safetensors',
    ],
    [
      'no input',
      () => exportOnnx(gpu, model, {} as never), // as JavaScript may
      'exportOnnx: input is missing; it must be [H, W, C] or [F], whole numbers from 1 on',
    ],
  ])
})

test.run()
