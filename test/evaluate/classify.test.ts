import * as assert from 'uvu/assert'
import { augment } from '../../kernels/augment/augment.ts'
import type { Tensor } from '../../kernels/op.ts'
import { reshape } from '../../kernels/shape/reshape.ts'
import { Adam } from '../../engine/optim/optimizer.ts'
import { constant } from '../../engine/optim/schedule.ts'
import { classifier } from '../../evaluate/classify.ts'
import { classifiers } from '../../models/classifiers.ts'
import { memoryDataset } from '../../data/memory-dataset.ts'
import { labelled } from '../../data/select.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('classifier')

/** One pixel each, whose brightest channel is the class. */
function points(count: number, seed: number) {
  const images = Uint8Array.from(random(3 * count, seed), (v) => 128 + 127 * v)
  const labels = Int32Array.from({ length: count }, (_, n) => {
    const pixel = [...images.subarray(3 * n, 3 * n + 3)]
    return pixel.indexOf(Math.max(...pixel))
  })
  return { images, labels }
}

const features = (images: Tensor) =>
  reshape(augment(images, {}, { seed: 0, step: 0, view: 0 }), [images.shape[0] ?? 0, 3])

for (const kind of ['linear', 'mlp'] as const)
  test(`${kind} learns what the features tell, and scores every image once`, async ({ gpu }) => {
    const heads = classifiers(gpu, { features: 3, classes: 3, hidden: 16, dropout: 0 })
    const options = { features, classify: heads[kind], image: [1, 1, 3] as const }
    const optimizer = new Adam(heads.parameters)
    const { step, accuracy } = classifier(gpu, { ...options, optimizer, schedule: constant(0.05) })
    const held = points(101, 7)
    const cut = (from: number, to: number) => ({
      images: held.images.subarray(3 * from, 3 * to),
      labels: held.labels.subarray(from, to),
    })
    const before = await accuracy([held])
    for (let s = 0; s < 150; s++) await gpu.read(step(points(32, 100 + s)))
    const after = await accuracy([held])
    assert.ok(before < 75 && after > 90, `${before}, then ${after}`)
    assert.is(await accuracy([cut(0, 40), cut(40, 100), cut(100, 101)]), after)
    assert.ok(
      Math.abs(((after * 101) / 100) % 1) < 1e-9 || ((after * 101) / 100) % 1 > 1 - 1e-9,
      'of 101 images',
    )
  })

test('refuses bytes that are not the images', ({ gpu }) => {
  const heads = classifiers(gpu, { features: 3, classes: 3, hidden: 4 })
  const optimizer = new Adam(heads.parameters)
  const { step } = classifier(gpu, {
    ...{ features, classify: heads.linear, optimizer, schedule: constant(0.1), image: [1, 1, 3] },
  })
  refuses(
    () => step({ images: new Uint8Array(5), labels: Int32Array.of(0, 1) }),
    'classifier: images must be [2, 1, 1, 3], got 5 bytes',
  )
})

test('what has a label is chosen', async () => {
  const image = { height: 1, width: 1, channels: 3 }
  const labels = Int32Array.of(1, -1, 0)
  const pixels = Uint8Array.from({ length: 9 }, (_, i) => i)
  const known = labelled(memoryDataset({ name: 'toy', image, classes: ['a', 'b'], labels, pixels }))
  assert.equal([...(known.labels ?? [])], [1, 0])
  const out = new Uint8Array(3)
  await known.read([1], out)
  assert.equal([...out], [6, 7, 8])
})

test.run()
