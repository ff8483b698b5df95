// Selects one position of every image's map: y[n] = maps[n, positions[n]]. Positions are given or
// drawn.

import {
  type Op,
  type Scalar,
  type Tensor,
  ShapeError,
  dim,
  flatIndex,
  kernel,
  op,
  show,
  sizeOf,
} from '../op.ts'
import { asIntegers } from '../wgsl/indices.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { streamKey, threefry } from '../wgsl/threefry.ts'
import { checkOptions, checkTensor, isTensor, needed } from '../options.ts'
import { seedAndStep, seedRule } from '../seeds.ts'

const drawKernel = kernel`
  struct Params { count: u32, L: u32, each: u32, key0: u32, key1: u32, next0: u32, next1: u32 }
  @group(0) @binding(0) var<storage, read_write> positions: array<i32>; // [views, each]
  @group(0) @binding(1) var<uniform>             p:         Params;
  ${flatIndex}
  ${threefry}
  @compute @workgroup_size(64)
  fn drawPositions(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = flat(id, groups);
    if (n >= p.count) { return; }
    let first = n < p.each;
    let key = select(vec2u(p.next0, p.next1), vec2u(p.key0, p.key1), first);
    let u = uniform01(threefry(key, vec2u(select(n - p.each, n, first), 0u)).x);
    positions[n] = i32(min(u32(u * f32(p.L)), p.L - 1u));
  }
`

const selectKernel = kernel`
  struct Params { count: u32, L: u32, C: u32, nan: f32 }
  @group(0) @binding(0) var<storage, read>       maps:      array<f32>; // [N, L, C]
  @group(0) @binding(1) var<storage, read>       positions: array<i32>; // [N]
  @group(0) @binding(2) var<storage, read_write> y:         array<f32>; // [N, C]
  @group(0) @binding(3) var<uniform>             p:         Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn selectPosition(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let n = i / p.C;
    let position = positions[n];
    var value = p.nan;
    if (position >= 0 && position < i32(p.L)) { value = maps[(n * p.L + u32(position)) * p.C + i % p.C]; }
    y[i] = value;
  }
`

const backwardKernel = kernel`
  struct Params { count: u32, L: u32, C: u32 }
  @group(0) @binding(0) var<storage, read>       positions: array<i32>; // [N]
  @group(0) @binding(1) var<storage, read>       dy:        array<f32>; // [N, C]
  @group(0) @binding(2) var<storage, read_write> dmaps:     array<f32>; // [N, L, C]
  @group(0) @binding(3) var<uniform>             p:         Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn selectPositionBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let n = i / p.C / p.L;
    dmaps[i] = select(0.0, dy[n * p.C + i % p.C], positions[n] == i32(i / p.C % p.L));
  }
`

type Key = readonly [Scalar, Scalar]
type Inputs = [maps: Tensor, ...positions: [] | [Tensor]]

interface Attrs {
  /** Of each view's draws. */
  readonly keys: readonly Key[]
}

const selectOp: Op<Inputs, [y: Tensor, positions: Tensor], Attrs> = {
  name: 'selectPosition',
  accepts: ['f32', 'index'],

  shape({ keys }, maps, ...[positions]) {
    if (maps.length < 3 || sizeOf(maps) === 0)
      throw new ShapeError(
        `selectPosition: maps must be [N, ..., C] with at least one position, got ${show(maps)}`,
      )
    const N = dim(maps, 0)
    if (positions && (positions.length !== 1 || positions[0] !== N))
      throw new ShapeError(
        `selectPosition: needs one position per image, got ${show(positions)} for ${show(maps)}`,
      )
    if (!positions && N % keys.length !== 0)
      throw new ShapeError(
        `selectPosition: the views must have as many images each, got ${keys.length} views and maps ${show(maps)}`,
      )
    return [N, dim(maps, maps.length - 1)]
  },

  forward(run, { keys }, maps, ...[given]) {
    const [[key0, key1] = [0, 0], [next0, next1] = [0, 0]] = keys
    const [N, C] = [dim(maps.shape, 0), dim(maps.shape, maps.shape.length - 1)]
    const L = sizeOf(maps.shape) / (N * C)
    const drawn = given
      ? asIntegers(run, given)
      : perElement(
          run,
          drawKernel,
          { shape: [N], dtype: 'i32' },
          { params: { L, each: N / keys.length, key0, key1, next0, next1 } },
        )
    const params = { L, C, nan: NaN }
    return [perElement(run, selectKernel, [N, C], { reads: [maps, drawn], params }), drawn]
  },

  backward(run, _, [dy], [maps, given], [, positions]) {
    const params = { L: sizeOf(maps.shape) / sizeOf(dy.shape), C: dim(dy.shape, 1) }
    const dmaps = perElement(run, backwardKernel, maps.shape, { reads: [positions, dy], params })
    return given ? [dmaps, null] : [dmaps]
  },
}

const apply = op(selectOp)

const STREAM = 0x706c63 // 'plc': keeps these draws apart from other uses of the seed

/** How positions are drawn: that of a view's image n depends on (seed, step, view, n) alone. */
export interface PositionDraw {
  readonly seed: number
  /** In a captured step, `() => state.step`. */
  readonly step: Scalar
  /** The view's number; or those of two views, whose maps lie one behind the other. */
  readonly view: number | readonly [number, number]
}

const oneOrTwo = {
  words: `${seedRule.words}, or two of them`,
  fits: (v: unknown) =>
    seedRule.fits(v) || (Array.isArray(v) && v.length === 2 && v.every(seedRule.fits)),
}

/** Selects the features [N, C] at one position of each of the maps [N, ..., C]. Positions are [N]
 *  indices (i32 or f32; one outside the map gives NaN), or are drawn uniformly. The gradient goes
 *  to the selected positions. Throws ShapeError for maps without a position, and for other than one
 *  position per image. */
export function selectPosition(maps: Tensor, positions: Tensor | PositionDraw): Tensor {
  checkTensor('selectPosition', 'maps', maps)
  if (isTensor(positions)) return apply({ keys: [] }, maps, positions)
  const rules = { ...seedAndStep, view: needed(oneOrTwo) }
  const { seed, step, view } = checkOptions<PositionDraw>('selectPosition', positions ?? {}, rules)
  const views = typeof view === 'number' ? [view] : view
  const keyOf = (of: number) => streamKey(seed, STREAM, step, { of, owner: 'selectPosition' })
  return apply({ keys: views.map((one) => keyOf(one)) }, maps)
}
