// Gathers the gradients of many parameters into one flat buffer. Each is a tensor, or the sum of
// two. One dispatch takes seven tensors or three sums: every device allows eight storage buffers.
// Copy commands would end the compute pass, and each would wait for the one before.

import {
  type Kernel,
  type Run,
  type Tensor,
  type Variable,
  elementwise,
  flatIndex,
  kernel,
  sizeOf,
} from '../op.ts'
import { byWidth, widthOf } from '../wgsl/widths.ts'

const PARTS = 7
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
  @group(0) @binding(7) var<storage, read_write> whole: array<F>;
  @group(0) @binding(8) var<uniform>             p:     Params;
  ${flatIndex}
  // Each part has whole workgroups: those before its 'end' and not before the previous one's.
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

const PAIRS = 3

const sumsKernel = byWidth(
  (types) => kernel`
  struct Params {
    end0: u32, end1: u32, end2: u32, size0: u32, size1: u32, size2: u32, to0: u32, to1: u32, to2: u32,
  }
  ${types}
  @group(0) @binding(0) var<storage, read>       a0:    array<F>;
  @group(0) @binding(1) var<storage, read>       b0:    array<F>;
  @group(0) @binding(2) var<storage, read>       a1:    array<F>;
  @group(0) @binding(3) var<storage, read>       b1:    array<F>;
  @group(0) @binding(4) var<storage, read>       a2:    array<F>;
  @group(0) @binding(5) var<storage, read>       b2:    array<F>;
  @group(0) @binding(6) var<storage, read_write> whole: array<F>;
  @group(0) @binding(7) var<uniform>             p:     Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn collectSums(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    let group = i / 64u;
    if (group < p.end0) {
      if (i < p.size0) { whole[p.to0 + i] = a0[i] + b0[i]; }
    } else if (group < p.end1) {
      let at = i - p.end0 * 64u;
      if (at < p.size1) { whole[p.to1 + at] = a1[at] + b1[at]; }
    } else if (group < p.end2) {
      let at = i - p.end1 * 64u;
      if (at < p.size2) { whole[p.to2 + at] = a2[at] + b2[at]; }
    }
  }
`,
)

/** A gradient for the flat buffer. */
export interface Piece {
  /** One tensor, or two of one shape, which are added. */
  readonly tensors: readonly Tensor[]
  /** Offset in the flat buffer in elements, a multiple of 64. */
  readonly offset: number
}

/** Writes f32 tensors, or sums of two, at their offsets in `into`. */
export function collect(run: Run, into: Variable, pieces: readonly Piece[]) {
  for (const width of [4, 1])
    for (const [parts, most] of [
      [1, PARTS],
      [2, PAIRS],
    ] as const) {
      const alike = pieces.filter(
        ({ tensors }) => tensors.length === parts && widthOf(countOf(tensors)) === width,
      )
      for (let i = 0; i < alike.length; i += most) {
        const kernels = parts === 1 ? collectKernel : sumsKernel
        dispatch(run, into, alike.slice(i, i + most), { kernel: kernels(width), width, most })
      }
    }
}

const countOf = ([tensor]: readonly Tensor[]) => (tensor ? sizeOf(tensor.shape) : 0)

interface How {
  readonly kernel: Kernel
  readonly width: number
  /** Pieces per dispatch. */
  readonly most: number
}

function dispatch(
  run: Run,
  into: Variable,
  pieces: readonly Piece[],
  { kernel: program, width, most }: How,
) {
  const params: Record<string, number> = {}
  let end = 0
  for (let k = 0; k < most; k++) {
    const piece = pieces[k]
    const size = piece ? countOf(piece.tensors) / width : 0
    end += Math.ceil(size / GROUP)
    Object.assign(params, {
      [`end${k}`]: end,
      [`size${k}`]: size,
      [`to${k}`]: (piece?.offset ?? 0) / width,
    })
  }
  const filled = Array.from({ length: most }, (_, k) => pieces[k] ?? pieces[0])
  const reads = filled.flatMap((piece) => piece?.tensors ?? [])
  run(program, { reads, updates: [into], params, groups: elementwise(end * GROUP) })
}
