// Computes the features of a whole set of images.

import { type Abortable, abortable, unlessAborted, untilAborted } from '../kernels/abort.ts'
import { bytesOf } from '../kernels/numbers.ts'
import { type Tensor, type Values, ShapeError, show, sizeOf } from '../kernels/op.ts'
import {
  callback,
  checkOptions,
  checkTensor,
  checkValue,
  count,
  having,
} from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { checkGpu } from '../models/model.ts'
import { type Embeddings, slabRows } from './slabs.ts'

export type { Embeddings }

/** A batch of images: bytes [N, H, W, C] in an array of any kind. */
interface ImageBatch {
  readonly images: Values
  /** Number of images to use, from the first on; all by default. */
  readonly count?: number
}

type Batches = AsyncIterable<ImageBatch> | Iterable<ImageBatch>
type Image = readonly [H: number, W: number, C: number]

/** Images and the encoder for them. */
interface Encoding {
  readonly encode: (images: Tensor) => Tensor
  readonly batches: Batches
  readonly image: Image
  readonly signal: AbortSignal | undefined
}

const isImage = (v: unknown) => Array.isArray(v) && v.length === 3

const iterable = {
  words: 'an iterable of batches, each with images',
  fits: (v: unknown) =>
    typeof v === 'object' && v !== null && (Symbol.asyncIterator in v || Symbol.iterator in v),
}

function checkEncoding(
  owner: string,
  gpu: Gpu,
  { encode, batches, image }: Omit<Encoding, 'signal'>,
) {
  checkGpu(owner, gpu)
  checkValue(owner, 'encode', encode, callback)
  checkValue(owner, 'batches', batches, iterable)
  checkValue(owner, 'image', image, { words: 'the [H, W, C] of an image', fits: isImage })
}

/** Computes the features [M, D] of every image of `batches`, in order. `image` is the [H, W, C] of
 *  one image. `encode` maps u8 images [N, H, W, C] to [N, D]; it runs without a gradient, in a step
 *  of its own for each batch. Throws ShapeError, and RangeError for more features than one array
 *  can hold (`embedSlabs` returns them in parts). Rejects with the signal's reason at once when it
 *  is aborted, and tells `batches` to end. */
export async function embed(
  gpu: Gpu,
  encode: (images: Tensor) => Tensor,
  batches: Batches,
  image: Image,
  options: Abortable = {},
): Promise<Embeddings> {
  const { signal } = checkOptions('embed', options, abortable)
  checkEncoding('embed', gpu, { encode, batches, image })
  const parts: Embeddings[] = []
  for await (const part of encoded('embed', gpu, { encode, batches, image, signal }))
    parts.push(part)
  return joined(parts)
}

/** Computes features like `embed`, and yields them in slabs of at most `rows` images. It holds one
 *  slab at a time, so memory does not grow with the set. By default a slab has as many rows as
 *  `knn` and `nearest` bind at once. A batch is never divided: one of more than `rows` images is a
 *  slab by itself. Throws like `embed`. */
export function embedSlabs(
  gpu: Gpu,
  encode: (images: Tensor) => Tensor,
  batches: Batches,
  image: Image,
  options: Abortable & { readonly rows?: number } = {},
): AsyncGenerator<Embeddings> {
  const { rows, signal } = checkOptions('embedSlabs', options, { rows: count, ...abortable })
  checkEncoding('embedSlabs', gpu, { encode, batches, image })
  return slabs(gpu, { encode, batches, image, signal }, rows)
}

async function* slabs(
  gpu: Gpu,
  encoding: Encoding,
  rows: number | undefined,
): AsyncGenerator<Embeddings> {
  let parts: Embeddings[] = []
  let held = 0
  for await (const part of encoded('embedSlabs', gpu, encoding)) {
    if (held > 0 && held + part.M > (rows ?? slabRows(gpu, part.D))) {
      yield joined(parts)
      parts = []
      held = 0
    }
    parts.push(part)
    held += part.M
  }
  if (held > 0) yield joined(parts)
}

/** Yields the features of each batch. */
async function* encoded(
  owner: string,
  gpu: Gpu,
  { encode, batches, image, signal }: Encoding,
): AsyncGenerator<Embeddings> {
  let D = 0
  for await (const batch of untilAborted(signal, batches)) {
    checkValue(owner, 'a batch', batch, having('an object with u8 images', 'images'))
    const images = bytesOf(`${owner}: images`, batch.images)
    const n = batch.count ?? images.length / sizeOf(image)
    const pixels = images.subarray(0, n * sizeOf(image))
    if (!Number.isInteger(n))
      throw new ShapeError(
        `${owner}: a batch must be whole images ${show(image)}, got ${images.length} bytes`,
      )
    const features = gpu.step(() => gpu.noGrad(() => encode(gpu.tensor(pixels, [n, ...image]))))
    checkTensor(owner, 'what encode returns', features)
    const [found, width = 0] = features.shape
    if (features.shape.length !== 2 || found !== n || (D > 0 && width !== D))
      throw new ShapeError(
        `${owner}: encode must return [${n}, ${D || 'D'}], got ${show(features.shape)}`,
      )
    D = width
    yield { features: await unlessAborted(signal, gpu.read(features)), M: n, D }
  }
}

/** Concatenates the rows of all parts. */
function joined(parts: readonly Embeddings[]): Embeddings {
  const [first, ...others] = parts
  if (first && others.length === 0) return first
  const M = parts.reduce((sum, part) => sum + part.M, 0)
  const D = first?.D ?? 0
  const features = room(M, D)
  let at = 0
  for (const part of parts) {
    features.set(part.features, at)
    at += part.features.length
  }
  return { features, M, D }
}

function room(M: number, D: number): Float32Array {
  try {
    return new Float32Array(M * D)
  } catch (cause) {
    throw new RangeError(
      `embed: ${M} features of ${D} numbers need ${M * D * 4} bytes, more than one array can hold; take them in parts with embedSlabs`,
      { cause },
    )
  }
}

/** Copies the rows at `places`, in that order. */
export function rowsAt({ features, D }: Embeddings, places: readonly number[]): Embeddings {
  const chosen = new Float32Array(places.length * D)
  for (const [n, i] of places.entries()) chosen.set(features.subarray(i * D, (i + 1) * D), n * D)
  return { features: chosen, M: places.length, D }
}
