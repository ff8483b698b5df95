// Which part of a picture fills which part of an image of another shape.

import type { Span } from './filters.ts'

/** How a picture fills an image of another shape: 'cover' cuts the middle out of it, 'contain'
 *  shows all of it on white, 'fill' stretches it. */
export type Fit = 'cover' | 'contain' | 'fill'

export interface WidthHeight {
  readonly width: number
  readonly height: number
}

/** The part of a line that is shown, and where. */
interface Shown {
  readonly from: Span
  readonly to: Span
}

/** The parts of the rows and columns of a picture that are shown in an image, and where in it. */
export function fitted(picture: WidthHeight, image: WidthHeight, fit: Fit): { x: Shown; y: Shown } {
  const scales = [image.width / picture.width, image.height / picture.height] as const
  const scale = fit === 'cover' ? Math.max(...scales) : Math.min(...scales)
  const [across, down] = fit === 'fill' ? scales : [scale, scale]
  return {
    x: shown(picture.width, image.width, across),
    y: shown(picture.height, image.height, down),
  }
}

/** The middle of a line of `size` pixels, scaled, in the middle of one of `count`. */
function shown(size: number, count: number, scale: number): Shown {
  const length = Math.min(size, count / scale)
  const scaled = Math.max(1, Math.round(Math.min(count, size * scale)))
  return {
    from: { start: (size - length) / 2, length },
    to: { start: Math.floor((count - scaled) / 2), length: scaled },
  }
}
