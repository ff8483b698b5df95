// The training: SimCLR on the built-in pictures, on the app's device. It knows nothing of drawing.
// What the app draws from are two variables: `set`, the pictures, and `places`, where they lie.

import {
  Adam,
  Gpu,
  assign,
  augment,
  batches,
  cifarRecipe,
  l2Normalize,
  parametersOf,
  procedural,
  projectionHead,
  resnet8,
  residentImages,
  simclr,
  testTransform,
} from 'kindred'

/** Prepares a training on the app's device, of `count` pictures of `size` pixels. */
export async function openTraining(device, { count, size, width, batch }) {
  const gpu = new Gpu(device, { budget: 8 }) // milliseconds that a frame waits at most, and one command
  const { train: data } = procedural({ train: count, test: 1, size })
  const set = await residentImages(gpu, data) // u8 [count, size, size, 3]
  const encoder = resnet8(gpu, { width })
  const head = projectionHead(gpu, { features: encoder.features, dim: 3 }) // onto a sphere
  const views = cifarRecipe(size)
  const method = simclr(gpu, {
    ...{ encoder, head, views, temperature: 0.2, schedule: 3e-3, batchNorm: 'per-view' },
    optimizer: new Adam(parametersOf({ encoder, head })),
  })
  const places = gpu.variable(new Float32Array(count * 3), [count, 3])
  const plain = testTransform(views)
  const place = gpu.capture(() =>
    gpu.noGrad(() => {
      const images = augment(set, plain, { seed: 0, step: 0, view: 0 })
      const mode = { training: false }
      assign(places, l2Normalize(head.forward(encoder.forward(images, mode), mode)))
    }),
  )
  const first = Int32Array.from({ length: batch }, (_, i) => i)
  await method.warm({ set, indices: first }) // compiles beside the app's frames
  let order = null
  let epoch = 0
  const next = async () => {
    order ??= batches(data, { batch, seed: 0, epoch: epoch++, pixels: false })[
      Symbol.asyncIterator
    ]()
    const { done, value } = await order.next()
    if (!done) return value
    order = null
    return next()
  }
  return {
    ...{ gpu, set, places, labels: data.labels },
    /** Writes where the pictures lie now into `places`. */
    place: () => {
      place.run()
    },
    /** Trains on the next batch. Resolves to the loss when the GPU has computed it. */
    async step() {
      const { indices } = await next()
      return gpu.item(method.step({ set, indices }))
    },
  }
}
