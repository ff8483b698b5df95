// Encodes a batch at once, all of it on the tape, or in chunks, whose gradients are cached
// (gradient-cache.ts). A method's code is the same for both.

import { type Tensor, dim } from '../kernels/op.ts'
import { concat } from '../kernels/shape/concat.ts'
import { slice } from '../kernels/shape/slice.ts'
import type { Upload } from '../engine/capture/inputs.ts'
import type { BackwardOptions } from '../engine/backward.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Gradients } from '../engine/optim/gradients.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import type { Mode } from '../models/model.ts'
import type { Draws } from '../kernels/wgsl/draws.ts'
import { type Cut, cutOf, evenly } from './chunks.ts'
import { type Encode, type Encoded, GradientCache, encodedBy, first } from './gradient-cache.ts'
import { type ImageBatch, extentsOf, imagesOf, inputsOf } from './image-batch.ts'
import { type Views, viewsOf } from './views.ts'

type View = 0 | 1

/** Embeds images x [n, H, W, 3]. `mode.draws` tells their step and views, and the number of the
 *  first in its batch. */
export type Encoder<Z extends Encoded = Tensor> = (x: Tensor, mode: Drawing) => Z

/** The mode of a pass over some images of a batch. */
export interface Drawing extends Mode {
  readonly draws: Draws
}

/** The images of a step. */
export interface StepBatch {
  /** Embeds a view of all images, or several views, one behind the other. */
  readonly encode: <Z extends Encoded>(f: Encoder<Z>, ...views: View[]) => Z
  /** The same without a gradient. */
  readonly keys: <Z extends Encoded>(f: Encoder<Z>, ...views: View[]) => Z
  /** Embeds both views by one call of f, as two batches one behind the other (`Mode.batches`); null
   *  where they are more than `most` images together, and in chunks. */
  readonly together: <Z extends Encoded>(f: Encoder<Z>, most: number) => Z | null
  /** Gradient of a loss of embeddings, times `scale`, with respect to those of the optimizer's
   *  variables that it depends on. */
  readonly backward: (loss: Tensor, scale?: Tensor) => Gradients
}

interface BatchesOptions {
  readonly views: Views
  readonly chunk?: number | null
  readonly seed?: number
  readonly state: { step: number }
  /** Gradients are of its parameters; of every variable if there is none. */
  readonly optimizer?: Optimizer
  /** Groups of batch norm in each chunk. */
  readonly splits?: number
}

/** Returns `inputs`, which turns a batch into inputs of a captured step, and `open`, which makes a
 *  Batch of them in the step. Throws RangeError for a chunk that is no count, or smaller than the
 *  splits. */
export function batchesOf(gpu: Gpu, method: string, options: BatchesOptions) {
  const { views, chunk = null, seed = 0, splits = 1, state, optimizer } = options
  const cut = cutOf(method, chunk, splits)
  const aug = viewsOf(gpu, views, { seed, state })
  const draws = { seed, step: () => state.step }
  return {
    inputs: (batch: ImageBatch): (Tensor | Upload)[] => inputsOf(method, batch, cut),
    open(batch: readonly Tensor[]): StepBatch {
      const chunks = chunksOf(imagesOf(batch), cut, extentsOf(batch))
      const [only, ...others] = chunks
      const trained = optimizer?.trained ?? optimizer?.parameters
      const of = trained && Object.values(trained)
      return only && others.length === 0
        ? atOnce(gpu, only, { aug, of, draws })
        : inChunks(gpu, chunks, { aug, of, draws })
    },
  }
}

/** Some images of a batch. */
interface Chunk {
  /** Cuts the images [n, H, W, 3] out of the batch, so that they need not be kept. */
  readonly images: () => Tensor
  /** Cuts out their extents [n, 2]; null where images are filled. */
  readonly extents: () => Tensor | null
  /** The number that the first of them has in the batch. */
  readonly offset: number
}

/** The chunks of images [N, H, W, 3] that lie in one tensor or several, with the extents [N, 2] of
 *  all of them. */
function chunksOf(
  batch: readonly Tensor[],
  cut: Cut,
  extents: Tensor | null = null,
): readonly Chunk[] {
  let taken = 0
  return batch.flatMap((x) => {
    const N = dim(x.shape, 0)
    const before = taken
    taken += N
    return evenly(N, cut).map(([start, end]): Chunk => {
      const images = () => (end - start < N ? slice(x, 0, start, end) : x)
      const [from, to] = [before + start, before + end]
      const all = extents !== null && from === 0 && to === dim(extents.shape, 0)
      return {
        images,
        extents: () => (extents === null || all ? extents : slice(extents, 0, from, to)),
        offset: from,
      }
    })
  })
}

/** The views' recipe, and the tensors to differentiate by. */
interface Means extends BackwardOptions {
  readonly aug: ReturnType<typeof viewsOf>
  readonly draws: Draws
}

/** The encoder of keys draws other numbers than that of queries, of the same images too. */
const KEY = 'key'

/** What a pass over these views draws by. Throws Error for views that do not follow each other. */
function drawsFor(draws: Draws, views: readonly View[], offset: number, network?: string): Draws {
  const [view = 0] = views
  if (views.some((which, i) => which !== view + i))
    throw new Error(
      `encode: views must be given one after the other, such as (0, 1), got ${views.join(', ')}`,
    )
  return { ...draws, ...(network !== undefined && { network }), view, views: views.length, offset }
}

/** A batch on the tape; each of its views is made once. */
function atOnce(gpu: Gpu, { images, extents }: Chunk, { aug, of, draws }: Means): StepBatch {
  const made = new Map<View, Tensor>()
  const view = (which: View) => {
    const x = made.get(which) ?? aug(images(), which, 0, extents())
    made.set(which, x)
    return x
  }
  const run = <Z extends Encoded>(f: Encoder<Z>, views: readonly View[], network?: string): Z =>
    f(joined(views.map(view)), { ...first, draws: drawsFor(draws, views, 0, network) })
  return {
    encode: (f, ...views) => run(f, views),
    together(f, most) {
      const pair = [view(0), view(1)] as const
      const count = dim(pair[0].shape, 0) + dim(pair[1].shape, 0)
      if (count > most) return null
      return f(concat(pair, 0), { ...first, draws: drawsFor(draws, [0, 1], 0), batches: 2 })
    },
    keys: (f, ...views) => gpu.noGrad(() => run(f, views, KEY)),
    backward: (loss, scale) => gpu.backward(loss, scale, { of }),
  }
}

/** A batch whose chunks are encoded one by one; their views are made anew each time. */
function inChunks(gpu: Gpu, chunks: readonly Chunk[], { aug, of, draws }: Means): StepBatch {
  const cache = new GradientCache(gpu)
  const parts = <Z extends Encoded>(f: Encoder<Z>, views: readonly View[], network?: string) =>
    chunks.map(({ images, extents, offset }): Encode<Z> => (mode) => {
      const [x, filled] = [images(), extents()]
      return f(joined(views.map((which) => aug(x, which, offset, filled))), {
        ...mode,
        draws: drawsFor(draws, views, offset, network),
      })
    })
  return {
    encode: (f, ...views) => cache.encode(parts(f, views)),
    together: () => null,
    keys: (f, ...views) => encodedBy(gpu, parts(f, views, KEY)),
    backward: (loss, scale) => cache.backward(loss, scale, { of }),
  }
}

const joined = (views: readonly Tensor[]): Tensor => {
  const [only, ...others] = views
  return only && others.length === 0 ? only : concat(views, 0)
}

/** The two halves of a tensor's rows. */
export function halves(z: Tensor): [Tensor, Tensor] {
  const rows = dim(z.shape, 0)
  return [slice(z, 0, 0, rows / 2), slice(z, 0, rows / 2, rows)]
}
