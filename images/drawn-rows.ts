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

/** A place in a buffer, and `inTurn`, which calls what writes it when its turn comes. */
type Destination = Required<Pick<GPUTexelCopyBufferInfo, 'buffer' | 'offset' | 'bytesPerRow'>> & {
  readonly inTurn: (write: () => void) => void
}

/** Copies rows. Keeps the last texture for pictures of one size, such as the frames of a video. */
export class DrawnRows {
  readonly #device: GPUDevice
  #texture: GPUTexture | null = null
  #keeps = false // a texture for the next picture

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

  /** Destroys the texture, once nothing that waits reads it. */
  free() {
    this.#keeps = false
    this.#texture?.destroy()
    this.#texture = null
  }

  #transfer(image: Drawable, { left, top, width, height }: Part, to: Destination) {
    const texture = this.#take(width, height)
    const source = image as unknown as GPUCopyExternalImageSource // as its way says
    const device = this.#device
    const size = [width, height] as const
    try {
      device.queue.copyExternalImageToTexture(
        { source, origin: [left, top] },
        { texture, premultipliedAlpha: false },
        size,
      )
    } catch (error) {
      this.#put(texture)
      throw error
    }
    const { buffer, offset, bytesPerRow, inTurn } = to
    inTurn(() => {
      const encoder = device.createCommandEncoder({ label: 'kindred pictures' })
      encoder.copyTextureToBuffer({ texture }, { buffer, offset, bytesPerRow }, size)
      device.queue.submit([encoder.finish()])
      this.#put(texture)
    })
  }

  /** Takes a texture, which `put` returns when it was read: the kept one if it has this size. */
  #take(width: number, height: number): GPUTexture {
    const last = this.#texture
    this.#texture = null
    this.#keeps = true
    if (last && last.width === width && last.height === height) return last
    last?.destroy()
    const usage = COPY_SRC | COPY_DST | RENDER_ATTACHMENT
    const size = [width, height]
    return this.#device.createTexture({ size, format: 'rgba8unorm', usage })
  }

  #put(texture: GPUTexture) {
    this.#texture?.destroy()
    this.#texture = this.#keeps ? texture : null
    if (!this.#keeps) texture.destroy()
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
    const { buffer, offset, bytesPerRow, inTurn } = to
    const { queue } = this.#device
    inTurn(() => {
      for (let row = 0; row < height; row++) {
        const bytes = data.subarray(row * width * 4, (row + 1) * width * 4)
        queue.writeBuffer(buffer, offset + row * bytesPerRow, bytes)
      }
    })
  }
}
