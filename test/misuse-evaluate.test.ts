// What plain JavaScript passes to evaluation by mistake, and what it is told.

import { classifier } from '../evaluate/classify.ts'
import { embed } from '../evaluate/embed.ts'
import { accuracy, knn } from '../evaluate/knn.ts'
import { resnet8 } from '../models/resnet.ts'
import { openGpu } from '../engine/node.ts'
import { gpuSuite } from './gpu.ts'
import { call, refusesAll } from './misuse.ts'

const test = gpuSuite('misuse of evaluation')

test('evaluation says what was wrong with a call', async ({ gpu }) => {
  const x = gpu.tensor([1, 2, 3, 4], [2, 2])
  await refusesAll([
    [
      'a number for a batch',
      () => call(embed, gpu, () => x, [1], [16, 16, 3]),
      'embed: a batch must be an object with u8 images, got 1',
    ],
    [
      'nothing encoded',
      () => call(embed, gpu, () => {}, [{ images: new Uint8Array(768) }], [16, 16, 3]),
      'embed: what encode returns must be a tensor, got undefined',
    ],
    [
      'an option misspelt',
      () => call(knn, x, [0, 1], x, { neighbours: 5 }),
      `knn: there is no option 'neighbours'; its options are k, temperature, classes, normalized, chunk`,
    ],
    [
      'an array for a tensor',
      () => call(knn, [1, 2], [0, 1], x),
      'knn: features must be a tensor, got an array of 2; put values on the GPU with gpu.tensor(values, shape)',
    ],
    [
      'no labels',
      () => call(knn, x, undefined, x),
      'knn: labels must be a tensor, or an array of whole numbers, got undefined',
    ],
    [
      'no labels to compare',
      () => call(accuracy, [0, 1]),
      'accuracy: labels must be an array of classes, got undefined',
    ],
    [
      'a model for a function',
      () => call(embed, gpu, resnet8(gpu, { width: 2 }), [], [16, 16, 3]),
      'embed: encode must be a function, got an object with parameters, norms, features, forward',
    ],
    [
      'no batches',
      () => call(embed, gpu, () => x, undefined, [16, 16, 3]),
      'embed: batches must be an iterable of batches, each with images, got undefined',
    ],
    [
      'no image',
      () => call(embed, gpu, () => x, []),
      'embed: image must be the [H, W, C] of an image, got undefined',
    ],
    [
      'no optimizer of a classifier',
      () => call(classifier, gpu, { features: () => x, classify: () => x, schedule: 1, image: [1, 1, 3] }),
      'classifier: optimizer is missing; it must be an optimizer such as Sgd',
    ],
    [
      'a Gpu that is not there yet',
      () => call(embed, openGpu, () => x, [], [16, 16, 3]),
      'embed: gpu must be a Gpu, as openGpu() resolves to, got a function',
    ],
  ])
})

test.run()
