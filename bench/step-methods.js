// What bench/step.js can train, by name: functions that build everything and return one step and the views it sees.

import {
  Builder,
  KeyQueue,
  MemoryBank,
  Sgd,
  cifarRecipe,
  constant,
  crossEntropy,
  endToEnd,
  fcHead,
  memoryBank,
  moco,
  parametersOf,
  projectionHead,
  resnet18,
  resnet34,
  resnet50,
  resnet8,
  simclr,
} from '../dist/node.js'
import { CASE, classifierWeights, convWeights, images, labels } from './peers/step-data.js'

export const models = { resnet8, resnet18, resnet34, resnet50 }

/** Each takes (gpu, { model, stem, width, batch, size }) and returns { step, views }: `step()` submits one training step and
 *  returns its loss, a tensor; `views` are the images that it shows the encoder. A new method is one entry more. */
export const methods = {
  /** Cross-entropy on ten classes, SGD: the step that the other libraries are compared on. */
  supervised(gpu, options) {
    const { batch, size } = options
    const encoder = models[options.model](gpu, options)
    const build = new Builder(gpu, 0)
    const classify = build.linear('fc', [encoder.features, CASE.classes])
    seedWeights(gpu, encoder, build.parameters)
    const x = gpu.variable(images(batch, size), [batch, size, size, 3])
    const y = gpu.tensor(labels(batch, CASE.classes), [batch])
    const optimizer = new Sgd({ ...encoder.parameters, ...build.parameters })
    const training = { training: true }
    const step = () =>
      gpu.step(() => {
        const loss = crossEntropy(classify(encoder.forward(x, training), training), y)
        optimizer.step(gpu.backward(loss), CASE.lr)
        return loss
      })
    return { step, views: batch }
  },

  /** SimCLR as its paper's code has it: two augmented views in one batch, NT-Xent, SGD with momentum. */
  simclr(gpu, options) {
    const { batch, size } = options
    const encoder = models[options.model](gpu, options)
    const head = projectionHead(gpu, { features: encoder.features })
    const trainer = simclr(gpu, {
      ...{ encoder, head, temperature: 0.5, batchNorm: 'joint', views: cifarRecipe(size) },
      optimizer: new Sgd({ ...encoder.parameters, ...head.parameters }, { momentum: 0.9 }),
      schedule: constant(0.03),
    })
    const pixels = Uint8Array.from(images(batch, size), (value) =>
      Math.min(255, Math.max(0, 128 + 64 * value)),
    )
    const batchOnGpu = gpu.tensor(pixels, [batch, size, size, 3])
    return { step: () => trainer.step(batchOnGpu), views: 2 * batch }
  },

  /** MoCo v1 on CIFAR-10's settings without splits: two encoders, a queue of 4,096 keys, SGD with momentum. */
  moco(gpu, options) {
    const { query, key, rest } = towers(gpu, options)
    const optimizer = new Sgd(parametersOf(query), { momentum: 0.9 })
    const queue = new KeyQueue(gpu, { K: 4096, C: 128 })
    const trainer = moco(gpu, { ...rest, query, key, optimizer, queue, momentum: constant(0.99) })
    const x = pixelsOnGpu(gpu, options)
    return { step: () => trainer.step(x), views: 2 * options.batch }
  },

  /** Instance Discrimination: one view, 4,096 negatives from a bank of 50,000 features. */
  'memory-bank'(gpu, options) {
    const { query, rest } = towers(gpu, options)
    const bank = new MemoryBank(gpu, { n: 50000, C: 128 })
    const optimizer = new Sgd(parametersOf(query), { momentum: 0.9 })
    const settings = { negatives: 4096, momentum: 0.5, loss: 'infonce' }
    const trainer = memoryBank(gpu, { ...rest, ...query, ...settings, bank, optimizer })
    const x = pixelsOnGpu(gpu, options)
    const indices = Array.from({ length: options.batch }, (_, i) => i)
    return { step: () => trainer.step(x, indices), views: options.batch }
  },

  /** The end-to-end mechanism: two encoders, both by gradient. */
  'end-to-end'(gpu, options) {
    const { query, key, rest } = towers(gpu, options)
    const keys = Object.entries(parametersOf(key)).map(([name, value]) => [`key.${name}`, value])
    const parameters = { ...parametersOf(query), ...Object.fromEntries(keys) }
    const optimizer = new Sgd(parameters, { momentum: 0.9 })
    const trainer = endToEnd(gpu, { ...rest, query, key, optimizer })
    const x = pixelsOnGpu(gpu, options)
    return { step: () => trainer.step(x), views: 2 * options.batch }
  },
}

/** Query and key networks with a linear head, and the settings that MoCo and its rivals share. */
function towers(gpu, options) {
  const tower = () => {
    const encoder = models[options.model](gpu, options)
    return { encoder, head: fcHead(gpu, { features: encoder.features }) }
  }
  const rest = { temperature: 0.1, schedule: constant(0.03), views: cifarRecipe(options.size) }
  return { query: tower(), key: tower(), rest }
}

const pixelsOnGpu = (gpu, { batch, size }) =>
  gpu.tensor(
    Uint8Array.from(images(batch, size), (value) => Math.min(255, Math.max(0, 128 + 64 * value))),
    [batch, size, size, 3],
  )

/** Gives the model the weights that the other libraries start from. */
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
