// The thumbnails of all pictures, side by side on a few canvases.

import type { Thumbs } from '../common/api.ts'

const EDGE = 2048 // pixels of a canvas, at most

/** Where thumbnails are drawn from. */
export class Atlas {
  #side = 1
  #perRow = 1
  #sheets: CanvasRenderingContext2D[] = []
  #count = 0

  /** Number of thumbnails so far. */
  get count(): number {
    return this.#count
  }

  clear() {
    this.#sheets = []
    this.#count = 0
  }

  /** Adds thumbnails. `from` is the number of the first. */
  add(from: number, { rgba, side, count }: Thumbs) {
    if (from === 0) {
      this.clear()
      this.#side = side
      this.#perRow = Math.floor(EDGE / side)
    }
    const bytes = side * side * 4
    for (let n = 0; n < count; n++) {
      const [sheet, x, y] = this.#place(from + n)
      const pixels = rgba.subarray(n * bytes, (n + 1) * bytes)
      sheet.putImageData(new ImageData(pixels, side, side), x, y)
    }
    this.#count = from + count
  }

  /** Draws picture `i` as a square of `size`. */
  draw(context: CanvasRenderingContext2D, i: number, x: number, y: number, size: number) {
    if (i >= this.#count) return
    const [sheet, left, top] = this.#place(i)
    context.drawImage(sheet.canvas, left, top, this.#side, this.#side, x, y, size, size)
  }

  /** Makes a canvas that shows picture `i`. */
  shown(i: number): HTMLCanvasElement {
    const canvas = document.createElement('canvas')
    canvas.width = canvas.height = this.#side
    const context = canvas.getContext('2d')
    if (context) this.draw(context, i, 0, 0, this.#side)
    return canvas
  }

  #place(i: number): [sheet: CanvasRenderingContext2D, x: number, y: number] {
    const perSheet = this.#perRow ** 2
    const at = Math.floor(i / perSheet)
    const rest = i % perSheet
    const sheet = (this.#sheets[at] ??= sheetOf(this.#perRow * this.#side))
    const [row, column] = [Math.floor(rest / this.#perRow), rest % this.#perRow]
    return [sheet, column * this.#side, row * this.#side]
  }
}

function sheetOf(edge: number): CanvasRenderingContext2D {
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = edge
  const context = canvas.getContext('2d')
  if (!context) throw new Error('the browser gives no more 2-D canvases; close other tabs')
  return context
}

/** Makes a canvas of one picture of `thumbs`. */
export function thumbCanvas({ rgba, side }: Thumbs, i: number): HTMLCanvasElement {
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = side
  const pixels = rgba.slice(i * side * side * 4, (i + 1) * side * side * 4)
  canvas.getContext('2d')?.putImageData(new ImageData(pixels, side, side), 0, 0)
  return canvas
}
