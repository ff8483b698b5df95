// Turns images into unit vectors, for many callers at a time. Free of Node; run-folder/embedder.ts
// adds checkpoints and files.

import { bytesOf } from '../kernels/numbers.ts'
import { type Shape, type Values, ShapeError, show, sizeOf } from '../kernels/op.ts'
import {
  type Rules,
  callback,
  checkOptions,
  checkValue,
  count,
  describe,
  needed,
} from '../kernels/options.ts'
import { l2Normalize } from '../kernels/reduce/l2-normalize.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Embeddings } from '../evaluate/embed.ts'
import type { Open } from './device.ts'
import {
  type RequestOptions,
  type ServiceLimits,
  limitRules,
  limitsOf,
  requestRules,
} from './limits.ts'
import { type EncodeImages, type ImageShape, Plans } from './plans.ts'
import { ServiceFront } from './service-front.ts'
import { type ServiceItems, Service } from './service.ts'

/** Options of `openEmbedder`. */
export interface EmbedderOptions extends ServiceLimits {
  /** Opens the Gpu: once at the beginning, and once after each loss of its device. The embedder
   *  destroys it. */
  readonly open: Open
  /** Makes the encoder on a Gpu. Returns a function from u8 images [N, H, W, C] to rows [N, D], in
   *  which a row depends on its own image alone. */
  readonly encoder: (gpu: Gpu) => EncodeImages | Promise<EncodeImages>
  /** Channels of the images; 3 by default. */
  readonly channels?: number
  /** Name for messages; 'embedder' by default. */
  readonly name?: string
}

const rules: Rules<EmbedderOptions> = {
  open: needed(callback),
  encoder: needed(callback),
  channels: count,
  name: { words: 'a string', fits: (v) => typeof v === 'string' },
  ...limitRules,
}

/** Pixels u8 [N, H, W, C]. */
export interface PixelImages {
  readonly pixels: Values
  readonly shape: Shape
}

/** Embeds images in batches on a Gpu. Made by `openEmbedder`. */
export class Embedder extends ServiceFront<Uint8Array, Float32Array, Plans> {
  readonly #name: string
  readonly #channels: number

  /** Use `openEmbedder`, which opens the device too. */
  constructor(given: EmbedderOptions) {
    const options = checkOptions('openEmbedder', given ?? {}, rules)
    const { open, encoder, channels = 3, name = 'embedder', ...limits } = options
    const { maxBatch, ...others } = limitsOf('openEmbedder', limits)
    const make = async (gpu: Gpu) => {
      const encode = checkValue(name, 'what encoder returns', await encoder(gpu), callback)
      return new Plans(name, gpu, (images) => l2Normalize(encode(images)), maxBatch)
    }
    const plan = {
      owner: name,
      items: 'images',
      open,
      make,
      compute: (plans: Plans, images: readonly Uint8Array[], kind: string) =>
        plans.run(images, JSON.parse(kind) as ImageShape), // as `request` wrote it
    }
    super(new Service(plan, { maxBatch, ...others }))
    this.#name = name
    this.#channels = channels
  }

  /** Prepares for requests, which `openEmbedder` has done but for an image's size: opens the device
   *  and makes the encoder where that is still to do. With the height and width of an image,
   *  records the steps of every size of batch, so that no request of that size waits for that.
   *  Throws what they throw. */
  async open(image?: readonly [height: number, width: number]): Promise<void> {
    if (!image) return this.service.open()
    const shape = [...this.#checkedImage(image), this.#channels] as const
    return this.service.run((plans) => plans.warm(shape))
  }

  /** Embeds u8 images [N, H, W, C]. Resolves to rows of length 1, in order. Images of different
   *  requests share batches if they have the same size. Throws ShapeError, TypeError, RangeError
   *  for numbers that are no u8 and for more images than the queue holds, QueueFullError,
   *  ClosedError, and the signal's reason when it aborts. */
  async embedPixels(
    pixels: Values,
    shape: Shape,
    options: RequestOptions = {},
  ): Promise<Embeddings> {
    const checked = checkOptions(this.#name, options, requestRules)
    const [N = 0] = this.#checkedShape(shape)
    const prepared = this.#prepared(N, { pixels, shape }) // copied: the caller may use its memory
    return this.#embed(N, () => Promise.resolve(prepared), checked)
  }

  /** Embeds the `N` images that `read` resolves to, of one size. They have their places in the
   *  queue before `read` is called, so that no more images are in memory than the queue holds.
   *  Throws what `read` and `embedPixels` throw. */
  async embedFrom(
    N: number,
    read: () => PixelImages | Promise<PixelImages>,
    given: RequestOptions = {},
  ): Promise<Embeddings> {
    const options = checkOptions(this.#name, given, requestRules)
    checkValue(this.#name, 'N', N, count)
    checkValue(this.#name, 'read', read, callback)
    return this.#embed(N, async () => this.#prepared(N, await read()), options)
  }

  async #embed(
    N: number,
    prepare: () => Promise<ServiceItems<Uint8Array>>,
    options: RequestOptions,
  ): Promise<Embeddings> {
    const rows = await this.service.request(N, prepare, options)
    const D = rows[0]?.length ?? 0
    const [only] = rows
    if (only && N === 1) return { features: only, M: 1, D }
    const features = new Float32Array(N * D)
    for (const [n, row] of rows.entries()) features.set(row, n * D)
    return { features, M: N, D }
  }

  /** Cuts pixels into images. */
  #prepared(N: number, { pixels, shape }: PixelImages): ServiceItems<Uint8Array> {
    const checked = this.#checkedShape(shape)
    const [n, ...image] = checked
    if (n !== N) throw new ShapeError(`${this.#name}: there must be ${N} images, got ${n}`)
    const bytes = bytesOf(`${this.#name}: pixels`, pixels)
    const each = sizeOf(image)
    if (bytes.length !== N * each)
      throw new ShapeError(
        `${this.#name}: images ${show(checked)} have ${N * each} bytes, got ${bytes.length}`,
      )
    const items = Array.from({ length: N }, (_, i) => bytes.slice(i * each, (i + 1) * each))
    return { items, kind: JSON.stringify(image) }
  }

  /** Throws ShapeError unless this is [N, H, W, C] with this embedder's C. */
  #checkedShape(shape: Shape): Shape {
    const sizes: unknown = shape
    const fits =
      Array.isArray(sizes) &&
      sizes.length === 4 &&
      sizes.every(count.fits) &&
      sizes[3] === this.#channels
    if (fits) return shape
    const got = Array.isArray(sizes) ? show(sizes as number[]) : describe(sizes)
    throw new ShapeError(
      `${this.#name}: images must be [N, H, W, ${this.#channels}], each at least 1, got ${got}`,
    )
  }

  #checkedImage(image: readonly [number, number]): readonly [number, number] {
    const [, height = 0, width = 0] = this.#checkedShape([1, ...image, this.#channels])
    return [height, width]
  }
}

/** Opens an embedder: a Gpu, an encoder on it, and a queue before it. Throws TypeError, RangeError
 *  and what opening throws. */
export async function openEmbedder(options: EmbedderOptions): Promise<Embedder> {
  const made = new Embedder(options)
  await made.open()
  return made
}
