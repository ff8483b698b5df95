// A common mistake: images given as [C, H, W], as torch has them.

import { type Shape, ShapeError, show } from '../kernels/op.ts'

const CHANNELS = [1, 3, 4] // of a picture

/** Runs a body that takes an image of this shape, [H, W, C]. A ShapeError that it throws says so
 *  too where the shape looks like [C, H, W]. */
export function withImageHint<T>(what: string, image: Shape, body: () => T): T {
  try {
    return body()
  } catch (cause) {
    if (!(cause instanceof ShapeError) || !isChannelsFirst(image)) throw cause
    const [C = 0, H = 0, W = 0] = image
    const hint = `${what} is [H, W, C]: ${show([H, W, C])} rather than ${show(image)}`
    throw new ShapeError(`${cause.message}; ${hint}`, { cause })
  }
}

function isChannelsFirst([C = 0, ...sides]: Shape): boolean {
  return CHANNELS.includes(C) && sides.length === 2 && sides.every((side) => side > C)
}
