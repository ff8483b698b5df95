// An embedder of a trained encoder in Node: opens a run, a checkpoint or an imported encoder, and
// decodes files of images as evaluation does.

import { fileURLToPath } from 'node:url'
import { DataError } from '../data/dataset.ts'
import { decodeImage } from '../data/decode-image.ts'
import { readDataFile, sizeOfFile } from '../data/paths.ts'
import { openGpu } from '../engine/node.ts'
import { unitFeatures } from '../evaluate/unit-features.ts'
import type { Precision } from '../kernels/op.ts'
import {
  type Rules,
  checkOptions,
  checkValue,
  count,
  describe,
  flag,
  having,
  oneOf,
  rule,
  text,
} from '../kernels/options.ts'
import { Embedder } from '../serving/embedder.ts'
import { type RequestOptions, type ServiceLimits, limitRules } from '../serving/limits.ts'
import type { PixelImages } from '../serving/embedder.ts'
import type { SavedEncoder } from '../training/encoder.ts'
import { type EncoderOptions, openEncoder } from './saved-encoder.ts'

/** Bytes of an image file. */
export type ImageFileBytes = Uint8Array | ArrayBuffer

/** An image file: its path or file: URL, its bytes, or a function that returns these. It is called
 *  when there is room in the queue, so that bytes from a network are within its limit. */
export type ImageFileSource =
  | string
  | URL
  | ImageFileBytes
  | (() => ImageFileBytes | Promise<ImageFileBytes>)

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

const source = having(
  'the path of a run folder or checkpoint, or an encoder { name, build, transform, side }',
  ...['build', 'transform', 'side'],
)
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

type FileLimits = Required<Pick<ImageEmbedderOptions, 'maxBytes' | 'maxPixels' | 'maxBatch'>>

/** Embeds image files and pixels with a trained encoder. Made by `embedder`. */
export class ImageEmbedder extends Embedder {
  readonly #side: number
  readonly #limits: FileLimits

  constructor(
    { build, transform, side }: SavedEncoder,
    { adapter, precision, ...limits }: ServiceLimits & { adapter?: string; precision: Precision },
    files: FileLimits,
  ) {
    super({
      ...limits,
      open: () => openGpu({ precision, ...(adapter === undefined ? {} : { adapter }) }),
      encoder: async (gpu) => unitFeatures(await build(gpu), transform),
    })
    this.#side = side
    this.#limits = files
  }

  /** Height and width in pixels of the square that a file is decoded to. */
  get side(): number {
    return this.#side
  }

  /** Embeds an image file. Resolves to a row [D] of length 1. The file is decoded to the middle
   *  square of the upright image, as evaluation does. Throws DataError that says why a file is not
   *  read, and like `embedPixels`. */
  async embed(image: ImageFileSource, options: RequestOptions = {}): Promise<Float32Array> {
    checkImage(image)
    const { features } = await this.embedFrom(1, () => this.#decoded(image), options)
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
        if (window.length < 2 * this.#limits.maxBatch || !first) continue
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

  /** Decodes an image file. Throws DataError in words. */
  async #decoded(image: ImageFileSource): Promise<PixelImages> {
    const name = typeof image === 'string' || image instanceof URL ? pathOf(image) : null
    const bytes = name === null ? await bytesIn(image) : await this.#read(name)
    const size = this.#side
    const told = name ?? 'the image'
    if (bytes.length > this.#limits.maxBytes)
      throw new DataError(tooManyBytes(told, bytes.length, this.#limits.maxBytes))
    try {
      const { pixels } = await decodeImage(bytes, { size, most: this.#limits.maxPixels })
      return { pixels, shape: [1, size, size, 3] }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new DataError(`embedder: ${told} ${reason}`, { cause })
    }
  }

  async #read(file: string): Promise<Uint8Array> {
    const bytes = await sizeOfFile('embedder', file)
    if (bytes > this.#limits.maxBytes)
      throw new DataError(tooManyBytes(file, bytes, this.#limits.maxBytes))
    return readDataFile('embedder', file)
  }
}

const tooManyBytes = (name: string, bytes: number, most: number) =>
  `embedder: ${name} has ${bytes} bytes, at most ${most} are read; raise maxBytes, or shrink it`

const pathOf = (image: string | URL) => (typeof image === 'string' ? image : fileURLToPath(image))

/** Returns the bytes of an image that is no path. */
async function bytesIn(image: ImageFileSource): Promise<Uint8Array> {
  const given = typeof image === 'function' ? await image() : image
  if (given instanceof ArrayBuffer) return new Uint8Array(given)
  if (given instanceof Uint8Array) return given
  throw new TypeError(
    `embedder: the image's function must return the bytes of an image file, got ${describe(given)}`,
  )
}

const file = rule(
  'a path, a file: URL, or the bytes of an image file or a function that returns them',
  (v) =>
    (typeof v === 'string' && v !== '') ||
    (v instanceof URL && v.protocol === 'file:') ||
    v instanceof Uint8Array ||
    v instanceof ArrayBuffer ||
    typeof v === 'function',
)

function checkImage(image: unknown) {
  const isSet = typeof image === 'object' && image !== null && 'pixels' in image
  if (isSet)
    throw new TypeError(
      'embedder: the image must be a file; give pixels to embedPixels(pixels, [N, H, W, 3])',
    )
  checkValue('embedder', 'the image', image, file)
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
  if (typeof checkpoint !== 'string') checkValue('embedder', 'checkpoint', checkpoint, source)
  const asked = { ...(which && { checkpoint: which }), ...(layer && { layer }) }
  const saved = typeof checkpoint === 'string' ? await openEncoder(checkpoint, asked) : checkpoint
  const { maxBatch = 32 } = limits
  const device = { ...limits, precision: precision ?? saved.precision ?? 'f32' }
  const made = new ImageEmbedder(saved, device, { maxBytes, maxPixels, maxBatch })
  try {
    await made.open(warm ? [saved.side, saved.side] : undefined)
  } catch (error) {
    await made.close()
    throw error
  }
  return made
}
