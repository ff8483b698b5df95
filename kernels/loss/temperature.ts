// A temperature that learns. The kernels of losses divide similarities by a number. For a tensor T
// the unit rows u are scaled instead, y = u T^-p, and the loss is taken at 1:
//
//   y1·y2 = u1·u2 / T  for powers p that add up to 1
//   dx = T^-p (dy - (dy·u) u) / |x|,  dT = -1/T Σ_rows p T^-p dy·u
//
// So the kernels that compare rows stay as they are.

import {
  type Op,
  type Scalar,
  type Tensor,
  ShapeError,
  elementwise,
  flatIndex,
  kernel,
  matrix,
  show,
  wgsl,
} from '../op.ts'
import { checkTensor, isTensor } from '../options.ts'
import { lines } from '../wgsl/lines.ts'
import { unitRow } from '../wgsl/unit-row.ts'

/** A temperature above 0: a number, a function that returns the number of this step, or a tensor
 *  [], which gets a gradient. */
export type Temperature = Scalar | Tensor

const rowsOfBoth = wgsl`
  struct Params { N: u32, D: u32, rows: u32, normalized: u32, power1: f32, power2: f32 }
  @group(0) @binding(0) var<storage, read> z1: array<f32>; // [N, D]
  @group(0) @binding(1) var<storage, read> z2: array<f32>; // [N, D]
  @group(0) @binding(2) var<storage, read> T:  array<f32>; // []
  ${flatIndex}
  ${unitRow}
  fn given(row: u32, c: u32) -> f32 {
    if (row < p.N) { return z1[row * p.D + c]; }
    return z2[(row - p.N) * p.D + c];
  }
  fn lengthOf(row: u32) -> f32 {
    var square = 0.0;
    for (var c = 0u; c < p.D; c++) { square += given(row, c) * given(row, c); }
    return sqrt(square);
  }
  fn powerOf(row: u32) -> f32 { return select(p.power1, p.power2, row >= p.N); }
  fn factorOf(row: u32) -> f32 { // T^-power for 0, 1/2 and 1; NaN for a negative T
    let root = 1.0 / sqrt(T[0]);
    return select(select(root, root * root, powerOf(row) == 1.0), 1.0, powerOf(row) == 0.0);
  }
`

const scaleKernel = kernel`
  ${rowsOfBoth}
  @group(0) @binding(3) var<storage, read_write> y1: array<f32>; // [N, D]
  @group(0) @binding(4) var<storage, read_write> y2: array<f32>; // [N, D]
  @group(0) @binding(5) var<uniform>             p:  Params;
  @compute @workgroup_size(64)
  fn temperatureRows(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let row = flat(id, groups);
    if (row >= p.rows) { return; }
    let scale = unitScale(lengthOf(row), p.normalized == 1u) * factorOf(row);
    for (var c = 0u; c < p.D; c++) {
      let y = given(row, c) * scale;
      if (row < p.N) { y1[row * p.D + c] = y; } else { y2[(row - p.N) * p.D + c] = y; }
    }
  }
`

const backwardKernel = kernel`
  ${rowsOfBoth}
  @group(0) @binding(3) var<storage, read>       dy1:    array<f32>; // [N, D]
  @group(0) @binding(4) var<storage, read>       dy2:    array<f32>; // [N, D]
  @group(0) @binding(5) var<storage, read_write> dz1:    array<f32>; // [N, D]
  @group(0) @binding(6) var<storage, read_write> dz2:    array<f32>; // [N, D]
  @group(0) @binding(7) var<storage, read_write> slopes: array<f32>; // [rows], of T
  @group(0) @binding(8) var<uniform>             p:      Params;
  fn cotangent(row: u32, c: u32) -> f32 {
    if (row < p.N) { return dy1[row * p.D + c]; }
    return dy2[(row - p.N) * p.D + c];
  }
  @compute @workgroup_size(64)
  fn temperatureBackward(
    @builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u,
  ) {
    let row = flat(id, groups);
    if (row >= p.rows) { return; }
    let normalized = p.normalized == 1u;
    let length = lengthOf(row);
    let unit = unitScale(length, normalized);
    let factor = factorOf(row);
    let scale = unitGradientScale(length, normalized) * factor;
    var along = 0.0; // dy·u
    for (var c = 0u; c < p.D; c++) { along += cotangent(row, c) * given(row, c) * unit; }
    slopes[row] = -powerOf(row) * factor * along / T[0];
    let radial = select(along, 0.0, normalized);
    for (var c = 0u; c < p.D; c++) {
      let dz = (cotangent(row, c) - radial * given(row, c) * unit) * scale;
      if (row < p.N) { dz1[row * p.D + c] = dz; } else { dz2[(row - p.N) * p.D + c] = dz; }
    }
  }
`

const totalKernel = kernel`
  struct Params { rows: u32 }
  @group(0) @binding(0) var<storage, read>       slopes: array<f32>; // [rows]
  @group(0) @binding(1) var<storage, read_write> dT:     array<f32>; // []
  @group(0) @binding(2) var<uniform>             p:      Params;
  ${lines}
  @compute @workgroup_size(64)
  fn temperatureTotal(@builtin(local_invocation_index) lane: u32) {
    var own = 0.0;
    for (var row = lane; row < p.rows; row += 64u) { own += slopes[row]; }
    let total = lineSum(lane, own);
    if (lane == 0u) { dT[0] = total; }
  }
`

interface Attrs {
  readonly name: string
  readonly normalized: boolean
  /** The powers of 1 / T that the rows of z1 and of z2 get: 0, 1/2 or 1. */
  readonly powers: readonly [number, number]
}

const paramsOf = ({ normalized, powers }: Attrs, N: number, D: number) => ({
  ...{ N, D, normalized: Number(normalized), power1: powers[0], power2: powers[1] },
})

type Rows = [y1: Tensor, y2: Tensor]

const scaledRows: Op<[z1: Tensor, z2: Tensor, T: Tensor], Rows, Attrs> = {
  name: 'temperature',

  shape({ name }, z1, z2) {
    matrix(z1, `${name}: z1`)
    if (z1.join() !== z2.join())
      throw new ShapeError(`${name}: rows must have one shape, got ${show(z1)} and ${show(z2)}`)
    return z1
  },

  forward(run, attrs, z1, z2, T) {
    const [N, D] = matrix(z1.shape, attrs.name)
    return run(scaleKernel, {
      reads: [z1, z2, T],
      makes: [z1.shape, z2.shape],
      params: { ...paramsOf(attrs, N, D), rows: 2 * N },
      groups: elementwise(2 * N),
    })
  },

  backward(run, attrs, [dy1, dy2 = null], [z1, z2, T], _, needs) {
    const [N, D] = matrix(z1.shape, attrs.name)
    const rows = dy2 ? 2 * N : N // infoNce's keys get no gradient
    const [dz1, dz2, slopes] = run(backwardKernel, {
      reads: [z1, z2, T, dy1, dy2 ?? dy1],
      makes: [z1.shape, z2.shape, [rows]],
      params: { ...paramsOf(attrs, N, D), rows },
      groups: elementwise(rows),
    })
    const total = { reads: [slopes], makes: [[]], params: { rows }, groups: [1] } as const
    return [
      needs[0] ? dz1 : null,
      needs[1] && dy2 ? dz2 : null,
      needs[2] ? run(totalKernel, total)[0] : null,
    ]
  },
}

/** What a loss is given: rows, and the number or function that divides their similarities. */
interface Given {
  readonly temperature: Scalar
  readonly normalized: boolean
}

/** Computes a loss of rows z1 and z2 [N, D] at a temperature of any kind. A tensor goes into the
 *  rows by these powers, and `loss` gets unit rows and 1. Throws ShapeError unless a tensor is f32
 *  []. */
export function atTemperature(
  {
    name,
    powers = [0.5, 0.5],
    ...given
  }: Omit<Attrs, 'powers'> & {
    readonly powers?: Attrs['powers']
    readonly temperature: Temperature
  },
  [z1, z2]: readonly [Tensor, Tensor],
  loss: (attrs: Given, z1: Tensor, z2: Tensor) => Tensor,
): Tensor {
  const { temperature, normalized } = given
  if (!isTensor(temperature)) return loss({ temperature, normalized }, z1, z2)
  const { dtype, shape } = temperature
  if (shape.length > 0 || dtype !== 'f32')
    throw new ShapeError(
      `${name}: a temperature that is a tensor must be f32 [], got ${dtype} ${show(shape)}`,
    )
  for (const [what, z] of Object.entries({ z1, z2 })) checkTensor(name, what, z)
  const attrs = { name, normalized, powers }
  const [y1, y2] = z1.gpu.apply(scaledRows, attrs, [z1, z2, temperature])
  return loss({ temperature: 1, normalized: true }, y1, y2)
}
