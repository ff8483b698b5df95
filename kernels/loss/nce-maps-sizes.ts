// What the kernels of nce-maps.ts share: options, sizes, and where a view's rows and columns lie.

import { type Shape, ShapeError, matrix, show, sizeOf, wgsl } from '../op.ts'
import { preciseTanh } from '../wgsl/pointwise.ts'

/** Options of nceMaps. */
export interface NceMapsAttrs {
  /** c, where scores are clipped. */
  readonly clip: number
  /** λ, the factor of the squared scores. */
  readonly penalty: number
  /** Whether sources and maps are of two views, one behind the other, each of which meets the
   *  other's. */
  readonly crossed?: boolean
}

/** `views` of N images each, L positions of a map, R features. */
export interface NceMapsSizes {
  readonly views: 1 | 2
  readonly N: number
  readonly L: number
  readonly R: number
}

/** Checks the shapes and options, and returns the sizes. Throws ShapeError, RangeError. */
export function sizesOf(
  { clip, penalty, crossed = false }: NceMapsAttrs,
  sources: Shape,
  maps: Shape,
): NceMapsSizes {
  const [all, R] = matrix(sources, 'nceMaps: sources')
  const L = sizeOf(maps.slice(1, -1))
  if (maps.length < 2 || maps[0] !== all || maps.at(-1) !== R)
    throw new ShapeError(
      `nceMaps: maps must be [N, ..., R] for sources [N, R], got ${show(maps)} for ${show(sources)}`,
    )
  const views = crossed ? 2 : 1
  const N = all / views
  if (!Number.isInteger(N))
    throw new ShapeError(
      `nceMaps: crossed views must have as many images each, got sources ${show(sources)}`,
    )
  if (N === 0 || L === 0 || R === 0)
    throw new ShapeError(
      `nceMaps: needs an image, a place and a feature, got ${show(sources)} and ${show(maps)}`,
    )
  if (!(clip > 0 && Number.isFinite(clip)))
    throw new RangeError(`nceMaps: the clip must be a positive number, got ${clip}`)
  if (clip < 2 ** -126 || clip > 2 ** 126)
    throw new RangeError(
      `nceMaps: the clip must lie from 2^-126 to 2^126, where f32 divides, got ${clip}`,
    )
  if (!(penalty >= 0 && Number.isFinite(penalty)))
    throw new RangeError(`nceMaps: the penalty must be 0 or a positive number, got ${penalty}`)
  return { views, N, L, R }
}

/** Params of tiles of matrices [rows, R] and [columns, R] of each view, with scores scaled by 1 /
 *  √R, for `begin`. */
export const tileParams = ({ views, R }: NceMapsSizes, rows: number, columns: number) => ({
  ...{ rows, columns, D: R, along: R, sum: 1, scale: 1 / Math.sqrt(R), views },
})

/** WGSL of `beginView(z) -> u32`: the view that the rows of a workgroup are of, its number along z
 *  being [views, splits] of `splits`; sets where rows and columns lie. A view meets the other's. */
export const beginView = wgsl`
  fn beginView(z: u32, splits: u32) -> u32 {
    let view = z / splits;
    rowsFrom = view * p.rows * p.D;
    columnsFrom = (p.views - 1u - view) * p.columns * p.D;
    return view;
  }
`

/** WGSL of `saturation(raw)`, tanh(raw / c). */
export const saturation = wgsl`
  ${preciseTanh}
  fn saturation(raw: vec4f) -> vec4f {
    let x = raw / p.clip;
    return vec4f(preciseTanh(x.x), preciseTanh(x.y), preciseTanh(x.z), preciseTanh(x.w));
  }
`
