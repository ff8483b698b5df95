// Changes the side of square pictures on a canvas, whose smoothing averages what it shrinks.

/** A canvas of this size to draw on and to read from. */
export function drawingContext(width: number, height: number): OffscreenCanvasRenderingContext2D {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
  if (!context) throw new Error('this browser has no 2-D canvas in workers; a newer one has')
  context.imageSmoothingEnabled = true
  context.imageSmoothingQuality = 'high'
  return context
}

/** Copies RGBA pixels as RGB, what is transparent over white. */
export function opaque(rgba: Uint8ClampedArray, rgb: Uint8Array, at: number) {
  for (let i = 0, o = at; i < rgba.length; i += 4, o += 3) {
    rgb[o] = rgba[i] ?? 0
    rgb[o + 1] = rgba[i + 1] ?? 0
    rgb[o + 2] = rgba[i + 2] ?? 0
  }
}

/** Copies the RGB pixels of picture `i` as RGBA. */
export function toRgba(rgb: Uint8Array, i: number, side: number): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(side * side * 4)
  const from = i * side * side * 3
  for (let p = 0; p < side * side; p++) {
    for (let c = 0; c < 3; c++) rgba[4 * p + c] = rgb[from + 3 * p + c] ?? 0
    rgba[4 * p + 3] = 255
  }
  return rgba
}

/** A function that changes pictures of one side to another, as RGBA. */
export function rescaler(from: number, to: number) {
  const [source, target] = [drawingContext(from, from), drawingContext(to, to)]
  return (rgb: Uint8Array, i: number): Uint8ClampedArray<ArrayBuffer> => {
    if (from === to) return toRgba(rgb, i, from)
    source.putImageData(new ImageData(toRgba(rgb, i, from), from, from), 0, 0)
    target.drawImage(source.canvas, 0, 0, to, to)
    return target.getImageData(0, 0, to, to).data
  }
}

/** Changes the side of all pictures u8 [N, from, from, 3]. */
export function rescaled(
  rgb: Uint8Array,
  { from, to }: { readonly from: number; readonly to: number },
): Uint8Array<ArrayBuffer> {
  const count = rgb.length / (from * from * 3)
  const result = new Uint8Array(count * to * to * 3)
  const rescale = rescaler(from, to)
  for (let i = 0; i < count; i++) opaque(rescale(rgb, i), result, i * to * to * 3)
  return result
}
