// Copies rows of what a page draws into a buffer, as RGBA bytes.

import { DataError } from '../data/dataset.ts'
import type { Drawable } from './page-image.ts'
import type { Part } from './strips.ts'

const [COPY_SRC, COPY_DST, RENDER_ATTACHMENT] = [0x1, 0x2, 0x10] // usages of textures
const WIDEST = 32_767 // pixels of a canvas, in the browsers that allow the least

/** What is used of a page's canvas. */
interface Canvas {
  getContext(kind: '2d', options: { readonly willReadFrequently: boolean }): Context | null
}
interface Context {
  drawImage(image: Drawable, x: number, y: number): void
  getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray }
}
interface Page {
  OffscreenCanvas?: new (width: number, height: number) => Canvas
}

type Destination = Required<Pick<GPUTexelCopyBufferInfo, 'buffer' | 'offset' | 'bytesPerRow'>>

/** Copies rows. Keeps the last texture for pictures of one size, such as the frames of a video. */
export class DrawnRows {
  readonly #device: GPUDevice
  #texture: GPUTexture | null = null

  constructor(device: GPUDevice) {
    this.#device = device
  }

  /** Copies a part of a picture, rows `bytesPerRow` apart. Throws DataError where a page may not
   *  read the picture, or cannot. */
  copy(name: string, image: Drawable, part: Part, to: Destination) {
    try {
      if (part.width > this.#device.limits.maxTextureDimension2D) this.#draw(name, image, part, to)
      else this.#transfer(image, part, to)
    } catch (cause) {
      if (cause instanceof DataError) throw cause
      const refused = cause instanceof Error && cause.name === 'SecurityError'
      const reason = refused
        ? 'holds a picture of another site, which a page may draw and not read; serve it with CORS'
        : `cannot be read: ${String(cause)}`
      throw new DataError(`${name}: ${reason}`, { cause })
    }
  }

  /** Destroys the texture. */
  free() {
    this.#texture?.destroy()
    this.#texture = null
  }

  #transfer(image: Drawable, { left, top, width, height }: Part, to: Destination) {
    const texture = this.#textureOf(width, height)
    const source = image as unknown as GPUCopyExternalImageSource // as its way says
    const device = this.#device
    const size = [width, height] as const
    device.queue.copyExternalImageToTexture(
      { source, origin: [left, top] },
      { texture, premultipliedAlpha: false },
      size,
    )
    const encoder = device.createCommandEncoder({ label: 'kindred pictures' })
    encoder.copyTextureToBuffer({ texture }, to, size)
    device.queue.submit([encoder.finish()])
  }

  #textureOf(width: number, height: number): GPUTexture {
    const last = this.#texture
    if (last && last.width === width && last.height === height) return last
    this.free()
    const usage = COPY_SRC | COPY_DST | RENDER_ATTACHMENT
    const size = [width, height]
    const texture = this.#device.createTexture({ size, format: 'rgba8unorm', usage })
    return (this.#texture = texture)
  }

  #draw(name: string, image: Drawable, { left, top, width, height }: Part, to: Destination) {
    const { OffscreenCanvas } = globalThis as Page
    if (width > WIDEST)
      throw new DataError(`${name}: at most ${WIDEST} pixels of a row are read, got ${width}`)
    const context = OffscreenCanvas
      ? new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
      : null
    if (!context)
      throw new DataError(`${name}: this browser has no canvas to read ${width} pixels of a row`)
    context.drawImage(image, -left, -top)
    const { data } = context.getImageData(0, 0, width, height)
    for (let row = 0; row < height; row++) {
      const bytes = data.subarray(row * width * 4, (row + 1) * width * 4)
      const at = to.offset + row * to.bytesPerRow
      this.#device.queue.writeBuffer(to.buffer, at, bytes)
    }
  }
}
