import * as assert from 'uvu/assert'
import { sizeOf } from '../../kernels/op.ts'
import { convNeXt, convNeXtTiny } from '../../models/convnext.ts'
import type { Model } from '../../models/model.ts'
import { saveModel } from '../../models/state.ts'
import { type Weights, checkModel } from '../fixtures/check-model.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import {
  convOf,
  geluOf,
  layerNormOf,
  linearOf,
  meanOf,
  rowsOf,
  sumOf,
} from '../fixtures/reference-layers.ts'
import { refuses } from '../fixtures/refusal.ts'

const [test, full] = quickAndFull(gpuSuite('ConvNeXt'))

const [S, P, C] = [8, 2, 2]
const widths = [4, 6]

/** The features by hand, of images [N, S, S, C]. */
const byHand = (w: Weights, x: readonly number[]) =>
  rowsOf(x, S * S * C).flatMap((image) => {
    const at = (name: string) => [w[`${name}.weight`], w[`${name}.bias`]] as const
    const normed = (y: number[][], name: string) => layerNormOf(y, ...at(name), 1e-6)
    let [side, y] = [S, rowsOf(image, C)]
    const patches = (name: string, p: number) => {
      const [weight, bias = []] = at(name)
      const size = [side, side, y[0]?.length ?? 0] as const
      y = convOf(y, weight, bias, { size, kernel: [p, p], stride: [p, p] })
      side /= p
    }
    for (const [i, K] of widths.entries()) {
      if (i === 0) {
        patches('stem.0', P)
        y = normed(y, 'stem.1')
      } else {
        y = normed(y, `stages.${i}.downsample.0`)
        patches(`stages.${i}.downsample.1`, 2)
      }
      const name = `stages.${i}.blocks.0`
      const [weight, bias = []] = at(`${name}.conv_dw`)
      const how = { size: [side, side, K], kernel: [7, 7], padding: [3, 3], groups: K } as const
      const h = normed(convOf(y, weight, bias, how), `${name}.norm`)
      const z = linearOf(geluOf(linearOf(h, ...at(`${name}.mlp.fc1`))), ...at(`${name}.mlp.fc2`))
      const gamma = w[`${name}.gamma`] ?? []
      y = sumOf(
        y,
        z.map((row) => row.map((v, c) => v * (gamma[c] ?? NaN))),
      )
    }
    return layerNormOf([meanOf(y)], ...at('head.norm'), 1e-6).flat()
  })

test('features and gradients are those of float64', async ({ gpu }) => {
  const model = convNeXt(gpu, { depths: [1, 1], widths, patch: P, channels: C })
  await checkModel(gpu, model, { shape: [2, S, S, C], reference: byHand })
})

const sizesOf = ({ parameters }: Model) =>
  Object.values(parameters).reduce((sum, { shape }) => sum + sizeOf(shape), 0)

test("names and shapes are timm's", async ({ gpu }) => {
  const model = convNeXt(gpu, { depths: [1, 1], widths: [8, 16] })
  const saved = await saveModel(gpu, model)
  const block = (i: number, K: number) => [
    [`stages.${i}.blocks.0.conv_dw.weight`, [K, 1, 7, 7]],
    [`stages.${i}.blocks.0.conv_dw.bias`, [K]],
    [`stages.${i}.blocks.0.norm.weight`, [K]],
    [`stages.${i}.blocks.0.norm.bias`, [K]],
    [`stages.${i}.blocks.0.mlp.fc1.weight`, [4 * K, K]],
    [`stages.${i}.blocks.0.mlp.fc1.bias`, [4 * K]],
    [`stages.${i}.blocks.0.mlp.fc2.weight`, [K, 4 * K]],
    [`stages.${i}.blocks.0.mlp.fc2.bias`, [K]],
    [`stages.${i}.blocks.0.gamma`, [K]],
  ]
  assert.equal(
    [...saved].map(([name, { shape }]) => [name, shape]),
    [
      ['stem.0.weight', [8, 3, 4, 4]],
      ['stem.0.bias', [8]],
      ['stem.1.weight', [8]],
      ['stem.1.bias', [8]],
      ...block(0, 8),
      ['stages.1.downsample.0.weight', [8]],
      ['stages.1.downsample.0.bias', [8]],
      ['stages.1.downsample.1.weight', [16, 8, 2, 2]],
      ['stages.1.downsample.1.bias', [16]],
      ...block(1, 16),
      ['head.norm.weight', [16]],
      ['head.norm.bias', [16]],
    ],
  )
})

test("counts its parameters as timm's ConvNeXt-Tiny", ({ gpu }) => {
  const block = (K: number) => 49 * K + K + 2 * K + (4 * K * K + 4 * K) + (4 * K * K + K) + K
  const count = (depths: readonly number[], dims: readonly number[]) =>
    dims.reduce(
      (sum, K, i) => {
        const before = dims[i - 1]
        const first = before === undefined ? 48 * K + K + 2 * K : 2 * before + 4 * before * K + K
        return sum + first + (depths[i] ?? 0) * block(K)
      },
      2 * (dims.at(-1) ?? 0),
    )
  const tiny = [[3, 3, 9, 3], [96, 192, 384, 768]] as const // prettier-ignore
  assert.is(count(...tiny) + 768 * 1000 + 1000, 28_589_128) // with the classifier
  const small = { depths: [1, 2, 1], widths: [6, 8, 10] }
  assert.is(sizesOf(convNeXt(gpu, small)), count(small.depths, small.widths))
})

full("ConvNeXt-Tiny has timm's number of parameters", ({ gpu }) => {
  const model = convNeXtTiny(gpu)
  assert.is(sizesOf(model) + 768 * 1000 + 1000, 28_589_128)
  assert.is(model.features, 768)
  gpu.free(model)
})

test('drops branches in training, and starts them at almost 0', async ({ gpu }) => {
  const sizes = { depths: [1, 1], widths, patch: P, channels: C }
  const model = convNeXt(gpu, { ...sizes, dropPath: 0.9, layerScale: 1 })
  const x = gpu.tensor(new Float32Array(2 * S * S * C).fill(0.5), [2, S, S, C])
  const of = async (mode: object) => [
    ...(await gpu.read(model.forward(x, { training: false, ...mode }))),
  ]
  const dropped = await of({ training: true, draws: { seed: 0, step: 0 } })
  assert.is.not(dropped.join(), (await of({})).join())
  const gamma = convNeXt(gpu, sizes).parameters['stages.0.blocks.0.gamma']
  assert.ok(gamma && (await gpu.read(gamma)).every((v) => v === Math.fround(1e-6)))
})

test('refuses stages without a width', ({ gpu }) => {
  refuses(
    () => convNeXt(gpu, { depths: [1, 1], widths: [4] }),
    'convNeXt: depths and widths must be as many, got 2 and 1',
  )
})

test.run()
