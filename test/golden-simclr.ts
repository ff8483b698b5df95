// The golden SimCLR cases' model: leftthomas/SimCLR's names and ours, its weights, its forward.

import * as assert from 'uvu/assert'
import type { Tensor } from '../kernels/op.ts'
import { add } from '../kernels/add.ts'
import { l2Normalize } from '../kernels/l2-normalize.ts'
import { mul } from '../kernels/mul.ts'
import { sum } from '../kernels/sum.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Named } from '../engine/optimizer.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import { projectionHead } from '../models/heads.ts'
import type { Mode, Model } from '../models/layers.ts'
import { resnet18, resnet50 } from '../models/resnet.ts'
import { loadModel, saveModel } from '../models/state.ts'
import type { Golden } from './golden.ts'

export const training = { training: true }
export const evaluating = { training: false }

/** leftthomas/SimCLR keeps the ResNet's children in a Sequential f, and the head in g; here they have torchvision's names. */
export function ourName(theirs: string): string {
  const [root, index = '', ...rest] = theirs.split('.')
  if (root === 'g') return ['projection', index, ...rest].join('.')
  const child = ['conv1', 'bn1', 'relu', 'layer1', 'layer2', 'layer3', 'layer4'][Number(index)] ?? ''
  return [child, ...rest].join('.')
}

/** A golden case's weights and buffers, by our names. */
function saved(golden: Golden): Map<string, SavedTensor> {
  const entries = golden.names
    .filter((name) => /^(w|buf|f|g)\./.test(name)) // recipes have no prefix
    .map((name): [string, SavedTensor] => [
      ourName(name.replace(/^(w|buf)\./, '')),
      { data: golden.values(name), shape: golden.shape(name) },
    ])
  return new Map(entries)
}

/** The golden case's encoder and head, with its weights. */
export function build(gpu: Gpu, golden: Golden): { encoder: Model; head: Model } {
  const { arch, width, proj_hidden: hidden, feature_dim: dim } = golden.config
  const encoder = (arch === 'resnet18' ? resnet18 : resnet50)(gpu, { stem: 'cifar', width: Number(width) })
  const head = projectionHead(gpu, {
    features: encoder.features,
    hidden: Number(hidden),
    dim: Number(dim),
    style: 'seed',
  })
  const weights = saved(golden)
  for (const model of [encoder, head]) loadModel(gpu, model, weights)
  return { encoder, head }
}

export function forward({ encoder, head }: { encoder: Model; head: Model }, x: Tensor, mode: Mode) {
  const h_raw = encoder.forward(x, mode)
  const z_raw = head.forward(h_raw, mode)
  return { h_raw, z_raw, feature: l2Normalize(h_raw), out: l2Normalize(z_raw) }
}

/** Compares every parameter's gradient with `prefix` + its name in the case. */
export async function matchGradients(
  gpu: Gpu,
  golden: Golden,
  prefix: string,
  { encoder, head }: { encoder: Model; head: Model },
  gradients: Map<Tensor, Tensor>,
) {
  const parameters: Named = { ...encoder.parameters, ...head.parameters }
  for (const theirs of golden.names.filter((n) => n.startsWith(prefix))) {
    const variable = parameters[ourName(theirs.slice(prefix.length))]
    const gradient = variable && gradients.get(variable)
    if (gradient?.shape.length === 4) await golden.matchKernel(gpu, theirs, gradient)
    else await golden.match(gpu, theirs, gradient)
  }
}

/** Compares a whole ResNet with its case: outputs in both modes, gradients, running statistics. */
export async function resnetGolden(gpu: Gpu, golden: Golden) {
  const model = build(gpu, golden)
  const x = golden.images(gpu, 'in.x')
  const before = forward(model, x, evaluating)
  for (const [key, tensor] of Object.entries(before)) await golden.match(gpu, `out.eval.${key}`, tensor)
  const trained = forward(model, x, training)
  for (const [key, tensor] of Object.entries(trained)) await golden.match(gpu, `out.train.${key}`, tensor)
  const weighted = (key: 'feature' | 'out') => sum(mul(trained[key], golden.tensor(gpu, `up.${key}`)))
  const gradients = gpu.backward(add(weighted('feature'), weighted('out')))
  await matchGradients(gpu, golden, 'grad.', model, gradients)
  for (const part of [model.encoder, model.head])
    for (const [key, { shape, data }] of await saveModel(gpu, part)) {
      const theirs = golden.names.find((n) => n.startsWith('after.') && ourName(n.slice(6)) === key)
      if (theirs) golden.expect(theirs, data instanceof Float32Array ? data : Array.from(data, Number))
      else assert.not.match(key, /running|tracked/, `${key} ${String(shape)} has no golden value`)
    }
  golden.done()
}
