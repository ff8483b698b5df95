// Draws rows uniformly with replacement, by Threefry: draw i is a pure function of (seed, step, i).

import { type Op, type Scalar, type Tensor, dim, flatIndex, kernel, matrix } from '../op.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { streamKey, threefry, threefry2x32 } from '../wgsl/threefry.ts'
import { checkOptions, checkTensor } from '../options.ts'
import { seedAndStep } from '../seeds.ts'

const STREAM = 0xba4c // keeps these draws apart from other uses of the seed

// row = floor(bits rows / 2^32), computed in two halves of 16 bits since WGSL has no 64-bit
// product. Its bias is below rows / 2^32.
const drawKernel = kernel`
  struct Params { count: u32, key0: u32, key1: u32, rows: u32, C: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>; // [rows, C]
  @group(0) @binding(1) var<storage, read_write> y: array<f32>; // [K, C]
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${threefry}
  @compute @workgroup_size(64)
  fn drawRows(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let e = flat(id, groups);
    if (e >= p.count) { return; }
    let bits = threefry(vec2u(p.key0, p.key1), vec2u(e / p.C, 0u)).x;
    let low = (bits & 0xffffu) * (p.rows & 0xffffu);
    let middle = (bits >> 16u) * (p.rows & 0xffffu) + (low >> 16u);
    let other = (bits & 0xffffu) * (p.rows >> 16u) + (middle & 0xffffu);
    let row = (bits >> 16u) * (p.rows >> 16u) + (middle >> 16u) + (other >> 16u);
    y[e] = x[row * p.C + e % p.C];
  }
`

interface Attrs {
  readonly count: number
  readonly seed: number
  readonly step: Scalar
}

const drawOp: Op<[x: Tensor], [Tensor], Attrs> = {
  name: 'drawRows',
  shape({ count }, x) {
    const [rows, C] = matrix(x, 'drawRows: x')
    if (!Number.isInteger(count) || count < 1 || rows === 0)
      throw new RangeError(
        `drawRows: needs a row, and a count from 1 on, got ${count} of ${rows} rows`,
      )
    return [count, C]
  },
  forward(run, { count: K, seed, step }, x) {
    const [rows, C] = [dim(x.shape, 0), dim(x.shape, 1)]
    const [key0, key1] = streamKey(seed, STREAM, step, { owner: 'drawRows' })
    return [perElement(run, drawKernel, [K, C], { reads: [x], params: { key0, key1, rows, C } })]
  },
}

/** Draws `count` rows of x [n, C], each uniformly from all of them -> [count, C]. They depend on
 *  (seed, step) and n alone. Carries no gradient. Throws ShapeError, and RangeError for a count
 *  below 1. */
export const drawRows = (
  x: Tensor,
  count: number,
  at: { readonly seed: number; readonly step: Scalar },
): Tensor => {
  checkTensor('drawRows', 'x', x)
  const draw = checkOptions('drawRows', at ?? {}, { ...seedAndStep })
  return x.gpu.apply(drawOp, { count, ...draw }, [x])[0]
}

/** Computes on the CPU which of n rows `drawRows` draws. Exported for its test. */
export function drawnRows(
  n: number,
  count: number,
  { seed, step }: { readonly seed: number; readonly step: number },
): number[] {
  const key = threefry2x32([seed, STREAM], [step, 0])
  return Array.from({ length: count }, (_, i) =>
    Math.floor((threefry2x32(key, [i, 0])[0] * n) / 2 ** 32),
  )
}
