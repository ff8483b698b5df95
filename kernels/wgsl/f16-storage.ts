// Tensors saved for the backward pass as f16, in half the memory. Two f16s are packed into a u32,
// so that a device needs no f16 in its shaders.

import { type Run, type Tensor, elementwise, flatIndex, kernel, sizeOf, wgsl } from '../op.ts'

/** `packPair(pair) -> u32`: two numbers as f16, finite ones limited to +-65,504. Infinity and NaN
 *  stay; they are told by their bits, because min and max may hide NaN. */
const packPair = wgsl`
  fn packPair(pair: vec2f) -> u32 {
    let bits = bitcast<vec2u>(pair);
    let magnitudes = bits & vec2u(0x7fffffffu);
    let special = magnitudes >= vec2u(0x7f800000u);
    let nan = magnitudes > vec2u(0x7f800000u);
    let names = select(vec2u(0x7c00u), vec2u(0x7e00u), nan); // infinity, NaN
    let marks = select(vec2u(), names | ((bits >> vec2u(16u)) & vec2u(0x8000u)), special);
    let numbers = select(clamp(pair, vec2f(-65504.0), vec2f(65504.0)), vec2f(), special);
    return pack2x16float(numbers) | marks.x | (marks.y << 16u);
  }
`

const header = wgsl`
  struct Params { count: u32 }
  ${flatIndex}
`

const packKernel = kernel`
  ${header}
  @group(0) @binding(0) var<storage, read>       x:      array<f32>;
  @group(0) @binding(1) var<storage, read_write> packed: array<u32>;
  @group(0) @binding(2) var<uniform>             p:      Params;
  ${packPair}
  @compute @workgroup_size(64)
  fn packF16(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups) * 2u;
    if (i >= p.count) { return; }
    packed[i / 2u] = packPair(vec2f(x[i], x[min(i + 1u, p.count - 1u)]));
  }
`

const packFourKernel = kernel`
  ${header}
  @group(0) @binding(0) var<storage, read>       x:      array<vec4f>;
  @group(0) @binding(1) var<storage, read_write> packed: array<vec2u>;
  @group(0) @binding(2) var<uniform>             p:      Params;
  ${packPair}
  @compute @workgroup_size(64)
  fn packF16ByFour(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count / 4u) { return; }
    let four = x[i];
    packed[i] = vec2u(packPair(four.xy), packPair(four.zw));
  }
`

const unpackKernel = kernel`
  ${header}
  @group(0) @binding(0) var<storage, read>       packed: array<u32>;
  @group(0) @binding(1) var<storage, read_write> x:      array<f32>;
  @group(0) @binding(2) var<uniform>             p:      Params;
  @compute @workgroup_size(64)
  fn unpackF16(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups) * 2u;
    if (i >= p.count) { return; }
    let pair = unpack2x16float(packed[i / 2u]);
    x[i] = pair.x;
    if (i + 1u < p.count) { x[i + 1u] = pair.y; }
  }
`

const unpackFourKernel = kernel`
  ${header}
  @group(0) @binding(0) var<storage, read>       packed: array<vec2u>;
  @group(0) @binding(1) var<storage, read_write> x:      array<vec4f>;
  @group(0) @binding(2) var<uniform>             p:      Params;
  @compute @workgroup_size(64)
  fn unpackF16ByFour(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count / 4u) { return; }
    let four = packed[i];
    x[i] = vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
  }
`

/** Outputs that an op appends for its backward pass, which reads them with `loadSaved`: x as f16
 *  where `Run.activations` says so, else nothing, because the backward pass is given x itself. */
export const saveForBackward = (run: Run, x: Tensor): [] | [Tensor] =>
  run.activations === 'f16' ? [packF16(run, x)] : []

/** What `saveForBackward` saved, in f32, or x where it saved nothing. */
export const loadSaved = (run: Run, x: Tensor, saved: Tensor | undefined): Tensor =>
  saved ? unpackF16(run, saved) : x

/** x as f16, of the same shape: rounded to 11 bits and limited to +-65,504. Infinity and NaN
 *  stay. */
export function packF16(run: Run, x: Tensor): Tensor {
  const count = sizeOf(x.shape)
  const byFour = count % 4 === 0
  const [packed] = run(byFour ? packFourKernel : packKernel, {
    reads: [x],
    makes: [{ shape: x.shape, dtype: 'f16' }],
    params: { count },
    groups: elementwise(Math.ceil(count / (byFour ? 4 : 2))),
  })
  return packed
}

/** The f16 values as f32. */
export function unpackF16(run: Run, packed: Tensor): Tensor {
  const count = sizeOf(packed.shape)
  const byFour = count % 4 === 0
  const [x] = run(byFour ? unpackFourKernel : unpackKernel, {
    reads: [packed],
    makes: [packed.shape],
    params: { count },
    groups: elementwise(Math.ceil(count / (byFour ? 4 : 2))),
  })
  return x
}

/** `packFlagged(value, flags) -> vec2u`: four f32 as f16, the lowest mantissa bit of each used as a
 *  flag. `unpackFlagged` gives the values, `flagsOf` the flags. 10 bits of a value remain: the
 *  error is at most 2^-10 of it, or 2^-14 of values below 2^-14. */
export const flaggedF16 = wgsl`
  ${packPair}
  const flagBits = 0x00010001u;
  fn packFlagged(value: vec4f, flags: vec4<bool>) -> vec2u {
    let own = bitcast<vec4u>(value);
    let rounded = bitcast<vec4f>((own + 0x2000u) & vec4u(0xffffc000u)); // 9 bits of fraction; f16 holds 10
    let nearest = select(rounded, value, (own & vec4u(0x7fffffffu)) > vec4u(0x7f800000u)); // NaN stays
    let packed = vec2u(packPair(nearest.xy), packPair(nearest.zw)) & vec2u(~flagBits);
    let flag = select(vec4u(), vec4u(1u), flags);
    return packed | flag.xz | (flag.yw << vec2u(16u));
  }
  fn unpackFlagged(packed: vec2u) -> vec4f {
    let values = packed & vec2u(~flagBits);
    return vec4f(unpack2x16float(values.x), unpack2x16float(values.y));
  }
  fn flagsOf(packed: vec2u) -> vec4<bool> {
    return vec4<bool>((vec4u(packed.x, packed.x >> 16u, packed.y, packed.y >> 16u) & vec4u(1u)) == vec4u(1u));
  }
`
