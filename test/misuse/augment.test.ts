// Tests the errors of augmentation for wrong arguments from plain JavaScript.

import { augment } from '../../kernels/augment/augment.ts'
import { adjustBrightness, augmentWith, resizedCrop } from '../../kernels/augment/functional.ts'
import { testTransform } from '../../kernels/augment/recipes.ts'
import type { Tensor } from '../../kernels/op.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('misuse of augmentation')

test('augmentation says what was wrong with a call', async ({ gpu }) => {
  const images = gpu.tensor(new Float32Array(48), [1, 4, 4, 3])
  const at = { seed: 0, step: 0, view: 0 }
  await refusesAll([
    [
      'no box',
      () => call(resizedCrop, images, undefined, 2),
      'resizedCrop: crop must be a box of pixels, got undefined',
    ],
    [
      'no side',
      () => call(resizedCrop, images, { top: 0, left: 0, height: 2, width: 2 }),
      'resizedCrop: size must be one or two positive integers, got undefined',
    ],
    [
      'no recipe',
      () => call(augment, images, undefined, at),
      'augment: the recipe must be an object such as { flip: 0.5 }, got undefined',
    ],
    [
      'no draws',
      () => call(augment, images, {}),
      'augment: seed is missing; it must be a whole number from 0 to below 2^32',
    ],
    [
      'a draw misspelt',
      () => call(augment, images, {}, { ...at, ofset: 1 }),
      `augment: there is no option 'ofset'; did you mean 'offset'? Its options are seed, step, view, offset`,
    ],
    [
      'a part misspelt',
      () => call(augment, images, { grayscal: 0.2 }, at),
      `augment: the recipe has no field 'grayscal'; did you mean 'grayscale'? Its fields are size, crop, translate, resample, centerCrop, flip, sharedFlip, jitter, grayscale, blur, testResize, normalize`,
    ],
    [
      'a number for a part',
      () => call(augment, images, { jitter: 0.4 }, at),
      'augment: jitter must be an object with p, brightness, contrast, saturation, hue, got 0.4',
    ],
    [
      'a flag for a probability',
      () => call(augment, images, { flip: true }, at),
      'augment: flip must be a probability from 0 to 1, got true',
    ],
    [
      'a number for a range',
      () => call(augment, images, { crop: { scale: 0.5 } }, at),
      'augment: crop.scale must be [low, high] with 0 < low <= high <= 1, got 0.5',
    ],
    [
      'statistics without a deviation',
      () => call(augment, images, { normalize: { mean: [0, 0, 0] } }, at),
      'augment: std must be three positive numbers, got undefined',
    ],
    [
      'an unknown part of an augmentation',
      () => call(augmentWith, images, { rotate: 90 }),
      `augmentWith: there is no option 'rotate'; its options are crop, flip, jitter, grayscale, blur`,
    ],
    [
      'an unknown option',
      () => call(augmentWith, images, {}, { sise: 4 }),
      `augmentWith: there is no option 'sise'; did you mean 'size'? Its options are size, kernel, normalize`,
    ],
    [
      'no factor',
      () => call(adjustBrightness, images),
      'adjustBrightness: the brightness factor must be at least 0, got undefined',
    ],
    [
      'no recipe to test',
      () => call(testTransform),
      'testTransform: recipe must be an object, got undefined',
    ],
  ])
})

test('f32 images of 0 to 255 are refused wherever they come from', async ({ gpu }) => {
  const bytes = new Float32Array(48).fill(200)
  const shape = [1, 4, 4, 3]
  const at = { seed: 0, step: 0, view: 0 }
  const told =
    'augment: f32 images must be in [0, 1], got a value of 200; divide them by 255, or give them as a Uint8Array'
  await refusesAll([
    ['a tensor', () => augment(gpu.tensor(bytes, shape), { flip: 0.5 }, at), told],
    ['a variable', () => augment(gpu.variable(bytes, shape), { flip: 0.5 }, at), told],
    [
      'a captured step',
      () => gpu.capture((x: Tensor) => augment(x, {}, at)).run({ values: bytes, shape }),
      told,
    ],
    [
      'by hand',
      () => adjustBrightness(gpu.tensor(bytes, shape), 1),
      'adjustBrightness: f32 images must be in [0, 1], got a value of 200; divide them by 255, or give them as a Uint8Array',
    ],
  ])
})

test.run()
