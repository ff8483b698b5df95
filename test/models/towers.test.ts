// Tests the towers of tables, signals and text against float64.

import * as assert from 'uvu/assert'
import { Adam } from '../../engine/optim/optimizer.ts'
import { amdimEncoder } from '../../models/amdim-encoder.ts'
import { resnet8 } from '../../models/resnet.ts'
import { mlp } from '../../models/mlp.ts'
import { signalEncoder } from '../../models/signal.ts'
import { loadModel, saveModel } from '../../models/state.ts'
import { bagOfTokens, textTransformer } from '../../models/text.ts'
import { byteTokens, byteVocabulary } from '../../models/tokens.ts'
import type { Model } from '../../models/model.ts'
import { simclr } from '../../methods/simclr.ts'
import { mocoHead } from '../../models/moco-heads.ts'
import { parametersOf } from '../../models/parts.ts'
import { dropout } from '../../kernels/elementwise/dropout.ts'
import { type Weights, checkModel } from '../fixtures/check-model.ts'
import { close, random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import {
  type Rows,
  blockOf,
  convOf,
  layerNormOf,
  linearOf,
  meanOf,
  reluOf,
  rowsOf,
  sumOf,
  total,
} from '../fixtures/reference-layers.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('towers of tables, signals and text')

/** Batch norm of rows by their own statistics. */
function batchNormOf(w: Weights, name: string, x: Rows, eps = 1e-5): number[][] {
  const mean = meanOf(x)
  const square = meanOf(x.map((row) => row.map((v, c) => (v - (mean[c] ?? 0)) ** 2)))
  const [gamma = [], beta = []] = [w[`${name}.weight`], w[`${name}.bias`]]
  return x.map((row) =>
    row.map(
      (v, c) =>
        ((v - (mean[c] ?? 0)) / Math.sqrt((square[c] ?? 0) + eps)) * (gamma[c] ?? 0) +
        (beta[c] ?? 0),
    ),
  )
}

test('mlp is linear, norm, ReLU, layer by layer', async ({ gpu }) => {
  for (const norm of ['batch', 'layer', 'none'] as const) {
    const model = mlp(gpu, { inputs: 5, widths: [7, 6], norm })
    const reference = (w: Weights, x: readonly number[]) => {
      let h: Rows = rowsOf(x, 5)
      for (const i of [0, 1]) {
        const y = linearOf(h, w[`layers.${i}.weight`], w[`layers.${i}.bias`])
        const [gamma, beta] = [w[`norms.${i}.weight`], w[`norms.${i}.bias`]]
        const how = { batch: () => batchNormOf(w, `norms.${i}`, y), layer: () => layerNormOf(y, gamma, beta), none: () => y } // prettier-ignore
        h = reluOf(how[norm]())
      }
      return h.flat()
    }
    await checkModel(gpu, model, { shape: [9, 5], reference, mode: { training: true } })
  }
})

test('signalEncoder is a ResNet of windows of one row', async ({ gpu }) => {
  const [N, L, C, width] = [2, 13, 3, 4]
  const model = signalEncoder(gpu, { channels: C, width, depths: [1, 1], window: 5 })
  const reference = (w: Weights, x: readonly number[]) => {
    // one layer on all signals, as batch norm takes them together
    const conv = (h: Rows, name: string, k: number, stride: number) => {
      const channels = h[0]?.length ?? 0
      const length = h.length / N
      return Array.from({ length: N }, (_, n) =>
        convOf(h.slice(n * length, (n + 1) * length), w[`${name}.weight`], null, {
          ...{ size: [1, length, channels], kernel: [1, k] },
          ...{ stride: [1, stride], padding: [0, (k - 1) / 2] },
        } as const),
      ).flat()
    }
    let h: Rows = reluOf(batchNormOf(w, 'bn1', conv(rowsOf(x, C), 'conv1', 5, 2)))
    for (const stage of [1, 2]) {
      const name = `layer${stage}.0`
      const y = reluOf(batchNormOf(w, `${name}.bn1`, conv(h, `${name}.conv1`, 3, stage)))
      const z = batchNormOf(w, `${name}.bn2`, conv(y, `${name}.conv2`, 3, 1))
      const down = `${name}.downsample`
      const short = stage === 1 ? h : batchNormOf(w, `${down}.1`, conv(h, `${down}.0`, 1, 2))
      h = reluOf(sumOf(z, short))
    }
    return Array.from({ length: N }, (_, n) =>
      meanOf(h.slice((n * h.length) / N, ((n + 1) * h.length) / N)),
    ).flat()
  }
  await checkModel(gpu, model, { shape: [N, L, C], reference, mode: { training: true } })
  const saved = await saveModel(gpu, model)
  assert.equal(saved.get('conv1.weight')?.shape, [width, C, 1, 5])
  const other = signalEncoder(gpu, { channels: C, width, depths: [1, 1], window: 5, seed: 9 })
  loadModel(gpu, other, saved)
  const x = gpu.tensor(random(N * L * C), [N, L, C])
  const of = (one: Model) => gpu.read(one.forward(x, { training: false }))
  assert.equal(await of(other), await of(model))
})

const tokens = byteTokens(['cat', '', 'a dog'], { length: 5 })

test('bagOfTokens is the mean of the embeddings', async ({ gpu }) => {
  const D = 4
  const model = bagOfTokens(gpu, { vocabulary: 130, width: D })
  const reference = (w: Weights, x: readonly number[]) =>
    rowsOf(x, 5).flatMap((row) => {
      const text = row.filter((token) => token !== 0)
      const at = (d: number) => (token: number) => w['token_embed.weight']?.[token * D + d] ?? NaN
      return Array.from({ length: D }, (_, d) =>
        text.length > 0 ? total(text.length, (i) => at(d)(text[i] ?? 0)) / text.length : 0,
      )
    })
  await checkModel(gpu, model, { shape: tokens.shape, values: tokens.values, reference })
})

test('textTransformer attends to the text alone, in both directions', async ({ gpu }) => {
  const [D, heads] = [8, 2]
  const model = textTransformer(gpu, { vocabulary: 130, length: 6, width: D, depth: 2, heads })
  const reference = (w: Weights, x: readonly number[]) =>
    rowsOf(x, 5).flatMap((row) => {
      const length = row.filter((token) => token !== 0).length
      const table = rowsOf(w['token_embed.weight'] ?? [], D)
      let y = sumOf(
        row.map((token) => table[token] ?? []),
        rowsOf(w['pos_embed'] ?? [], D),
      )
      if (length === 0) return Array.from({ length: D }, () => 0)
      for (const i of [0, 1]) y = blockOf(w, `blocks.${i}`, y, { heads, eps: 1e-6, length })
      return meanOf(layerNormOf(y.slice(0, length), w['norm.weight'], w['norm.bias'], 1e-6))
    })
  await checkModel(gpu, model, { shape: tokens.shape, values: tokens.values, reference })
  const more = byteTokens(['cat', '', 'a dog'], { length: 6 })
  const of = ({ values, shape }: typeof tokens) =>
    gpu.read(model.forward(gpu.tensor(values, shape), { training: false }))
  close(await of(more), await of(tokens), 1e-5, 'more padding')
})

test('tokens are the bytes of a text in UTF-8', ({ gpu }) => {
  const { values, shape } = byteTokens(['aé', '日本', ''], { length: 4 })
  assert.equal(shape, [3, 4])
  assert.equal([...values], [98, 196, 170, 0, 231, 152, 166, 0, 0, 0, 0, 0]) // no half of 本
  assert.is(byteVocabulary, Math.max(...byteTokens(['\u{10ffff}'], { length: 4 }).values) + 12)
  const model = textTransformer(gpu, { length: 2, width: 4, depth: 1, heads: 1 })
  const x = gpu.tensor(values, shape)
  refuses(
    () => model.forward(x, { training: false }),
    'textTransformer: tokens must be at most 2 a text, got [3, 4]',
  )
})

test('simclr trains on tables, with views of their own', async ({ gpu }) => {
  const encoder = mlp(gpu, { inputs: 6, widths: [16, 16] })
  const head = mocoHead(gpu, { features: 16, dim: 4 })
  const optimizer = new Adam(parametersOf({ encoder, head }))
  const method = simclr(gpu, {
    ...{ encoder, head, optimizer, schedule: 0.01, temperature: 0.2, batchNorm: 'per-view' },
    views: (x, { seed, step, view, offset }) =>
      dropout(x, 0.1, { seed, step, view, offset, stream: 'corruption' }),
  })
  const rows = gpu.tensor(random(16 * 6), [16, 6])
  const losses: number[] = []
  for (let i = 0; i < 40; i++) losses.push(await gpu.item(method.step(rows)))
  const mean = (of: readonly number[]) => total(of.length, (i) => of[i] ?? NaN) / of.length
  assert.ok(mean(losses.slice(-10)) < mean(losses.slice(0, 10)) - 0.3, losses.join())
  assert.ok(method.captured.replays > 30, String(method.captured.reason))
})

test('image encoders take other channels', async ({ gpu }) => {
  for (const [channels, encoder] of [
    [1, resnet8(gpu, { width: 2, channels: 1 })],
    [5, amdimEncoder(gpu, { size: 32, width: 2, features: 16, depth: 1, channels: 5 })],
  ] as const) {
    const side = 32
    const x = gpu.tensor(random(side * side * channels), [1, side, side, channels])
    const features = await gpu.read(encoder.forward(x, { training: false }))
    assert.ok(features.length === encoder.features && features.every(Number.isFinite))
  }
})

test.run()
