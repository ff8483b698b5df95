// How the generic and the software kernel of the weight gradient split their sum: each workgroup
// sums some image rows of dy, and `sumSplits` adds the partial sums in a fixed order, so that two
// runs give the same bits.

import { type Run, type Shape, type Tensor, folded, images, sizeOf } from '../op.ts'
import type { Steps } from './steps.ts'

const PARTIAL_BYTES = 1 << 25 // of scratch at most; every adapter binds four times as much

/** Rows and columns of dW that a thread takes, and threads of a workgroup. */
export interface ThreadTile {
  readonly rows: number
  readonly columns: number
  readonly threads: number
}

/** The splits and the dispatch of a kernel of such tiles, for a dW of shape `out` [kH, kW, C, K].
 *  The sum is split as for tiles of `counted`, so that a kernel may take larger tiles and give the
 *  same bits. */
export function splitDispatch(
  run: Run,
  x: Tensor,
  dy: Tensor,
  out: Shape,
  { stride, padding }: Steps,
  tile: ThreadTile,
  counted = tile,
) {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW] = images(dy.shape, 'conv2d: dy')
  const [kH, kW, , K] = images(out, 'conv2d: w')
  const { bands, tiles } = tilesOf(out, tile)
  const lines = linesPerSplit(N * outH, tilesOf(out, counted).tiles, sizeOf(out), run.software)
  const splits = Math.max(1, Math.ceil((N * outH) / lines)) // one of no rows is 0
  return {
    splits,
    params: {
      ...{ N, H, W, C, outH, outW, K, kH, kW, lines, bands },
      ...{ strideH: stride[0], strideW: stride[1], padH: padding[0], padW: padding[1] },
    },
    groups: [...folded(tiles), splits] as const,
  }
}

/** Workgroups that share columns of dW, and all of them. */
function tilesOf(out: Shape, { rows, columns, threads }: ThreadTile) {
  const [kH, kW, C, K] = images(out, 'conv2d: w')
  const bands = Math.ceil((kH * kW * C) / rows / threads)
  return { bands, tiles: bands * Math.ceil(K / columns) }
}

/** Image rows of one split: few enough to occupy the device, enough that all partial sums fit. */
function linesPerSplit(lines: number, tiles: number, count: number, software: boolean): number {
  const enough = Math.ceil((software ? 16 : 512) / tiles)
  const fitting = Math.max(1, Math.floor(PARTIAL_BYTES / (count * 4)))
  return Math.max(1, Math.ceil(lines / Math.min(enough, fitting)))
}
