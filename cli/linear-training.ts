// How SimCLR, MoCo and others train a linear classifier of frozen features: by SGD or LARS, on
// images that are only cropped and flipped.

import { augment } from '../kernels/augment/augment.ts'
import { cropAndFlip, testTransform } from '../kernels/augment/recipes.ts'
import { crossEntropy } from '../kernels/loss/cross-entropy.ts'
import { fittingBatch } from '../methods/settings/batch.ts'
import { recipeOf } from '../methods/views.ts'
import { classifier } from '../evaluate/classify.ts'
import {
  type LinearProtocol,
  type LinearProtocolName,
  linearProtocols,
} from '../evaluate/linear-protocols.ts'
import type { EpochTraining, Subject } from './classifier-subject.ts'

/** Returns the training of a subject's linear classifier by a paper's protocol. */
export function linearTraining(subject: Subject, name: LinearProtocolName): EpochTraining {
  const protocol: LinearProtocol = linearProtocols[name]
  const { flags, train } = subject
  const epochs = flags.epochs ?? protocol.epochs
  const batch = Math.min(flags.batch ?? fittingBatch(protocol.batch, train.size), train.size)
  const lr = flags.lr ?? protocol.rate(batch)
  const begin = (rate: number, stepsPerEpoch: number) => {
    const schedule = protocol.schedule(rate, epochs)
    return classifierOf(subject, protocol, (step) => schedule(step / stepsPerEpoch))
  }
  return { epochs, batch, dropLast: false, lr, begin }
}

/** Makes the classifier at step 0. */
function classifierOf(
  { gpu, config, encoder, flags, train }: Subject,
  { head, optimizer }: LinearProtocol,
  schedule: (step: number) => number,
) {
  const seed = flags.seed ?? config.seed
  const { parameters, classify } = head(gpu, [encoder.features, train.classes.length], seed)
  const { height, width, channels } = train.image
  const recipe = recipeOf(config.views, 0)
  const tested = testTransform(recipe)
  const views = flags.augment === false ? tested : cropAndFlip(recipe)
  return classifier(gpu, {
    features(x, at) {
      const draws = { seed, step: at ?? 0, view: 0 }
      const seen = augment(x, at === null ? tested : views, draws)
      return encoder.forward(seen, { training: false })
    },
    ...{ classify, loss: crossEntropy, optimizer: optimizer(parameters), schedule, seed },
    image: [height, width, channels],
  })
}
