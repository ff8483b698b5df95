// An embedder of a trained encoder in Node: opens a run, a checkpoint or an imported encoder, and
// decodes files of images as evaluation does.

import { DataError } from '../data/dataset.ts'
import { openGpu } from '../engine/node.ts'
import { unitFeatures } from '../evaluate/unit-features.ts'
import type { Precision } from '../kernels/op.ts'
import {
  type Rules,
  checkOptions,
  checkValue,
  count,
  flag,
  oneOf,
  rule,
  text,
} from '../kernels/options.ts'
import { Embedder } from '../serving/embedder.ts'
import { type RequestOptions, type ServiceLimits, limitRules } from '../serving/limits.ts'
import type { SavedEncoder } from '../training/encoder.ts'
import { checkBuilt, checkSavedEncoder } from './check-encoder.ts'
import {
  type ImageFileLimits,
  type ImageFileSource,
  checkImage,
  decodedSquare,
} from './image-source.ts'
import { type EncoderOptions, openEncoder } from './saved-encoder.ts'

/** Options of `embedder`. */
export interface ImageEmbedderOptions extends ServiceLimits, EncoderOptions {
  /** Part of the adapter's name, as for `openGpu`. */
  readonly adapter?: string
  /** Arithmetic; by default that of the training. */
  readonly precision?: Precision
  /** Most bytes of an image file; 2^26, 64 MiB, by default. */
  readonly maxBytes?: number
  /** Most pixels of an image file; 10^8 by default. */
  readonly maxPixels?: number
  /** True (the default) records the steps of every size of batch before it resolves. False leaves
   *  that to the first requests, which are then slower. */
  readonly warm?: boolean
}

const rules: Rules<ImageEmbedderOptions> = {
  ...limitRules,
  checkpoint: text,
  layer: oneOf('features', 'embedding'),
  adapter: text,
  precision: oneOf('f32', 'f16x3', 'f16'),
  maxBytes: count,
  maxPixels: count,
  warm: flag,
}

const images = rule(
  'an iterable of paths or bytes',
  (v) => typeof v === 'object' && v !== null && (Symbol.asyncIterator in v || Symbol.iterator in v),
)

/** One image of `embedAll`: its row, or why it has none. */
export type EmbeddedImage<Image extends ImageFileSource = ImageFileSource> = {
  /** Position among the images, from 0. */
  readonly index: number
  readonly image: Image
} & (
  | { /** [D], of length 1. */ readonly features: Float32Array; readonly reason: null }
  | { readonly features: null; /** In words. */ readonly reason: string }
)

/** Embeds image files and pixels with a trained encoder. Made by `embedder`. */
export class ImageEmbedder extends Embedder {
  readonly #files: ImageFileLimits
  readonly #window: number

  constructor(
    { build, transform }: SavedEncoder,
    { adapter, precision, ...limits }: ServiceLimits & { adapter?: string; precision: Precision },
    files: ImageFileLimits,
  ) {
    super({
      ...limits,
      open: () => openGpu({ precision, ...(adapter === undefined ? {} : { adapter }) }),
      encoder: async (gpu) => unitFeatures(checkBuilt(await build(gpu)), transform),
    })
    this.#files = files
    this.#window = 2 * (limits.maxBatch ?? 32)
  }

  /** Height and width in pixels of the square that a file is decoded to. */
  get side(): number {
    return this.#files.side
  }

  /** Embeds an image file. Resolves to a row [D] of length 1. The file is decoded to the middle
   *  square of the upright image, as evaluation does. Throws DataError that says why a file is not
   *  read, and like `embedPixels`. */
  async embed(image: ImageFileSource, options: RequestOptions = {}): Promise<Float32Array> {
    checkImage(image)
    const { features } = await this.embedFrom(1, () => decodedSquare(image, this.#files), options)
    return features
  }

  /** Embeds any number of image files, and yields their rows in order. It holds two batches at a
   *  time, and waits while the queue is full. An image that cannot be read is yielded with the
   *  reason. Throws like `embedPixels`. */
  async *embedAll<Image extends ImageFileSource>(
    files: AsyncIterable<Image> | Iterable<Image>,
    { signal }: Pick<RequestOptions, 'signal'> = {},
  ): AsyncGenerator<EmbeddedImage<Image>> {
    checkValue('embedder', 'images', files, images)
    const leaving = new AbortController()
    const signals = AbortSignal.any([leaving.signal, ...(signal ? [signal] : [])])
    const window: Promise<EmbeddedImage<Image>>[] = []
    let index = 0
    try {
      for await (const image of files) {
        const one = this.#one(image, index++, signals)
        one.catch(() => undefined) // thrown when its turn comes
        window.push(one)
        const [first] = window
        if (window.length < this.#window || !first) continue
        yield await first
        void window.shift()
      }
      for (const one of window) yield await one
    } finally {
      leaving.abort() // of those that nobody waits for
    }
  }

  async #one<Image extends ImageFileSource>(
    image: Image,
    index: number,
    signal: AbortSignal,
  ): Promise<EmbeddedImage<Image>> {
    try {
      const features = await this.embed(image, { signal, whenFull: 'wait' })
      return { index, image, features, reason: null }
    } catch (error) {
      if (!(error instanceof DataError)) throw error
      return { index, image, features: null, reason: error.message }
    }
  }
}

/** Opens an embedder of the encoder of a run folder or checkpoint file, or of an encoder that you
 *  bring. Images get the size, crop and normalisation with which the run is evaluated; rows are the
 *  output that its kNN compares, scaled to length 1. Throws Error in words for a path without a
 *  trained encoder, TypeError and RangeError for wrong options, and what `openGpu` throws. */
export async function embedder(
  checkpoint: string | SavedEncoder,
  given: ImageEmbedderOptions = {},
): Promise<ImageEmbedder> {
  const {
    checkpoint: which,
    layer,
    precision,
    maxBytes = 2 ** 26,
    maxPixels = 1e8,
    warm = true,
    ...limits
  } = checkOptions('embedder', given, rules)
  const asked = { ...(which && { checkpoint: which }), ...(layer && { layer }) }
  const saved =
    typeof checkpoint === 'string'
      ? await openEncoder(checkpoint, asked)
      : checkSavedEncoder(checkpoint)
  const { side } = saved
  const device = { ...limits, precision: precision ?? saved.precision ?? 'f32' }
  const made = new ImageEmbedder(saved, device, { side, maxBytes, maxPixels })
  try {
    await made.open(warm ? [side, side] : undefined)
  } catch (error) {
    await made.close()
    throw error
  }
  return made
}
