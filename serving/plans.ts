// Encodes batches of images by captured steps. A batch is padded to the next power of two, so that
// a few recorded steps, one for each size of batch and of image, serve all batches.

import { type Tensor, ShapeError, show } from '../kernels/op.ts'
import { checkTensor } from '../kernels/options.ts'
import type { Captured } from '../engine/capture/capture.ts'
import type { Gpu } from '../engine/gpu.ts'

/** Maps u8 images [N, H, W, C] to rows [N, D]. */
export type EncodeImages = (images: Tensor) => Tensor

/** Height, width and channels of an image. */
export type ImageShape = readonly [height: number, width: number, channels: number]

const KEPT = 16 // recorded steps; the one that was used last longest ago is dropped

interface Plan {
  readonly step: Captured<readonly [images: Tensor], Tensor>
  /** Room for a padded batch. The GPU has copied it when `run` returns. */
  readonly room: Uint8Array
}

/** The captured steps of one encoder on one Gpu. */
export class Plans {
  readonly #owner: string
  readonly #gpu: Gpu
  readonly #encode: EncodeImages
  readonly #maxBatch: number
  readonly #plans = new Map<string, Plan>() // the one used last is the last

  constructor(owner: string, gpu: Gpu, encode: EncodeImages, maxBatch: number) {
    this.#owner = owner
    this.#gpu = gpu
    this.#encode = encode
    this.#maxBatch = maxBatch
  }

  /** Encodes images of this shape, at most `maxBatch`. Resolves to a row for each. Throws
   *  ShapeError unless the encoder returns a row for each image, and Error for rows that are not
   *  finite. */
  async run(images: readonly Uint8Array[], shape: ImageShape): Promise<readonly Float32Array[]> {
    const n = images.length
    const size = paddedSize(n, this.#maxBatch)
    const { step, room } = this.#planFor(size, shape)
    const bytes = room.length / size
    for (const [i, image] of images.entries()) room.set(image, i * bytes)
    room.fill(0, n * bytes)
    const rows = step.run({ values: room, shape: [size, ...shape] })
    const read = await this.#gpu.read(rows)
    const D = read.length / size
    if (!read.subarray(0, n * D).every(Number.isFinite))
      throw new Error(`${this.#owner}: features are not finite; the encoder has diverged`)
    return images.map((_, i) => read.slice(i * D, (i + 1) * D))
  }

  /** Runs every size of batch for images of this shape twice, so that later ones are replayed. */
  async warm(shape: ImageShape) {
    const blank = new Uint8Array(shape[0] * shape[1] * shape[2])
    for (const size of paddedSizes(this.#maxBatch))
      for (let time = 0; time < 2; time++)
        await this.run(
          Array.from({ length: size }, () => blank),
          shape,
        )
  }

  /** Returns the plan for batches of `size` images, made anew if there is none. */
  #planFor(size: number, shape: ImageShape): Plan {
    const key = `${size} of ${show(shape)}`
    const plan = this.#plans.get(key) ?? this.#made(size, shape)
    this.#plans.delete(key)
    this.#plans.set(key, plan)
    for (const [oldest, { step }] of this.#plans) {
      if (this.#plans.size <= KEPT) break
      step.release()
      this.#plans.delete(oldest)
    }
    return plan
  }

  #made(size: number, shape: ImageShape): Plan {
    const step = this.#gpu.capture((images: Tensor) => this.#checked(images, size))
    return { step, room: new Uint8Array(size * shape[0] * shape[1] * shape[2]) }
  }

  #checked(images: Tensor, size: number): Tensor {
    const rows = this.#gpu.noGrad(() => this.#encode(images))
    checkTensor(this.#owner, 'what the encoder returns', rows)
    if (rows.shape.length !== 2 || rows.shape[0] !== size)
      throw new ShapeError(
        `${this.#owner}: the encoder must return [${size}, D] for ${size} images, got ${show(rows.shape)}`,
      )
    return rows
  }
}

/** Returns the size that a batch is padded to: the next power of two, at most `most`. */
const paddedSize = (n: number, most: number) => Math.min(most, 2 ** Math.ceil(Math.log2(n)))

/** Lists the sizes that batches are padded to. */
const paddedSizes = (most: number): number[] => [
  ...new Set(
    Array.from({ length: Math.ceil(Math.log2(most)) + 1 }, (_, i) => Math.min(most, 2 ** i)),
  ),
]
