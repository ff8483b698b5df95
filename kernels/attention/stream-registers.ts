// A pass of attention on a GPU. 64 threads share a tile of 64 rows and 32 columns, 8 x 4 numbers
// each in registers. Sixteen features of both sides at a time are staged in workgroup memory. The
// weights then go through workgroup memory too, and each thread adds 8 rows x 4 FOURS features of
// the result in registers, where they stay until the last column: nothing of it is read again. All
// of it fits into 16 KiB, which every device has.
//
// A result of more features than a workgroup has sums for is shared by several, which compute the
// same weights.

import { type Kernel, type Wgsl, kernel, wgsl } from '../op.ts'
import { literals } from '../tiles/literals.ts'
import { lowest } from '../wgsl/lowest.ts'
import { type HeadFormat, type AttentionPass, fourFrom, bufferName, passPrologue } from './pass.ts'

/** Rows of a tile. */
export const REGISTER_ROWS = 64

/** Fours of features that a thread has sums of. */
export type Fours = 1 | 2 | 4

/** Features that a workgroup has sums of. */
export const featuresOf = (fours: Fours): number => 32 * fours

/** Declares `<name>`, the products of 8 rows and 4 columns. It is text of the entry point, where
 *  indices need no guards (docs/kernels.md). Blocks of 4 x 4 numbers are turned while they are
 *  staged; threads are numbered so that stores go to different banks. Rows and columns beyond the
 *  last hold numbers of other places of the buffer: they get no weight. */
const product = (name: Wgsl, [rows, columns]: AttentionPass['scores']): Wgsl => wgsl`
      var ${name} = Scores();
      for (var d = 0u; d < p.D; d += 16u) {
        var block = mat4x4f();
        for (var i = 0u; i < 4u; i++) {
          block[i] = four_${bufferName(rows)}(min(rowFrom + i * step, lastRow), d + inner, true);
        }
        var turned = transpose(block);
        for (var i = 0u; i < 4u; i++) { staged[(inner + i) * 24u + outer] = turned[i]; }
        if (thread < 32u) {
          for (var i = 0u; i < 4u; i++) {
            block[i] = four_${bufferName(columns)}(min(columnFrom + i * step, lastColumn), d + inner, true);
          }
          turned = transpose(block);
          for (var i = 0u; i < 4u; i++) { staged[(inner + i) * 24u + 16u + x] = turned[i]; }
        }
        workgroupBarrier();
        for (var e = 0u; e < 16u; e++) {
          let left = array<vec4f, 2>(staged[e * 24u + y0], staged[e * 24u + 8u + y0]);
          let right = staged[e * 24u + 16u + x];
          for (var c = 0u; c < 4u; c++) {
            ${name}[c][0] = fma(left[0], vec4f(right[c]), ${name}[c][0]);
            ${name}[c][1] = fma(left[1], vec4f(right[c]), ${name}[c][1]);
          }
        }
        workgroupBarrier();
      }
`

const weigh = (weight: Wgsl, { queries, second }: AttentionPass): Wgsl => {
  const rows = queries === 'rows'
  return wgsl`
      for (var c = 0u; c < 4u; c++) {
        ${rows ? wgsl`` : wgsl`let stat = statOf(place, column + x * 4u + c);`}
        for (var half = 0u; half < 2u; half++) {
          let lse = ${rows ? wgsl`rowLse[half]` : wgsl`vec4f(stat.x)`};
          let delta = ${rows ? wgsl`rowDelta[half]` : wgsl`vec4f(stat.y)`};
          let s = sums[c][half] * p.scale;
          let t = ${second ? wgsl`more[c][half]` : wgsl`vec4f()`};
          let counted = counts(place, rows[half], column + x * 4u + c);
          tile[(x * 4u + c) * PITCH + y0 + half * 8u] = select(vec4f(), ${weight}, counted);
        }
      }`
}

// The largest number of each row goes through workgroup memory. A thread keeps the sums of its own
// columns' weights: they share one top.
const online = wgsl`
      var most = top;
      for (var c = 0u; c < 4u; c++) {
        for (var half = 0u; half < 2u; half++) {
          sums[c][half] *= p.scale;
          let counted = counts(place, rows[half], column + x * 4u + c);
          most[half] = select(most[half], max(most[half], sums[c][half]), counted);
        }
      }
      for (var half = 0u; half < 2u; half++) { staged[256u + x * 16u + y0 + half * 8u] = most[half]; }
      workgroupBarrier();
      for (var i = 0u; i < 8u; i++) {
        for (var half = 0u; half < 2u; half++) {
          most[half] = max(most[half], staged[256u + i * 16u + y0 + half * 8u]);
        }
      }
      for (var half = 0u; half < 2u; half++) {
        let rescale: vec4f = exp(top[half] - most[half]);
        total[half] *= rescale;
        for (var r = 0u; r < 4u; r++) {
          for (var f = 0u; f < FOURS; f++) { result[half * 4u + r][f] *= rescale[r]; }
        }
        for (var c = 0u; c < 4u; c++) {
          let counted = counts(place, rows[half], column + x * 4u + c);
          let weight = select(vec4f(), exp(sums[c][half] - most[half]), counted);
          total[half] += weight;
          tile[(x * 4u + c) * PITCH + y0 + half * 8u] = weight;
        }
      }
      top = most;`

const normalise = wgsl`
    for (var half = 0u; half < 2u; half++) { staged[256u + x * 16u + y0 + half * 8u] = total[half]; }
    workgroupBarrier();
    var factors = array<vec4f, 2>();
    for (var half = 0u; half < 2u; half++) {
      var sum = vec4f();
      for (var i = 0u; i < 8u; i++) { sum += staged[256u + i * 16u + y0 + half * 8u]; }
      factors[half] = select(vec4f(), 1.0 / sum, end > 0u);
      for (var r = 0u; r < 4u; r++) {
        if (x == 0u && group.z == 0u && rows[half][r] < p.rows) {
          let at = (place.image * p.heads + place.head) * p.rows + rows[half][r];
          lse[at] = top[half][r] + log(sum[r]);
        }
      }
    }`

// The values of SLICE columns at a time: 256 fours.
const weightedSum = (values: Wgsl): Wgsl => wgsl`
      for (var slice = 0u; slice < FOURS; slice++) {
        let first = column + slice * SLICE + thread / (8u * FOURS);
        let start = columnStart(place, first);
        for (var e = 0u; e < 4u; e++) {
          let next = e * (8u / FOURS);
          let at = start + next * p.heads * p.D;
          staged[thread + e * 64u] = four_${values}(at, valueAt, first + next < end);
        }
        workgroupBarrier();
        for (var c = 0u; c < SLICE; c++) {
          let weights = (slice * SLICE + c) * PITCH + y0;
          let left = array<vec4f, 2>(tile[weights], tile[weights + 8u]);
          for (var f = 0u; f < FOURS; f++) {
            let right = staged[c * 8u * FOURS + x + f * 8u];
            for (var r = 0u; r < 8u; r++) {
              result[r][f] = fma(vec4f(left[r / 4u][r % 4u]), right, result[r][f]);
            }
          }
        }
        workgroupBarrier();
      }`

const rowStatistics = wgsl`
    var rowLse = array<vec4f, 2>();
    var rowDelta = array<vec4f, 2>();
    for (var half = 0u; half < 2u; half++) {
      for (var r = 0u; r < 4u; r++) {
        let stat = statOf(place, rows[half][r]);
        rowLse[half][r] = stat.x;
        rowDelta[half][r] = stat.y;
      }
    }`

/** The kernel of a pass. */
export function registerStream(pass: AttentionPass, memory: HeadFormat, fours: Fours): Kernel {
  const { name, weight, second, queries } = pass
  return kernel`
  const ROWS = 64u;
  const COLUMNS = 32u;
  const FOURS = ${literals[fours]};
  const SLICE = COLUMNS / FOURS;
  const PITCH = 17u; // one more than the fours of rows: columns then lie in different banks
  ${passPrologue(pass, memory)}
  ${lowest}
  ${fourFrom}
  alias Scores = array<array<vec4f, 2>, 4>; // [column, half of the rows]
  var<workgroup> tile: array<vec4f, 544>; // [COLUMNS, PITCH]
  var<workgroup> staged: array<vec4f, 384>; // [16 features, fours of rows and of columns]

  @compute @workgroup_size(64)
  fn ${name}(
    @builtin(local_invocation_index) thread: u32,
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    let index = group.y * groups.x + group.x;
    if (index >= tileCount() * p.heads * p.images) { return; } // a dispatch may have a few more
    let place = placeOf(index);
    let chunk = group.z * 32u * FOURS; // the first feature
    let valueAt = chunk + thread % (8u * FOURS) * 4u;
    let x = thread % 8u; // columns 4 x, or features 4 x and every 32nd from there
    let y0 = thread / 8u; // rows 4 y and 32 + 4 y
    let rows = array<vec4u, 2>(fourFrom(place.row + y0 * 4u), fourFrom(place.row + 32u + y0 * 4u));
    let end = endColumn(place);
    let step = p.heads * p.D; // from a token to the next
    let lastRow = p.images * p.rows * step - p.D; // where the buffer's last vector begins
    let lastColumn = p.images * p.columns * step - p.D;
    let inner = thread / 8u % 4u * 4u; // what the thread stages: features,
    let outer = thread % 8u + thread / 32u * 8u; // and fours of rows
    let rowFrom = rowStart(place, place.row + outer * 4u);
    var top = array<vec4f, 2>(vec4f(LOWEST), vec4f(LOWEST));
    var total = array<vec4f, 2>();
    var result = array<array<vec4f, FOURS>, 8>();
    ${weight !== null && queries === 'rows' ? rowStatistics : wgsl``}
    for (var column = firstColumn(place); column < end; column += COLUMNS) {
      let columnFrom = columnStart(place, column + x * 4u);
      ${product(wgsl`sums`, pass.scores)}
      ${second ? product(wgsl`more`, second) : wgsl``}
      ${weight === null ? online : weigh(weight, pass)}
      ${weightedSum(bufferName(pass.values))}
    }
    ${weight === null ? normalise : wgsl`let factors = array<vec4f, 2>(vec4f(${pass.factor}), vec4f(${pass.factor}));`}
    for (var r = 0u; r < 8u; r++) {
      let row = rows[r / 4u][r % 4u];
      for (var f = 0u; f < FOURS; f++) {
        let d = chunk + (x + f * 8u) * 4u;
        if (row < p.rows && d < p.D) {
          store4(rowStart(place, row) + d, p.D - d, result[r][f] * factors[r / 4u][r % 4u]);
        }
      }
    }
  }
`
}
