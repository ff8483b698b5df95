// A pass of attention on a CPU adapter. A workgroup is one subgroup of eight threads, each with
// four rows of its own, so that no barrier is needed (similarity/tiles-software.ts has the same
// form). Eight lanes load fours of numbers and broadcast them to each other. Sums lie in the
// result, and are read again only where there are more columns than a tile has.

import { type Kernel, type Wgsl, kernel, wgsl } from '../op.ts'
import { loadSnippet } from '../tiles/loader.ts'
import { lowest } from '../wgsl/lowest.ts'
import { type HeadFormat, type AttentionPass, fourFrom, bufferName, passPrologue } from './pass.ts'

/** Rows of a tile. */
export const SOFTWARE_ROWS = 32

/** `<name>(place, starts, column, lane)`: products of the thread's four rows, which begin at
 *  `starts`, with sixteen columns. */
const product = (name: Wgsl, [rows, columns]: AttentionPass['scores']): Wgsl => wgsl`
  fn ${name}(place: Place, starts: vec4u, column: u32, lane: u32) -> Scores {
    let own = columnStart(place, column + lane % 8u);
    let next = columnStart(place, column + 8u + lane % 8u);
    var sums = Scores();
    for (var d = 0u; d < p.D; d += 4u) {
      let first = four_${bufferName(columns)}(own, d, true);
      let second = four_${bufferName(columns)}(next, d, true);
      let turned = transpose(mat4x4f(
        four_${bufferName(rows)}(starts.x, d, true), four_${bufferName(rows)}(starts.y, d, true),
        four_${bufferName(rows)}(starts.z, d, true), four_${bufferName(rows)}(starts.w, d, true),
      ));
      sums = Scores(${sixteen(
        (i, from, lane) => wgsl`
        addColumn(sums[${i}], turned, subgroupShuffle(${from}, ${lane}))`,
      )});
    }
    return sums;
  }
`

const sixteen = (of: (i: Wgsl, from: Wgsl, lane: Wgsl) => Wgsl): Wgsl =>
  Array.from({ length: 16 }, (_, i) =>
    of(`${i}u` as Wgsl, i < 8 ? wgsl`first` : wgsl`second`, `${i % 8}u` as Wgsl),
  ).reduce((x, y) => wgsl`${x}, ${y}`)

const arithmetic = wgsl`
  alias Scores = array<vec4f, 16>; // [column] of four rows
  fn addColumn(sum: vec4f, rows: mat4x4f, w: vec4f) -> vec4f {
    let two = fma(rows[1], vec4f(w.y), fma(rows[0], vec4f(w.x), sum));
    return fma(rows[3], vec4f(w.w), fma(rows[2], vec4f(w.z), two));
  }
  fn columnOf(sums: Scores, half: u32, i: u32) -> vec4f { return sums[half * 8u + i]; }
`

// sums += the tile's weights times values, eight features at a time, four columns of a load.
const weightedSum = (values: Wgsl, memory: HeadFormat): Wgsl => wgsl`
  ${loadSnippet(wgsl`y`, memory)}
  fn sumsAt(at: u32, d: u32) -> vec4f {
    ${
      memory === 'f32x4'
        ? wgsl`return load_y((at + d) / 4u, d < p.D);`
        : wgsl`return load_y(at + d, 0, i32(p.D) - i32(d));`
    }
  }
  fn addValues(
    place: Place, starts: vec4u, column: u32, count: u32, end: u32, fresh: bool, rescale: vec4f,
    factor: vec4f, thread: u32, lane: u32,
  ) {
    for (var d = 0u; d < p.D; d += 8u) {
      var sums = array<array<vec4f, 2>, 4>();
      if (!fresh) {
        for (var r = 0u; r < 4u; r++) {
          sums[r][0] = sumsAt(starts[r], d) * rescale[r];
          sums[r][1] = sumsAt(starts[r], d + 4u) * rescale[r];
        }
      }
      for (var c = 0u; c < count; c += 4u) {
        let own = column + c + lane % 8u / 2u;
        let four = four_${values}(columnStart(place, own), d + lane % 2u * 4u, own < end);
        for (var i = 0u; i < 4u; i++) {
          let low = subgroupShuffle(four, 2u * i);
          let high = subgroupShuffle(four, 2u * i + 1u);
          let weight = tile[(c + i) * 8u + thread];
          for (var r = 0u; r < 4u; r++) {
            sums[r][0] = fma(vec4f(weight[r]), low, sums[r][0]);
            sums[r][1] = fma(vec4f(weight[r]), high, sums[r][1]);
          }
        }
      }
      for (var r = 0u; r < 4u; r++) {
        if (place.row + thread * 4u + r < p.rows) {
          store4(starts[r] + d, p.D - d, sums[r][0] * factor[r]);
          store4(starts[r] + d + 4u, max(p.D, d + 4u) - d - 4u, sums[r][1] * factor[r]);
        }
      }
    }
  }
`

// The weights of a tile from the statistics of softmax.
const weigh = (weight: Wgsl, { queries, second }: AttentionPass): Wgsl => {
  const rows = queries === 'rows'
  return wgsl`
        for (var half = 0u; half < 2u; half++) {
          ${rows ? wgsl`` : wgsl`let own = statOf(place, column + block * 16u + half * 8u + lane % 8u);`}
          for (var i = 0u; i < 8u; i++) {
            ${rows ? wgsl`` : wgsl`let stat = subgroupShuffle(own, i);`}
            let lse = ${rows ? wgsl`rowLse` : wgsl`vec4f(stat.x)`};
            let delta = ${rows ? wgsl`rowDelta` : wgsl`vec4f(stat.y)`};
            let c = block * 16u + half * 8u + i;
            let s = columnOf(sums, half, i) * p.scale;
            let t = ${second ? wgsl`columnOf(more, half, i)` : wgsl`vec4f()`};
            tile[c * 8u + thread] = select(vec4f(), ${weight}, counts(place, rows, column + c));
          }
        }
  `
}

// Scores, where a row's statistics are still to be found.
const keep = wgsl`
        for (var half = 0u; half < 2u; half++) {
          for (var i = 0u; i < 8u; i++) {
            let c = block * 16u + half * 8u + i;
            let s = columnOf(sums, half, i) * p.scale;
            tile[c * 8u + thread] = s;
            most = select(most, max(most, s), counts(place, rows, column + c));
          }
        }
`

const online = {
  before: wgsl`
      var most = top;`,
  after: wgsl`
      var more = vec4f();
      for (var c = 0u; c < blocks * 16u; c++) {
        let weight = exp(tile[c * 8u + thread] - most);
        let counted = select(vec4f(), weight, counts(place, rows, column + c));
        tile[c * 8u + thread] = counted;
        more += counted;
      }
      let rescale = exp(top - most);
      total = total * rescale + more;
      top = most;
      let factor = select(vec4f(1.0), 1.0 / total, column + COLUMNS >= end);`,
  finish: wgsl`
    for (var r = 0u; r < 4u; r++) {
      if (rows[r] < p.rows) {
        lse[(place.image * p.heads + place.head) * p.rows + rows[r]] = top[r] + log(total[r]);
      }
    }`,
}

/** The kernel of a pass. */
export function softwareStream(pass: AttentionPass, memory: HeadFormat): Kernel {
  const { name, weight, second, queries } = pass
  const statistics =
    weight !== null && queries === 'rows'
      ? wgsl`
    let stats = mat4x2f(
      statOf(place, rows.x), statOf(place, rows.y), statOf(place, rows.z), statOf(place, rows.w),
    );
    let rowLse = vec4f(stats[0].x, stats[1].x, stats[2].x, stats[3].x);
    let rowDelta = vec4f(stats[0].y, stats[1].y, stats[2].y, stats[3].y);`
      : wgsl``
  return kernel`
  enable subgroups;
  const ROWS = 32u;
  const COLUMNS = 96u;
  ${passPrologue(pass, memory)}
  ${lowest}
  ${fourFrom}
  ${arithmetic}
  var<workgroup> tile: array<vec4f, 768>; // [COLUMNS, thread]
  ${product(wgsl`scores`, pass.scores)}
  ${second ? product(wgsl`seconds`, second) : wgsl``}
  ${weightedSum(bufferName(pass.values), memory)}

  @compute @workgroup_size(8)
  fn ${name}(
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    let index = group.y * groups.x + group.x;
    if (index >= tileCount() * p.heads * p.images) { return; } // a dispatch may have a few more
    let place = placeOf(index);
    let rows = fourFrom(place.row + thread * 4u);
    let starts = vec4u(
      rowStart(place, rows.x), rowStart(place, rows.y),
      rowStart(place, rows.z), rowStart(place, rows.w),
    );
    let begin = firstColumn(place);
    let end = endColumn(place);
    var top = vec4f(LOWEST);
    var total = vec4f();
    ${statistics}
    for (var column = begin; column < end; column += COLUMNS) {
      let blocks = min(COLUMNS, end - column + 15u) / 16u;
      ${weight === null ? online.before : wgsl``}
      for (var block = 0u; block < blocks; block++) {
        let sums = scores(place, starts, column + block * 16u, lane);
        ${second ? wgsl`let more = seconds(place, starts, column + block * 16u, lane);` : wgsl``}
        ${weight === null ? keep : weigh(weight, pass)}
      }
      ${
        weight === null
          ? online.after
          : wgsl`
      let rescale = vec4f(1.0);
      let factor = vec4f(select(1.0, ${pass.factor}, column + COLUMNS >= end));`
      }
      addValues(
        place, starts, column, blocks * 16u, end, column == begin, rescale, factor, thread, lane,
      );
    }
    if (begin >= end) { addValues(place, starts, 0u, 0u, 0u, true, vec4f(), vec4f(), thread, lane); }
    ${weight === null ? online.finish : wgsl``}
  }
`
}
