// One place of every image's map: y[n] = maps[n, place[n]], the place given or drawn.

import {
  type Op,
  type Scalar,
  type Tensor,
  ShapeError,
  dim,
  elementwise,
  flatIndex,
  kernel,
  op,
  show,
  sizeOf,
} from '../op.ts'
import { asIntegers } from '../wgsl/indices.ts'
import { streamKey, threefry } from '../wgsl/threefry.ts'
import { checkOptions, checkTensor, isTensor, needed, scalar, whole } from '../options.ts'

const drawKernel = kernel`
  struct Params { N: u32, L: u32, key0: u32, key1: u32 }
  @group(0) @binding(0) var<storage, read_write> places: array<i32>; // [N]
  @group(0) @binding(1) var<uniform>             p:      Params;
  ${flatIndex}
  ${threefry}
  @compute @workgroup_size(64)
  fn drawPlaces(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = flat(id, groups);
    if (n >= p.N) { return; }
    let u = uniform01(threefry(vec2u(p.key0, p.key1), vec2u(n, 0u)).x);
    places[n] = i32(min(u32(u * f32(p.L)), p.L - 1u));
  }
`

const pickKernel = kernel`
  struct Params { count: u32, L: u32, C: u32, nan: f32 }
  @group(0) @binding(0) var<storage, read>       maps:   array<f32>; // [N, L, C]
  @group(0) @binding(1) var<storage, read>       places: array<i32>; // [N]
  @group(0) @binding(2) var<storage, read_write> y:      array<f32>; // [N, C]
  @group(0) @binding(3) var<uniform>             p:      Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn pickPlace(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let n = i / p.C;
    let place = places[n];
    var value = p.nan;
    if (place >= 0 && place < i32(p.L)) { value = maps[(n * p.L + u32(place)) * p.C + i % p.C]; }
    y[i] = value;
  }
`

const backwardKernel = kernel`
  struct Params { count: u32, L: u32, C: u32 }
  @group(0) @binding(0) var<storage, read>       places: array<i32>; // [N]
  @group(0) @binding(1) var<storage, read>       dy:     array<f32>; // [N, C]
  @group(0) @binding(2) var<storage, read_write> dmaps:  array<f32>; // [N, L, C]
  @group(0) @binding(3) var<uniform>             p:      Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn pickPlaceBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let n = i / p.C / p.L;
    dmaps[i] = select(0.0, dy[n * p.C + i % p.C], places[n] == i32(i / p.C % p.L));
  }
`

type Key = readonly [Scalar, Scalar]
type Inputs = [maps: Tensor, ...places: [] | [Tensor]]

const pickOp: Op<Inputs, [y: Tensor, places: Tensor], { key: Key }> = {
  name: 'pickPlace',
  accepts: ['f32', 'index'],

  shape(_, maps, ...[places]) {
    if (maps.length < 3 || sizeOf(maps) === 0)
      throw new ShapeError(`pickPlace: maps must be [N, ..., C] with a place at least, got ${show(maps)}`)
    const N = dim(maps, 0)
    if (places && (places.length !== 1 || places[0] !== N))
      throw new ShapeError(`pickPlace: needs one place per image, got ${show(places)} for ${show(maps)}`)
    return [N, dim(maps, maps.length - 1)]
  },

  forward(run, { key: [key0, key1] }, maps, ...[given]) {
    const [N, C] = [dim(maps.shape, 0), dim(maps.shape, maps.shape.length - 1)]
    const L = sizeOf(maps.shape) / (N * C)
    const [drawn] = given
      ? [asIntegers(run, given)]
      : run(drawKernel, {
          makes: [{ shape: [N], dtype: 'i32' }],
          params: { N, L, key0, key1 },
          groups: elementwise(N),
        })
    const [y] = run(pickKernel, {
      reads: [maps, drawn],
      makes: [[N, C]],
      params: { count: N * C, L, C, nan: NaN },
      groups: elementwise(N * C),
    })
    return [y, drawn]
  },

  backward(run, _, [dy], [maps, given], [, places]) {
    const count = sizeOf(maps.shape)
    const C = dim(dy.shape, 1)
    const [dmaps] = run(backwardKernel, {
      reads: [places, dy],
      makes: [maps.shape],
      params: { count, L: count / sizeOf(dy.shape), C },
      groups: elementwise(count),
    })
    return given ? [dmaps, null] : [dmaps]
  },
}

const apply = op(pickOp)

const STREAM = 0x706c63 // 'plc': keeps these draws apart from other uses of the seed

/** Which places are drawn: image n's depends on (seed, step, view, n) alone. */
export interface Draw {
  readonly seed: number
  /** In a captured step, `() => state.step`. */
  readonly step: Scalar
  readonly view: number
}

/** One place's features [N, C] of each of the maps [N, ..., C]: at places [N] (indices i32 or f32; one that is no place gives NaN),
 *  or drawn uniformly. The gradient goes to those places. Throws ShapeError. */
export function pickPlace(maps: Tensor, places: Tensor | Draw): Tensor {
  checkTensor('pickPlace', 'maps', maps)
  if (isTensor(places)) return apply({ key: [0, 0] }, maps, places)
  const rules = { seed: needed(whole), step: needed(scalar), view: needed(whole) }
  const { seed, step, view } = checkOptions<Draw>('pickPlace', places ?? {}, rules)
  return apply({ key: streamKey(seed, STREAM, step, view) }, maps)
}
