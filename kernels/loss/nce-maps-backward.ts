// The gradients of nce-maps.ts. Scores are recomputed tile by tile as weights: of the maps'
// positions for the gradient of the sources, and of the sources for the gradient of the maps.

import {
  type Run,
  type Shape,
  type Tensor,
  ShapeError,
  flatIndex,
  folded,
  kernel,
  matrix,
  show,
  sizeOf,
  wgsl,
} from '../op.ts'
import { splitColumns } from '../similarity/split-columns.ts'
import { perElement, preciseTanh } from '../wgsl/pointwise.ts'
import { byRow, fourRows, pairTiles, tileRows } from '../similarity/tiles.ts'

/** Options of nceMaps. */
export interface NceMapsAttrs {
  /** c, where scores are clipped. */
  readonly clip: number
  /** λ, the factor of the squared scores. */
  readonly penalty: number
}

interface Sizes {
  readonly N: number
  readonly L: number
  readonly R: number
}

/** Checks the shapes and options, and returns the sizes. Throws ShapeError, RangeError. */
export function sizesOf({ clip, penalty }: NceMapsAttrs, sources: Shape, maps: Shape): Sizes {
  const [N, R] = matrix(sources, 'nceMaps: sources')
  const L = sizeOf(maps.slice(1, -1))
  if (maps.length < 2 || maps[0] !== N || maps.at(-1) !== R)
    throw new ShapeError(
      `nceMaps: maps must be [N, ..., R] for sources [N, R], got ${show(maps)} for ${show(sources)}`,
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
  return { N, L, R }
}

/** Params of tiles of matrices [rows, R] and [columns, R], with scores scaled by 1 / √R. */
export const tileParams = ({ R }: Sizes, rows: number, columns: number) => ({
  ...{ rows, columns, D: R, along: R, sum: 1, scale: 1 / Math.sqrt(R) },
})

/** WGSL of `saturation(raw)`, tanh(raw / c). */
export const saturation = wgsl`
  ${preciseTanh}
  fn saturation(raw: vec4f) -> vec4f {
    let x = raw / p.clip;
    return vec4f(preciseTanh(x.x), preciseTanh(x.y), preciseTanh(x.z), preciseTanh(x.w));
  }
`

const weightedSumKernel = pairTiles(
  ({ head, entry, prologue, score, weightedSum }) => kernel`
  ${head}
  struct Params {
    rows: u32, D: u32, columns: u32, along: u32, sum: u32, scale: f32,
    N: u32, L: u32, clip: f32, span: u32, unit: f32, factor: f32, penalty: f32
  }
  @group(0) @binding(0) var<storage, read>       rows:     array<f32>; // a [N, R], or b [NL, R]
  @group(0) @binding(1) var<storage, read>       columns:  array<f32>; // the other
  @group(0) @binding(2) var<storage, read>       values:   array<f32>; // as columns
  @group(0) @binding(3) var<storage, read>       rowStats: array<f32>; // [loss | squares | lse | log A, N]
  @group(0) @binding(4) var<storage, read>       dloss:    array<f32>; // []
  @group(0) @binding(5) var<storage, read>       dpenalty: array<f32>; // [], read if p.penalty is not 0
  @group(0) @binding(6) var<storage, read_write> partial:  array<f32>; // [splits, rows, R]
  @group(0) @binding(7) var<uniform>             p:        Params;
  override ofMaps: bool = false; // true: rows are the maps'
  ${score}
  ${weightedSum}
  ${fourRows}
  ${saturation}

  var<private> images: vec4u = vec4u(); // that the rows show
  var<private> lse: vec4f = vec4f();
  var<private> logA: vec4f = vec4f();
  var<private> slopes: vec2f = vec2f(); // of the loss and of the penalty, near 1

  // Weights are rescales near 1, where f16 would do, and sums are stored in units of the
  // gradient's own size.
  fn prepare(i: vec4u) {
    var d = vec2f(dloss[0], 0.0);
    if (p.penalty != 0.0) { d.y = dpenalty[0]; }
    // Its power of two.
    let most = bitcast<f32>(bitcast<u32>(max(abs(d.x), abs(d.y))) & 0x7f800000u);
    let size = select(most, 1.0, most == 0.0);
    slopes = d / size * p.factor;
    unstored = 1.0 / (size * p.unit);
    let row = min(i, vec4u(p.rows - 1u));
    images = row;
    if (ofMaps) { images = row / p.L; }
    for (var r = 0u; r < 4u; r++) {
      lse[r] = rowStats[2u * p.N + images[r]];
      logA[r] = rowStats[3u * p.N + images[r]];
    }
  }
  fn weigh(column: u32, raw: vec4f) -> vec4f {
    if (column >= p.columns) { return vec4f(); }
    let t = saturation(raw);
    let s = p.clip * t;
    var other = column;
    if (ofMaps) {
      lse = vec4f(rowStats[2u * p.N + column]);
      logA = vec4f(rowStats[3u * p.N + column]);
    } else {
      other = column / p.L;
    }
    let ds = select(exp(s + logA), -1.0 / (1.0 + exp(s - lse)), images == vec4u(other));
    return slopes.x * ds * (1.0 - t * t) + slopes.y * p.penalty * raw;
  }

  @compute @workgroup_size(THREADS)
  fn nceMapsWeightedSum(
    ${entry},
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    ${prologue}
    let row = (group.y * groups.x + group.x) * ROWS;
    if (row >= p.rows) { return; } // a dispatch may have a few tiles more
    let own = groupOf(thread);
    prepare(fourRows(row + own * 4u));
    let begin = group.z * p.span;
    for (var column = begin; column < min(begin + p.span, p.columns); column += COLUMNS) {
      score(row, column, subgroup);
      for (var k = 0u; k < COLUMNS / SLICES; k++) {
        let c = k * SLICES + sliceOf(thread);
        setTile(c, own, weigh(column + c, tileAt(c, own)));
      }
      fence();
      addWeightedSum(row, column, group.z * p.rows * p.D, column == begin, vec4f(1.0), subgroup);
    }
  }
`,
  byRow,
)

const addKernel = kernel`
  struct Params { count: u32, splits: u32 }
  @group(0) @binding(0) var<storage, read>       partial: array<f32>; // [splits, count]
  @group(0) @binding(1) var<storage, read_write> total:   array<f32>; // [count]
  @group(0) @binding(2) var<uniform>             p:       Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn nceMapsAdd(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let e = flat(id, groups);
    if (e >= p.count) { return; }
    var sum = 0.0;
    for (var split = 0u; split < p.splits; split++) { sum += partial[split * p.count + e]; }
    total[e] = sum;
  }
`

interface WeightedSum extends Sizes, NceMapsAttrs {
  readonly rowStats: Tensor
  readonly dloss: Tensor
  /** Null if nothing depends on the penalty. */
  readonly dpenalty: Tensor | null
}

/** Params of the weights. The gradient's size 1 / (N L √R) is split into a power of two, `unit`,
 *  and the rest, `factor`. */
function weightParams({ N, L, R, clip, penalty, dpenalty }: WeightedSum) {
  const size = 1 / (N * L * Math.sqrt(R))
  const unit = 2 ** Math.floor(Math.log2(size))
  return { N, L, clip, unit, factor: size / unit, penalty: dpenalty ? (2 * penalty) / N : 0 }
}

/** The gradient of the sources [N, R]: one partial sum per split of the maps' positions, added in
 *  order. */
export function sourcesBackward(run: Run, sum: WeightedSum, sources: Tensor, maps: Tensor): Tensor {
  const { N, L, R, rowStats, dloss, dpenalty } = sum
  const { tiles, splits, span } = splitColumns(run, {
    ...{ rows: N, columns: N * L, enough: 1024 },
    ...{ makes: N * R, mostBytes: 1 << 26 },
  })
  const [partial] = run(weightedSumKernel(run), {
    reads: [sources, maps, maps, rowStats, dloss, dpenalty ?? dloss],
    makes: [[splits, N, R]],
    params: { ...tileParams(sum, N, N * L), ...weightParams(sum), span },
    groups: [...folded(tiles), splits],
  })
  return perElement(run, addKernel, [N, R], { reads: [partial], params: { splits } })
}

/** The gradient of the maps [N, ..., R]. One workgroup computes each position and writes it in
 *  place. */
export function mapsBackward(run: Run, sum: WeightedSum, sources: Tensor, maps: Tensor): Tensor {
  const { N, L, rowStats, dloss, dpenalty } = sum
  const tiles = Math.ceil((N * L) / tileRows(run))
  const [gradient] = run(weightedSumKernel(run), {
    reads: [maps, sources, sources, rowStats, dloss, dpenalty ?? dloss],
    makes: [maps.shape],
    params: { ...tileParams(sum, N * L, N), ...weightParams(sum), span: N },
    constants: { ofMaps: 1 },
    groups: folded(tiles),
  })
  return gradient
}
