// A fine-tuned network as a file: an encoder's checkpoint with a linear classifier and the names of
// its classes. Whatever opens an encoder opens it too.

import type { SavedTensor } from '../engine/safetensors.ts'
import type { Gpu } from '../engine/gpu.ts'
import { encodeStamped } from '../engine/node-files.ts'
import { checkValue, describe, text, having, rule } from '../kernels/options.ts'
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

const namesRule = rule('an array of names, at least one', (v) => isNames(v))

/** Encodes a fine-tuned network as the bytes of a safetensors file, with a digest that
 *  `openClassifier` checks. Its head is gone, so that its kNN compares the encoder's features.
 *  Throws TypeError for classes that are no names, or that share one. */
export function encodeClassifier(network: FineTuned): Uint8Array {
  const { config, tensors, classes, about } = checkValue(
    'encodeClassifier',
    'network',
    network,
    whole,
  )
  const twice = twiceIn(checkValue('encodeClassifier', 'classes', classes, namesRule))
  if (twice !== undefined)
    throw new TypeError(
      `encodeClassifier: classes must have a name each, got ${describe(twice)} twice; give each its own`,
    )
  const { layer: _, ...knn } = config.knn
  const metadata = {
    ...{ ...about, [CLASSES]: JSON.stringify(classes) },
    ...settingsMetadata({ ...config, knn }),
  }
  return encodeStamped({ tensors, metadata })
}

/** Opens a fine-tuned network, as `kindred eval finetune` saves it. Throws Error in words for a
 *  file without a classifier, for one that is not as it was saved, and like `openEncoder`. */
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
  const twice = twiceIn(names)
  if (twice !== undefined)
    throw new Error(
      `${path}: its classes must have a name each, got ${describe(twice)} twice; give each its own, ` +
        'and make the file again with kindred eval finetune',
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

/** The first name that stands twice, if any. */
function twiceIn(names: readonly string[]): string | undefined {
  const seen = new Set<string>()
  for (const name of names) {
    if (seen.has(name)) return name
    seen.add(name)
  }
  return undefined
}

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
