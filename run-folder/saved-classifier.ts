// A fine-tuned network as a file: an encoder's checkpoint with a linear classifier and the names of
// its classes. Whatever opens an encoder opens it too.

import { encodeSafetensors, type SavedTensor } from '../engine/safetensors.ts'
import type { Gpu } from '../engine/gpu.ts'
import { checkValue, text, having } from '../kernels/options.ts'
import { linear } from '../kernels/matmul/linear.ts'
import type { Model } from '../models/model.ts'
import { settingsMetadata } from '../training/history.ts'
import { parse } from '../training/json.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { type OpenedEncoder, openEncoder } from './saved-encoder.ts'

const [WEIGHT, BIAS, CLASSES] = ['classifier.weight', 'classifier.bias', 'classes']

/** A fine-tuned network. As an encoder it is the one within. */
export interface OpenedClassifier extends OpenedEncoder {
  /** Names of the classes, in the order of the scores. */
  readonly classes: readonly string[]
  /** Makes the whole network on a Gpu: its forward maps images, transformed by `transform`, to
   *  scores [N, classes]. Throws Error that names a tensor that does not fit. */
  readonly buildClassifier: (gpu: Gpu) => Promise<Model>
}

/** A network to save. */
export interface FineTuned {
  /** The run's configuration, which describes the encoder. */
  readonly config: TrainConfig
  /** The encoder's weights, `classifier.weight` [C, F] and `classifier.bias` [C]. */
  readonly tensors: ReadonlyMap<string, SavedTensor>
  readonly classes: readonly string[]
  /** What else its metadata say. */
  readonly about: Readonly<Record<string, string>>
}

const whole = having('a fine-tuned network', 'config', 'tensors', 'classes', 'about')

/** Encodes a fine-tuned network as the bytes of a safetensors file. Its head is gone, so that its
 *  kNN compares the encoder's features. */
export function encodeClassifier(network: FineTuned): Uint8Array {
  const { config, tensors, classes, about } = checkValue(
    'encodeClassifier',
    'network',
    network,
    whole,
  )
  const { layer: _, ...knn } = config.knn
  const metadata = {
    ...{ ...about, [CLASSES]: JSON.stringify(classes) },
    ...settingsMetadata({ ...config, knn }),
  }
  return encodeSafetensors({ tensors, metadata })
}

/** Opens a fine-tuned network, as `kindred eval finetune` saves it. Throws Error in words for a file
 *  without a classifier, and like `openEncoder`. */
export async function openClassifier(path: string): Promise<OpenedClassifier> {
  checkValue('openClassifier', 'path', path, text)
  const saved = await openEncoder(path, { layer: 'features' })
  const { tensors, metadata } = saved.checkpoint
  const [weight, bias] = [tensors.get(WEIGHT), tensors.get(BIAS)]
  const names = parse(metadata[CLASSES] ?? 'null')
  if (!weight || !bias || !isNames(names))
    throw new Error(
      `${path}: it holds no classifier; give the file that kindred eval finetune saves, or make ` +
        'one with it',
    )
  const layer = { weight, bias, C: names.length }
  for (const [name, tensor, rank] of [
    [WEIGHT, weight, 2],
    [BIAS, bias, 1],
  ] as const)
    checkTensor(`${path}: ${name}`, tensor, [layer.C, weight.shape[1] ?? 0].slice(0, rank))
  return { ...saved, classes: names, buildClassifier: (gpu) => built(gpu, saved, layer) }
}

const isNames = (v: unknown): v is readonly string[] =>
  Array.isArray(v) && v.length > 0 && v.every((name) => typeof name === 'string')

/** Throws Error unless a tensor is of f32 numbers and has this shape. */
function checkTensor(what: string, { shape, data }: SavedTensor, wanted: readonly number[]) {
  const isRight = data instanceof Float32Array && shape.join() === wanted.join()
  if (isRight) return
  const got = data instanceof Float32Array ? `[${shape.join(', ')}]` : data.constructor.name
  throw new Error(
    `${what} must be F32 [${wanted.join(', ')}], as the file has ${wanted[0]} classes, got ${got}`,
  )
}

interface Layer {
  readonly weight: SavedTensor
  readonly bias: SavedTensor
  readonly C: number
}

async function built(gpu: Gpu, saved: OpenedEncoder, { weight, bias, C }: Layer): Promise<Model> {
  const encoder = await saved.build(gpu)
  if (weight.shape[1] !== encoder.features)
    throw new Error(
      `${saved.name}: ${WEIGHT} must be [${C}, ${encoder.features}], got [${weight.shape.join(', ')}]`,
    )
  const w = gpu.variable(weight.data, weight.shape)
  const b = gpu.variable(bias.data, bias.shape)
  const parameters = { ...encoder.parameters, [WEIGHT]: w, [BIAS]: b }
  return {
    ...{ parameters, norms: encoder.norms, features: C },
    forward: (x, mode) => linear(encoder.forward(x, mode), w, b),
  }
}
