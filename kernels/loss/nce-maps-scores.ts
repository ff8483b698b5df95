// The scores of AMDIM's loss in the forward pass: tile by tile, each source with all locations. Per
// source and split it keeps the logsumexp of the negatives and the sum of squares, and besides the
// positives.

import { type Run, type Tensor, folded, kernel } from '../op.ts'
import { splitColumns } from '../similarity/split-columns.ts'
import { byRow, fourRows, pairTiles } from '../similarity/tiles.ts'
import { lowest } from '../wgsl/lowest.ts'
import { type NceMapsSizes, beginView, saturation, tileParams } from './nce-maps-sizes.ts'

const statisticsKernel = pairTiles(
  ({ head, entry, prologue, score }) => kernel`
  ${head}
  struct Params {
    rows: u32, D: u32, columns: u32, along: u32, sum: u32, scale: f32, views: u32,
    splits: u32, L: u32, clip: f32, span: u32
  }
  @group(0) @binding(0) var<storage, read>       rows:      array<Rows>; // a [views, N, R]
  @group(0) @binding(1) var<storage, read>       columns:   array<Columns>; // b [views, NL, R]
  @group(0) @binding(2) var<storage, read_write> partial:   array<f32>; // [top | sum | squares, splits, views, N]
  @group(0) @binding(3) var<storage, read_write> positives: array<f32>; // s_iil [views, N, L]
  @group(0) @binding(4) var<uniform>             p:         Params;
  ${score}
  ${fourRows}
  ${saturation}
  ${beginView}
  ${lowest}

  @compute @workgroup_size(THREADS)
  fn nceMapsStatistics(
    ${entry}, @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  ) {
    ${prologue}
    let row = (group.y * groups.x + group.x) * ROWS;
    if (row >= p.rows) { return; } // a dispatch may have a few tiles more
    let own = groupOf(thread);
    let i = fourRows(row + own * 4u);
    let view = beginView(group.z, p.splits);
    let split = group.z - view * p.splits;
    let begin = split * p.span;
    var top = vec4f(LOWEST);
    var sum = vec4f();
    var squares = vec4f();
    for (var column = begin; column < min(begin + p.span, p.columns); column += COLUMNS) {
      score(row, column, subgroup);
      var most = top;
      for (var k = 0u; k < COLUMNS / SLICES; k++) {
        let c = k * SLICES + sliceOf(thread);
        let at = column + c;
        if (at < p.columns) {
          let raw = tileAt(c, own);
          let s: vec4f = p.clip * saturation(raw);
          let negative: vec4<bool> = i != vec4u(at / p.L);
          for (var r = 0u; r < 4u; r++) {
            if (!negative[r] && i[r] < p.rows) { positives[view * p.columns + at] = s[r]; }
          }
          squares += raw * raw;
          most = max(most, select(vec4f(LOWEST), s, negative));
          setTile(c, own, select(vec4f(LOWEST), s, negative));
        } else {
          setTile(c, own, vec4f(LOWEST));
        }
      }
      sum *= exp(top - most);
      for (var k = 0u; k < COLUMNS / SLICES; k++) {
        let s = tileAt(k * SLICES + sliceOf(thread), own);
        sum += select(exp(s - most), vec4f(), bitcast<vec4u>(s) == bitcast<vec4u>(vec4f(LOWEST)));
      }
      top = most;
      fence();
    }
    setTile(0u, thread, top); // threads exchange through the tile's memory
    setTile(8u, thread, sum);
    setTile(16u, thread, squares);
    fence();
    if (thread >= GROUPS) { return; }
    for (var other = thread + GROUPS; other < THREADS; other += GROUPS) {
      let most = max(top, tileAt(0u, other));
      sum = sum * exp(top - most) + tileAt(8u, other) * exp(tileAt(0u, other) - most);
      squares += tileAt(16u, other);
      top = most;
    }
    for (var r = 0u; r < 4u; r++) {
      if (i[r] >= p.rows) { continue; }
      let at = (split * p.views + view) * p.rows + i[r];
      partial[at] = top[r];
      partial[groups.z * p.rows + at] = sum[r];
      partial[2u * groups.z * p.rows + at] = squares[r];
    }
  }
`,
  byRow,
)

/** Compares sources [views N, R] with maps [views N, ..., R] of L positions. Returns `partial` [top
 *  | sum | squares, splits, views N] of the negatives and of all raw scores, and `positives` [views
 *  N, L]. */
export function mapScores(
  run: Run,
  sizes: NceMapsSizes & { readonly clip: number },
  sources: Tensor,
  maps: Tensor,
) {
  const { views, N, L, clip } = sizes
  const work = { rows: N, columns: N * L, enough: 1024 / views }
  const { tiles, splits, span } = splitColumns(run, work)
  const [partial, positives] = run(statisticsKernel(run), {
    reads: [sources, maps],
    makes: [
      [3, splits, views * N],
      [views * N, L],
    ],
    params: { ...tileParams(sizes, N, N * L), splits, L, clip, span },
    groups: [...folded(tiles), views * splits],
  })
  return { partial, positives, splits }
}
