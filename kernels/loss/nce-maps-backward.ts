// The gradients of nce-maps.ts. Scores are recomputed tile by tile as weights: of the maps'
// positions for the gradient of the sources, and of the sources for the gradient of the maps.

import { type Run, type Tensor, folded, kernel } from '../op.ts'
import { splitColumns } from '../similarity/split-columns.ts'
import { byRow, fourRows, pairTiles, tileRows } from '../similarity/tiles.ts'
import { sumSplits } from '../wgsl/sum-splits.ts'
import {
  type NceMapsAttrs,
  type NceMapsSizes,
  beginView,
  saturation,
  tileParams,
} from './nce-maps-sizes.ts'

const weightedSumKernel = pairTiles(
  ({ head, entry, prologue, score, weightedSum }) => kernel`
  ${head}
  struct Params {
    rows: u32, D: u32, columns: u32, along: u32, sum: u32, scale: f32, views: u32, splits: u32,
    N: u32, L: u32, clip: f32, span: u32, unit: f32, factor: f32, penalty: f32
  }
  @group(0) @binding(0) var<storage, read>       rows:     array<Rows>; // a [views, N, R], or b [views, NL, R]
  @group(0) @binding(1) var<storage, read>       columns:  array<Columns>; // the other
  @group(0) @binding(2) var<storage, read>       values:   array<f32>; // as columns
  @group(0) @binding(3) var<storage, read>       rowStats: array<f32>; // [loss | squares | lse | log A, views, N]
  @group(0) @binding(4) var<storage, read>       dloss:    array<f32>; // []
  @group(0) @binding(5) var<storage, read>       dpenalty: array<f32>; // [], read if p.penalty is not 0
  @group(0) @binding(6) var<storage, read_write> partial:  array<Partial>; // [splits, views, rows, R]
  @group(0) @binding(7) var<uniform>             p:        Params;
  override ofMaps: bool = false; // true: rows are the maps'
  ${score}
  ${weightedSum}
  ${fourRows}
  ${saturation}
  ${beginView}

  var<private> ofLse: u32 = 0u; // where the sources' statistics begin
  var<private> ofLogA: u32 = 0u;
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
      lse[r] = rowStats[ofLse + images[r]];
      logA[r] = rowStats[ofLogA + images[r]];
    }
  }
  fn weigh(column: u32, raw: vec4f) -> vec4f {
    if (column >= p.columns) { return vec4f(); }
    let t = saturation(raw);
    let s = p.clip * t;
    var other = column;
    if (ofMaps) {
      lse = vec4f(rowStats[ofLse + column]);
      logA = vec4f(rowStats[ofLogA + column]);
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
    let view = beginView(group.z, p.splits);
    let split = group.z - view * p.splits;
    let source = select(view, p.views - 1u - view, ofMaps); // the view of the sources
    ofLse = (2u * p.views + source) * p.N;
    ofLogA = (3u * p.views + source) * p.N;
    prepare(fourRows(row + own * 4u));
    let to = (split * p.views + view) * p.rows * p.D;
    let begin = split * p.span;
    for (var column = begin; column < min(begin + p.span, p.columns); column += COLUMNS) {
      score(row, column, subgroup);
      for (var k = 0u; k < COLUMNS / SLICES; k++) {
        let c = k * SLICES + sliceOf(thread);
        setTile(c, own, weigh(column + c, tileAt(c, own)));
      }
      fence();
      addWeightedSum(row, column, to, column == begin, vec4f(1.0), subgroup);
    }
  }
`,
  byRow,
)

interface WeightedSum extends NceMapsSizes, NceMapsAttrs {
  readonly rowStats: Tensor
  readonly dloss: Tensor
  /** Null if nothing depends on the penalty. */
  readonly dpenalty: Tensor | null
}

/** Params of the weights. The gradient's size 1 / (N L √R) is split into a power of two, `unit`,
 *  and the rest, `factor`. */
function weightParams({ views, N, L, R, clip, penalty, dpenalty }: WeightedSum) {
  const size = 1 / (views * N * L * Math.sqrt(R))
  const unit = 2 ** Math.floor(Math.log2(size))
  return { N, L, clip, unit, factor: size / unit, penalty: dpenalty ? (2 * penalty) / N : 0 }
}

/** The gradient of the sources [views N, R]: one partial sum per split of the maps' positions,
 *  added in order. */
export function sourcesBackward(run: Run, sum: WeightedSum, sources: Tensor, maps: Tensor): Tensor {
  const { views, N, L, R, rowStats, dloss, dpenalty } = sum
  const { tiles, splits, span } = splitColumns(run, {
    ...{ rows: N, columns: N * L, enough: 1024 / views },
    ...{ makes: views * N * R, mostBytes: 1 << 26 },
  })
  const [partial] = run(weightedSumKernel(run), {
    reads: [sources, maps, maps, rowStats, dloss, dpenalty ?? dloss],
    makes: [[splits, ...sources.shape]],
    params: { ...tileParams(sum, N, N * L), ...weightParams(sum), splits, span },
    groups: [...folded(tiles), views * splits],
  })
  return sumSplits(run, partial, sources.shape)
}

/** The gradient of the maps [views N, ..., R]. One workgroup computes each position and writes it
 *  in place. */
export function mapsBackward(run: Run, sum: WeightedSum, sources: Tensor, maps: Tensor): Tensor {
  const { views, N, L, rowStats, dloss, dpenalty } = sum
  const tiles = Math.ceil((N * L) / tileRows(run))
  const [gradient] = run(weightedSumKernel(run), {
    reads: [maps, sources, sources, rowStats, dloss, dpenalty ?? dloss],
    makes: [maps.shape],
    params: { ...tileParams(sum, N * L, N), ...weightParams(sum), splits: 1, span: N },
    constants: { ofMaps: 1 },
    groups: [...folded(tiles), views],
  })
  return gradient
}
