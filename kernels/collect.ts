// Gathers the gradients of many parameters, each a tensor of its own, into one flat buffer, seven a dispatch: as many as
// eight storage buffers, which every device allows, leave room for. A copy command each would end the compute pass and
// wait for the one before.

import { type Run, type Tensor, type Variable, elementwise, flatIndex, kernel, sizeOf } from './op.ts'
import { byWidth, widthOf } from './widths.ts'

const MOST = 7
const GROUP = 64 // threads, each with one or four numbers

const collectKernel = byWidth(
  (types) => kernel`
  struct Params {
    end0: u32, end1: u32, end2: u32, end3: u32, end4: u32, end5: u32, end6: u32,
    size0: u32, size1: u32, size2: u32, size3: u32, size4: u32, size5: u32, size6: u32,
    to0: u32, to1: u32, to2: u32, to3: u32, to4: u32, to5: u32, to6: u32,
  }
  ${types}
  @group(0) @binding(0) var<storage, read>       part0: array<F>;
  @group(0) @binding(1) var<storage, read>       part1: array<F>;
  @group(0) @binding(2) var<storage, read>       part2: array<F>;
  @group(0) @binding(3) var<storage, read>       part3: array<F>;
  @group(0) @binding(4) var<storage, read>       part4: array<F>;
  @group(0) @binding(5) var<storage, read>       part5: array<F>;
  @group(0) @binding(6) var<storage, read>       part6: array<F>;
  @group(0) @binding(7) var<storage, read_write> whole:   array<F>;
  @group(0) @binding(8) var<uniform>             p: Params;
  ${flatIndex}
  // A part has whole workgroups to itself: those before number 'end' that no part before it has.
  @compute @workgroup_size(64)
  fn collect(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    let group = i / 64u;
    if (group < p.end0) {
      let at = i;
      if (at < p.size0) { whole[p.to0 + at] = part0[at]; }
    } else if (group < p.end1) {
      let at = i - p.end0 * 64u;
      if (at < p.size1) { whole[p.to1 + at] = part1[at]; }
    } else if (group < p.end2) {
      let at = i - p.end1 * 64u;
      if (at < p.size2) { whole[p.to2 + at] = part2[at]; }
    } else if (group < p.end3) {
      let at = i - p.end2 * 64u;
      if (at < p.size3) { whole[p.to3 + at] = part3[at]; }
    } else if (group < p.end4) {
      let at = i - p.end3 * 64u;
      if (at < p.size4) { whole[p.to4 + at] = part4[at]; }
    } else if (group < p.end5) {
      let at = i - p.end4 * 64u;
      if (at < p.size5) { whole[p.to5 + at] = part5[at]; }
    } else if (group < p.end6) {
      let at = i - p.end5 * 64u;
      if (at < p.size6) { whole[p.to6 + at] = part6[at]; }
    }
  }
`,
)

/** A tensor, and where it goes in the flat buffer, in elements: a multiple of 64. */
export interface Piece {
  readonly tensor: Tensor
  readonly offset: number
}

/** Writes f32 tensors into their places in `into`. */
export function collect(run: Run, into: Variable, pieces: readonly Piece[]) {
  for (const width of [4, 1]) {
    const alike = pieces.filter(({ tensor }) => widthOf(sizeOf(tensor.shape)) === width)
    for (let i = 0; i < alike.length; i += MOST) dispatch(run, into, alike.slice(i, i + MOST), width)
  }
}

function dispatch(run: Run, into: Variable, pieces: readonly Piece[], width: number) {
  const [first] = pieces
  if (!first) return
  const params: Record<string, number> = {}
  let end = 0
  for (let k = 0; k < MOST; k++) {
    const piece = pieces[k]
    const size = piece ? sizeOf(piece.tensor.shape) / width : 0
    end += Math.ceil(size / GROUP)
    Object.assign(params, { [`end${k}`]: end, [`size${k}`]: size, [`to${k}`]: (piece?.offset ?? 0) / width })
  }
  run(collectKernel(width), {
    reads: Array.from({ length: MOST }, (_, k) => (pieces[k] ?? first).tensor),
    updates: [into],
    params,
    groups: elementwise(end * GROUP),
  })
}
