import * as assert from 'uvu/assert'
import { test } from 'uvu'
import { preparationOf } from '../../../kernels/augment/preparation.ts'
import { cifarRecipe, testTransform } from '../../../kernels/augment/recipes.ts'
import { call, refusesAll } from '../../fixtures/misuse.ts'

test('a test transform is told in the terms of torchvision', () => {
  const plain = { colours: 'RGB', range: [0, 1], mean: [0, 0, 0], std: [1, 1, 1] }
  assert.equal(preparationOf({}, 24), {
    ...{ ...plain, resize: 24, crop: 24, resample: 'bilinear' },
  })
  const normalize = { mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] } as const
  const transform = { centerCrop: { resize: 256 }, resample: 'bicubic', normalize } as const
  assert.equal(preparationOf(transform, 224), {
    ...{ ...plain, ...normalize, resize: 256, crop: 224, resample: 'bicubic' },
  })
  const own = testTransform({ ...cifarRecipe(32), normalize })
  assert.equal(preparationOf(own, 32).mean, normalize.mean)
})

test('refuses what is no transform or size', () =>
  refusesAll([
    [
      'no transform',
      () => call(preparationOf, null, 32),
      'preparationOf: transform must be an object, got null',
    ],
    [
      'half a pixel',
      () => call(preparationOf, {}, 0.5),
      'preparationOf: size must be a whole number from 1 on, got 0.5',
    ],
  ]))

test.run()
