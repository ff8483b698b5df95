// The nearest pictures of every picture, found on the GPU.

import {
  type Dataset,
  type Gpu,
  type Model,
  type TrainConfig,
  augment,
  embed,
  l2Normalize,
  nearest,
} from 'kindred'
import type { Neighbourhood } from '../common/api.ts'
import { stillOf } from './encoder.ts'

const MOST = 15 // neighbours
const BATCH = 128

/** Finds the nearest neighbours of all pictures, by the cosine of an encoder's features. */
export async function findNeighbours(
  gpu: Gpu,
  encoder: Model,
  {
    config,
    set,
    signal,
  }: {
    readonly config: TrainConfig
    readonly set: Dataset
    readonly signal?: AbortSignal | undefined
  },
): Promise<Neighbourhood> {
  const transform = stillOf(config)
  const { height, width, channels } = set.image
  const ending = signal ? { signal } : {}
  const rows = await embed(
    gpu,
    (images) =>
      l2Normalize(
        encoder.forward(augment(images, transform, { seed: 0, step: 0, view: 0 }), {
          training: false,
        }),
      ),
    inOrder(set),
    [height, width, channels],
    ending,
  )
  const k = Math.min(MOST, set.size - 1)
  const found = await nearest(rows, rows, k + 1, { gpu, normalized: true, ...ending })
  return withoutSelf(found, set.size)
}

/** Drops each picture from its own neighbours. */
function withoutSelf(
  found: {
    readonly indices: Uint32Array
    readonly similarities: Float32Array
    readonly k: number
  },
  M: number,
): Neighbourhood {
  const k = found.k - 1
  const [indices, cosines] = [new Uint32Array(M * k), new Float32Array(M * k)]
  for (let m = 0; m < M; m++) {
    const own = found.indices.subarray(m * found.k, (m + 1) * found.k).indexOf(m)
    for (let j = 0; j < k; j++) {
      const at = m * found.k + j + Number(own >= 0 && j >= own)
      indices[m * k + j] = found.indices[at] ?? 0
      cosines[m * k + j] = found.similarities[at] ?? NaN
    }
  }
  return { indices, cosines, k }
}

async function* inOrder(set: Dataset) {
  const { height, width, channels } = set.image
  for (let from = 0; from < set.size; from += BATCH) {
    const count = Math.min(BATCH, set.size - from)
    const images = new Uint8Array(count * height * width * channels)
    await set.read(
      Uint32Array.from({ length: count }, (_, i) => from + i),
      images,
    )
    yield { images, count }
  }
}
