// Gathers the gradients of many parameters into one flat buffer. Each is a tensor, or the sum of
// two. One dispatch takes seven tensors or three sums: every device allows eight storage buffers.
// Copy commands would end the compute pass, and each would wait for the one before.

import {
  type Kernel,
  type Run,
  type Tensor,
  type Variable,
  type Wgsl,
  elementwise,
  flatIndex,
  kernel,
  sizeOf,
  wgsl,
} from '../op.ts'
import { byWidth, widthOf } from '../wgsl/widths.ts'

const GROUP = 64 // threads, each with one or four numbers

/** The kernel that writes `most` pieces. A piece k is one of `tensors` or their sum, named a0 to
 *  a6, or a0 and b0 to a2 and b2. It has whole workgroups: those before its `end` and not before
 *  the previous one's. */
function collectKernel(name: Wgsl, most: number, tensors: readonly string[]) {
  const pieces = Array.from({ length: most }, (_, k) => k)
  const members = ['end', 'size', 'to'].flatMap((word) => pieces.map((k) => `${word}${k}: u32`))
  const bindings = pieces
    .flatMap((k) => tensors.map((tensor) => `${tensor}${k}`))
    .map((part, i) => `@group(0) @binding(${i}) var<storage, read> ${part}: array<F>;`)
  const copies = pieces.map(
    (k) => `if (group < p.end${k}) {
      let at = ${k === 0 ? 'i' : `i - p.end${k - 1} * 64u`};
      if (at < p.size${k}) { whole[p.to${k} + at] = ${tensors.map((t) => `${t}${k}[at]`).join(' + ')}; }
    }`,
  )
  const last = bindings.length
  return byWidth(
    (types) => kernel`
  struct Params { ${members.join(', ') as Wgsl} }
  ${types}
  ${bindings.join('\n  ') as Wgsl}
  @group(0) @binding(${`${last}` as Wgsl}) var<storage, read_write> whole: array<F>;
  @group(0) @binding(${`${last + 1}` as Wgsl}) var<uniform> p: Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn ${name}(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    let group = i / 64u;
    ${copies.join(' else ') as Wgsl}
  }
`,
  )
}

/** For pieces of one tensor and of two: pieces per dispatch, and the kernel. */
const kinds = [
  { tensors: 1, most: 7, kernelFor: collectKernel(wgsl`collect`, 7, ['a']) },
  { tensors: 2, most: 3, kernelFor: collectKernel(wgsl`collectSums`, 3, ['a', 'b']) },
]

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
    for (const kind of kinds) {
      const alike = pieces.filter(
        ({ tensors }) => tensors.length === kind.tensors && widthOf(countOf(tensors)) === width,
      )
      const how = { kernel: kind.kernelFor(width), width, most: kind.most }
      for (let i = 0; i < alike.length; i += kind.most)
        dispatch(run, into, alike.slice(i, i + kind.most), how)
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
