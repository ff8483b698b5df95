// Small pictures for the page, in parts, so that they appear while others are still read.

import { transfer } from 'comlink'
import type { ReadEvent, Tell } from '../common/api.ts'
import { rescaler } from './rescale.ts'

const PART = 64 // pictures

/** The side of a thumbnail: less where there are many, to bound the page's memory. */
export const thumbSide = (count: number) => (count <= 1500 ? 96 : count <= 4000 ? 64 : 40)

/** Sends thumbnails of pictures of `from` pixels to the page, up to `end` when called. */
export function thumbSender(tell: Tell<ReadEvent>, from: number, count: number) {
  const side = thumbSide(count)
  const rescale = rescaler(from, side)
  let sent = 0
  return (pixels: Uint8Array, end: number, isLast: boolean) => {
    const least = isLast ? 1 : PART
    while (end - sent >= least) {
      const part = Math.min(PART, end - sent)
      const rgba = new Uint8ClampedArray(part * side * side * 4)
      for (let n = 0; n < part; n++) rgba.set(rescale(pixels, sent + n), n * side * side * 4)
      const thumbs = { rgba, side, count: part }
      tell(transfer({ kind: 'thumbs', from: sent, thumbs }, [rgba.buffer]))
      sent += part
    }
  }
}
