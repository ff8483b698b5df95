// Lists the methods that bench/step.js can time. Each builds its networks and data and returns its
// step.

import {
  Adam,
  Builder,
  KeyQueue,
  MemoryBank,
  Lars,
  Sgd,
  amdim,
  amdimEncoder,
  amdimPresets,
  batches,
  cifarRecipe,
  constant,
  crossEntropy,
  endToEnd,
  memoryBank,
  moco,
  mocoHead,
  mocoV3,
  parametersOf,
  procedural,
  projectionHead,
  residentImages,
  resnet18,
  resnet34,
  resnet50,
  resnet8,
  simclr,
  mocoV3Head,
} from '../dist/node.js'
import { CASE, classifierWeights, convWeights, images, labels } from './peers/step-data.js'

export const models = { resnet8, resnet18, resnet34, resnet50 }

const encoderOf = (gpu, { model, stem, width }) => models[model](gpu, { stem, width })

/** The methods by name. Each takes (gpu, { model, stem, width, batch, size, chunk, replay,
 *  stream, queue }) and returns { step, views, captured, next }. `step(batch)` submits one training
 *  step and returns the loss, a tensor. `views` is the number of images that it encodes. `captured`
 *  tells whether steps are replayed. `next`, where data is loaded, returns the next batch. */
export const methods = {
  /** Cross entropy of ten classes, SGD: the step on which libraries are compared. */
  supervised(gpu, options) {
    const { batch, size } = options
    const encoder = encoderOf(gpu, options)
    const build = new Builder(gpu, 0)
    const classify = build.linear('fc', [encoder.features, CASE.classes])
    seedWeights(gpu, encoder, build.parameters)
    const x = gpu.variable(images(batch, size), [batch, size, size, 3])
    const y = gpu.tensor(labels(batch, CASE.classes), [batch])
    const optimizer = new Sgd({ ...encoder.parameters, ...build.parameters })
    const training = { training: true }
    const captured = gpu.capture(
      () => {
        const loss = crossEntropy(classify(encoder.forward(x, training), training), y)
        optimizer.step(gpu.backward(loss), () => CASE.lr)
        return loss
      },
      { replay: options.replay },
    )
    return { step: () => captured.run(), views: batch, captured }
  },

  /** SimCLR as in its paper's code: two augmented views in one batch, NT-Xent, SGD with
   *  momentum. */
  simclr(gpu, options) {
    const { batch, size } = options
    const encoder = encoderOf(gpu, options)
    const head = projectionHead(gpu, { features: encoder.features })
    const trainer = simclr(gpu, {
      ...{ encoder, head, temperature: 0.5, batchNorm: 'joint', views: cifarRecipe(size) },
      optimizer: new Sgd({ ...encoder.parameters, ...head.parameters }, { momentum: 0.9 }),
      ...{ schedule: constant(0.03), capture: options.replay, chunk: options.chunk },
    })
    const batchOnGpu = pixelsOnGpu(gpu, options)
    return { step: () => trainer.step(batchOnGpu), views: 2 * batch, captured: trainer.captured }
  },

  /** AMDIM as in its authors' code, without classifiers: its encoder of this width, 8 times as many
   *  features, depth 10. --width 128 is the authors' small encoder. */
  amdim(gpu, options) {
    const { batch, size, width } = options
    const { views, optimizer } = amdimPresets['amdim-cifar-small'].settings(size, batch)
    const { betas, weightDecay } = optimizer
    const encoder = amdimEncoder(gpu, { size, width, features: 8 * width, depth: 10 })
    const trainer = amdim(gpu, {
      ...{
        encoder,
        views,
        schedule: constant(2e-4),
        capture: options.replay,
        chunk: options.chunk,
      },
      optimizer: new Adam(encoder.parameters, { betas, weightDecay }),
    })
    const batchOnGpu = pixelsOnGpu(gpu, options)
    return { step: () => trainer.step(batchOnGpu), views: 2 * batch, captured: trainer.captured }
  },

  /** MoCo v1 with CIFAR-10's settings, without splits: two encoders, a queue of 4,096 keys, SGD
   *  with momentum. */
  moco(gpu, options) {
    const { query, key, rest } = towers(gpu, options)
    const optimizer = new Sgd(parametersOf(query), { momentum: 0.9 })
    const queue = new KeyQueue(gpu, { K: options.queue ?? 4096, C: 128 })
    const trainer = moco(gpu, { ...rest, query, key, optimizer, queue, momentum: constant(0.99) })
    const x = pixelsOnGpu(gpu, options)
    return { step: () => trainer.step(x), views: 2 * options.batch, captured: trainer.captured }
  },

  /** MoCo v3: two views, both queries and keys, and a predictor. Negatives are the batch's keys. */
  'moco-v3'(gpu, options) {
    const tower = () => {
      const encoder = encoderOf(gpu, options)
      return {
        encoder,
        head: mocoV3Head(gpu, { name: 'projector', widths: [encoder.features, 1024, 256] }),
      }
    }
    const [query, key] = [tower(), tower()]
    const predictor = mocoV3Head(gpu, { name: 'predictor', widths: [256, 1024, 256] })
    const optimizer = new Lars(
      { ...parametersOf(query), ...predictor.parameters },
      { weightDecay: 1e-6 },
    )
    const networks = { query, key, predictor, optimizer }
    const trainer = mocoV3(gpu, { ...shared(options), ...networks, momentum: constant(0.99) })
    const x = pixelsOnGpu(gpu, options)
    return { step: () => trainer.step(x), views: 2 * options.batch, captured: trainer.captured }
  },

  /** Instance Discrimination: one view, 4,096 negatives from a bank of 50,000 features. */
  'memory-bank'(gpu, options) {
    const { query, rest } = towers(gpu, options)
    const bank = new MemoryBank(gpu, { n: options.bank ?? 50000, C: 128 })
    const optimizer = new Sgd(parametersOf(query), { momentum: 0.9 })
    const settings = { negatives: 4096, momentum: 0.5, loss: 'infonce' }
    const trainer = memoryBank(gpu, { ...rest, ...query, ...settings, bank, optimizer })
    const x = pixelsOnGpu(gpu, options)
    const indices = Array.from({ length: options.batch }, (_, i) => i)
    return {
      step: () => trainer.step(x, indices),
      views: options.batch,
      captured: trainer.captured,
    }
  },

  /** End-to-end: two encoders, both trained by gradient. */
  'end-to-end'(gpu, options) {
    const { query, key, rest } = towers(gpu, options)
    const keys = Object.entries(parametersOf(key)).map(([name, value]) => [`key.${name}`, value])
    const parameters = { ...parametersOf(query), ...Object.fromEntries(keys) }
    const optimizer = new Sgd(parameters, { momentum: 0.9 })
    const trainer = endToEnd(gpu, { ...rest, query, key, optimizer })
    const x = pixelsOnGpu(gpu, options)
    return { step: () => trainer.step(x), views: 2 * options.batch, captured: trainer.captured }
  },

  /** SimCLR as `kindred train simclr` runs it, with loading of data: images on the GPU, or
   *  streamed; two views, each with its own batch statistics; Adam. */
  'simclr-training': (gpu, options) =>
    fullTraining(gpu, options, (p) => new Adam(p, { weightDecay: 1e-6 })),

  /** The same with LARS and both views in one batch, as for large batches. */
  'simclr-lars': (gpu, options) =>
    fullTraining(
      gpu,
      { ...options, batchNorm: 'joint' },
      (p) => new Lars(p, { weightDecay: 1e-6 }),
    ),
}

async function fullTraining(gpu, { batchNorm = 'per-view', ...options }, makeOptimizer) {
  const { batch, size } = options
  const encoder = encoderOf(gpu, options)
  const head = projectionHead(gpu, { features: encoder.features, hidden: 512, dim: 128 })
  const { step, captured } = simclr(gpu, {
    ...{ encoder, head, batchNorm, temperature: 0.5, views: cifarRecipe(size) },
    ...{ capture: options.replay, chunk: options.chunk },
    optimizer: makeOptimizer({ ...encoder.parameters, ...head.parameters }),
    schedule: constant(1e-3),
  })
  const { train } = procedural({ size, train: 8 * batch, test: 10 })
  const feed = endless(train, options.stream ? null : await residentImages(gpu, train), options)
  return { step, captured, views: 2 * batch, next: async () => (await feed.next()).value }
}

/** Returns a function that loads a set's batches, epoch by epoch: indices of images on the GPU, or
 *  pixels. */
async function* endless(data, set, { batch, size }) {
  for (let epoch = 0; ; epoch++)
    for await (const { indices, images: pixels } of batches(data, {
      batch,
      seed: 0,
      epoch,
      pixels: !set,
    }))
      yield set
        ? { set, indices: Int32Array.from(indices) }
        : { pixels, shape: [batch, size, size, 3] }
}

/** Returns the settings that MoCo shares with the methods that it is compared with. */
const shared = ({ size, replay, chunk }) => ({
  ...{ capture: replay, chunk },
  temperature: 0.1,
  schedule: constant(0.03),
  views: cifarRecipe(size),
})

/** Makes query and key networks with a linear head, and those settings. */
function towers(gpu, options) {
  const tower = () => {
    const encoder = encoderOf(gpu, options)
    return { encoder, head: mocoHead(gpu, { features: encoder.features }) }
  }
  return { query: tower(), key: tower(), rest: shared(options) }
}

const pixelsOnGpu = (gpu, { batch, size }) =>
  gpu.tensor(
    Uint8Array.from(images(batch, size), (value) => Math.min(255, Math.max(0, 128 + 64 * value))),
    [batch, size, size, 3],
  )

/** Sets the model's weights to those that the other libraries start from. */
function seedWeights(gpu, encoder, classifier) {
  const convs = Object.values(encoder.parameters).filter(({ shape }) => shape.length === 4)
  for (const [i, conv] of convs.entries()) gpu.write(conv, convWeights(i, conv.shape))
  const [classes, C] = classifier['fc.weight'].shape
  const weights = classifierWeights(C, classes) // [C, classes], where linear keeps [classes, C]
  gpu.write(
    classifier['fc.weight'],
    Float32Array.from(weights, (_, i) => weights[(i % C) * classes + Math.floor(i / C)]),
  )
  gpu.write(classifier['fc.bias'], new Float32Array(classes))
}
