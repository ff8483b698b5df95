import * as assert from 'uvu/assert'
import { augment } from '../../kernels/augment/augment.ts'
import { type Tensor, sizeOf } from '../../kernels/op.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { AdamW } from '../../engine/optim/optimizer.ts'
import { embed } from '../../evaluate/embed.ts'
import { moco } from '../../methods/moco.ts'
import { KeyQueue } from '../../models/key-queue.ts'
import { mocoHead } from '../../models/moco-heads.ts'
import { parametersOf } from '../../models/parts.ts'
import { loadModel, saveModel } from '../../models/state.ts'
import type { Tower } from '../../models/tower.ts'
import { vit, vitSmall, vitTiny } from '../../models/vit.ts'
import { type Weights, checkModel } from '../fixtures/check-model.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import {
  blockOf,
  convOf,
  layerNormOf,
  meanOf,
  rowsOf,
  sumOf,
} from '../fixtures/reference-layers.ts'
import { refuses } from '../fixtures/refusal.ts'
import type { Model } from '../../models/model.ts'

const [test, full] = quickAndFull(gpuSuite('vision transformers'))

const [S, P, C, D, heads] = [8, 4, 2, 8, 2]

/** The features by hand, of images [N, S, S, C]. */
const byHand = (pool: 'token' | 'avg') => (w: Weights, x: readonly number[]) =>
  rowsOf(x, S * S * C).flatMap((image) => {
    const patches = convOf(
      rowsOf(image, C),
      w['patch_embed.proj.weight'],
      w['patch_embed.proj.bias'] ?? [],
      { size: [S, S, C], kernel: [P, P], stride: [P, P] },
    )
    let y = sumOf([w['cls_token'] ?? [], ...patches], rowsOf(w['pos_embed'] ?? [], D))
    for (const i of [0, 1]) y = blockOf(w, `blocks.${i}`, y, { heads, eps: 1e-6 })
    const name = pool === 'token' ? 'norm' : 'fc_norm'
    const features = pool === 'token' ? (y[0] ?? []) : meanOf(y.slice(1))
    return layerNormOf([features], w[`${name}.weight`], w[`${name}.bias`], 1e-6).flat()
  })

for (const pool of ['token', 'avg'] as const)
  test(`features and gradients are those of float64, pool '${pool}'`, async ({ gpu }) => {
    const model = vit(gpu, { width: D, depth: 2, heads, size: S, patch: P, channels: C, pool })
    await checkModel(gpu, model, { shape: [2, S, S, C], reference: byHand(pool) })
  })

/** Counts the numbers of the parameters with such names. */
const sizesOf = ({ parameters }: Model, such: (name: string) => boolean = () => true) =>
  Object.entries(parameters).reduce(
    (sum, [name, { shape }]) => sum + (such(name) ? sizeOf(shape) : 0),
    0,
  )

test("names, shapes and counts are timm's", ({ gpu }) => {
  const tiny = vitTiny(gpu)
  const names = Object.keys(tiny.parameters)
  assert.equal(
    names.filter((name) => !name.startsWith('blocks.')),
    [
      'cls_token',
      'pos_embed',
      'patch_embed.proj.weight',
      'patch_embed.proj.bias',
      'norm.weight',
      'norm.bias',
    ],
  )
  const block = ['norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2']
  for (let i = 0; i < 12; i++)
    assert.equal(
      names.filter((name) => name.startsWith(`blocks.${i}.`)),
      block.flatMap((layer) => ['weight', 'bias'].map((part) => `blocks.${i}.${layer}.${part}`)),
    )
  const shape = (name: string) => tiny.parameters[name]?.shape
  assert.equal(shape('pos_embed'), [1, 197, 192])
  assert.equal(shape('patch_embed.proj.weight'), [16, 16, 3, 192])
  assert.equal(shape('blocks.0.attn.qkv.weight'), [576, 192])
  assert.equal(shape('blocks.11.mlp.fc1.weight'), [768, 192])
  assert.is(sizesOf(tiny) + 192 * 1000 + 1000, 5_717_416) // with the classifier
  gpu.free(tiny)
  assert.is(tiny.features, 192)
})

full("ViT-Small has timm's number of parameters", ({ gpu }) => {
  const small = vitSmall(gpu)
  assert.is(sizesOf(small) + 384 * 1000 + 1000, 22_050_664)
  assert.is(small.features, 384)
  gpu.free(small)
})

test('a block of the width of ViT-Small has its twelfth', ({ gpu }) => {
  const model = vit(gpu, { width: 384, depth: 1, heads: 6 })
  const block = sizesOf(model, (name) => name.startsWith('blocks.'))
  assert.is(sizesOf(model) + 11 * block + 384 * 1000 + 1000, 22_050_664)
})

test("initial weights are timm's", async ({ gpu }) => {
  const model = vit(gpu, { width: 64, depth: 1, heads: 2, size: 32, patch: 4 })
  const moments = async (name: string) => {
    const variable = model.parameters[name]
    const values = variable ? await gpu.read(variable) : new Float32Array()
    const mean = values.reduce((a, b) => a + b, 0) / values.length
    return Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length)
  }
  for (const name of ['pos_embed', 'blocks.0.attn.qkv.weight', 'blocks.0.mlp.fc2.weight'])
    assert.ok(Math.abs((await moments(name)) / 0.02 - 1) < 0.05, name)
  assert.ok((await moments('cls_token')) < 2e-6)
  const bound = 1 / Math.sqrt(48) // torch's convolutions: U(-1/√fan_in, 1/√fan_in)
  assert.ok(
    Math.abs((await moments('patch_embed.proj.weight')) / (bound / Math.sqrt(3)) - 1) < 0.05,
  )
  for (const name of ['blocks.0.attn.qkv.bias', 'blocks.0.mlp.fc1.bias', 'norm.bias'])
    assert.is(await moments(name), 0)
})

test('drops in training alone, each layer by itself', async ({ gpu }) => {
  const sizes = { width: D, depth: 2, heads, size: S, patch: P, channels: C }
  const model = vit(gpu, { ...sizes, dropout: 0.3, dropPath: 0.5 })
  const plain = vit(gpu, sizes)
  const x = gpu.tensor(new Float32Array(2 * S * S * C).fill(0.5), [2, S, S, C])
  const features = async (of: Model, training: boolean, step = 0) => [
    ...(await gpu.read(of.forward(x, { training, draws: { seed: 1, step } }))),
  ]
  const still = await features(plain, true)
  assert.equal(await features(model, false), still)
  const dropped = await features(model, true)
  assert.equal(await features(model, true), dropped)
  assert.is.not(dropped.join(), still.join())
  assert.is.not((await features(model, true, 1)).join(), dropped.join())
  gpu.step(() => model.forward(x, { training: true, draws: { seed: 1, step: 0 } })) // no two of its layers share a mask
})

test('trains by MoCo in replayed steps, is saved, loaded and embeds', async ({ gpu }) => {
  const sizes = { width: D, depth: 2, heads, size: S, patch: P, dropPath: 0.5 }
  const tower = (seed: number): Tower => ({
    encoder: vit(gpu, { ...sizes, seed }),
    head: mocoHead(gpu, { features: D, dim: 4, seed }),
  })
  const [query, key] = [tower(1), tower(2)]
  const optimizer = new AdamW(parametersOf(query), { weightDecay: 0.05 })
  const method = moco(gpu, {
    ...{ query, key, optimizer, queue: new KeyQueue(gpu, { K: 16, C: 4 }), momentum: 0.9 },
    ...{ schedule: 0.01, temperature: 0.2, symmetric: true, views: {} },
  })
  const pixels = Uint8Array.from({ length: 8 * S * S * 3 }, (_, i) => (i * i) % 251)
  const before = await gpu.read(query.encoder.forward(floats(gpu, pixels), { training: false }))
  for (let i = 0; i < 5; i++)
    assert.ok(Number.isFinite(await gpu.item(method.step({ pixels, shape: [8, S, S, 3] }))))
  assert.is(method.captured.reason, null)
  const other = vit(gpu, { ...sizes, seed: 3 })
  const saved = await saveModel(gpu, query.encoder)
  assert.equal(saved.get('patch_embed.proj.weight')?.shape, [D, 3, P, P]) // as torch
  loadModel(gpu, other, saved)
  const encode = (model: Model) => (x: Tensor) =>
    model.forward(augment(x, {}, { seed: 0, step: 0, view: 0 }), { training: false })
  const batches = [{ images: pixels }]
  const { features } = await embed(gpu, encode(other), batches, [S, S, 3])
  assert.equal(features, (await embed(gpu, encode(query.encoder), batches, [S, S, 3])).features)
  assert.is.not(features.join(), before.join())
})

const floats = (gpu: Gpu, pixels: Uint8Array) =>
  gpu.tensor(
    Float32Array.from(pixels, (v) => v / 255),
    [8, S, S, 3],
  )

test('refuses sizes that do not fit', ({ gpu }) => {
  refuses(() => vitTiny(gpu, { size: 30 }), 'vitTiny: patch must divide the size 30, got 16')
  refuses(
    () => vit(gpu, { width: 10, depth: 1, heads: 3 }),
    'vit: heads must divide the width 10, got 3',
  )
  const model = vit(gpu, { width: D, depth: 1, heads, size: S, patch: P })
  refuses(
    () => model.forward(gpu.tensor(new Float32Array(S * S), [1, S, S, 1]), { training: false }),
    'vit: images must be [N, 8, 8, 3], got [1, 8, 8, 1]',
  )
})

test.run()
