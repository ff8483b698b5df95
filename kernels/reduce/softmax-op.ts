// The skeleton of softmax and its logarithm along an axis. Both take the largest number m and the
// sum of exp(x - m) of a line; they differ in what they make of the two.

import { type Op, type Tensor, type Wgsl, kernel, op, wgsl } from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { axisOf, linesOf } from '../wgsl/axes.ts'
import { linePrologue, lines, perLine, sumOverLine } from '../wgsl/lines.ts'
import { lowest } from '../wgsl/lowest.ts'

/** The formulas of one op, for an element e of a line. */
interface Formulas {
  /** What `y` needs of `total`, the sum of exp(x - m), once per line. */
  readonly norm: Wgsl
  /** y of `x[e]`, `m` and `norm`. */
  readonly y: Wgsl
  /** A term of the sum along the line that `dx` needs, of y and dy at `start + r * p.B`. */
  readonly term: Wgsl
  /** dx of `y[e]`, `dy[e]` and `along`, the sum of the terms. */
  readonly dx: Wgsl
}

const forwardKernel = (name: string, { norm, y }: Formulas) => kernel`
  struct Params { count: u32, R: u32, B: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>; // [A, R, B]
  @group(0) @binding(1) var<storage, read_write> y: array<f32>; // [A, R, B]
  @group(0) @binding(2) var<uniform>             p: Params;
  ${lines}
  ${lowest}
  @compute @workgroup_size(64)
  fn ${name as Wgsl}Forward(${groupEntry}) {
    ${linePrologue}
    var most = LOWEST;
    for (var r = lane; r < p.R; r += lanes) { most = max(most, x[start + r * p.B]); }
    let m = lineMax(thread, most);
    ${sumOverLine(wgsl`p.R`, wgsl`exp(x[start + r * p.B] - m)`)}
    let total = lineSum(thread, sum);
    let norm = ${norm};
    for (var r = lane; r < p.R; r += lanes) {
      let e = start + r * p.B;
      y[e] = ${y};
    }
  }
`

const backwardKernel = (name: string, { term, dx }: Formulas) => kernel`
  struct Params { count: u32, R: u32, B: u32 }
  @group(0) @binding(0) var<storage, read>       y:  array<f32>; // [A, R, B]
  @group(0) @binding(1) var<storage, read>       dy: array<f32>; // [A, R, B]
  @group(0) @binding(2) var<storage, read_write> dx: array<f32>; // [A, R, B]
  @group(0) @binding(3) var<uniform>             p:  Params;
  ${lines}
  @compute @workgroup_size(64)
  fn ${name as Wgsl}Backward(${groupEntry}) {
    ${linePrologue}
    ${sumOverLine(wgsl`p.R`, term)}
    let along = lineSum(thread, sum);
    for (var r = lane; r < p.R; r += lanes) {
      let e = start + r * p.B;
      dx[e] = ${dx};
    }
  }
`

/** Makes the op `name` of its formulas, callable on a tensor and an axis. */
export function overLines(name: string, formulas: Formulas) {
  const [forward, backward] = [forwardKernel(name, formulas), backwardKernel(name, formulas)]
  const sizes = (x: Tensor, axis: number) => {
    const [A, R, B] = linesOf(x.shape, axisOf(name, x.shape, axis))
    return { count: A * B, R, B }
  }
  const def: Op<[x: Tensor], [y: Tensor], { axis: number }> = {
    name,
    shape({ axis }, x) {
      axisOf(name, x, axis)
      return x
    },
    forward(run, { axis }, x) {
      const params = sizes(x, axis)
      const groups = perLine(run, params.count, params.R)
      return run(forward, { reads: [x], makes: [x.shape], params, ...groups })
    },
    backward(run, { axis }, [dy], [x], [y]) {
      const params = sizes(x, axis)
      const groups = perLine(run, params.count, params.R)
      return run(backward, { reads: [y, dy], makes: [x.shape], params, ...groups })
    },
  }
  const apply = op(def)
  return (x: Tensor, axis = -1) => apply({ axis }, x)
}
