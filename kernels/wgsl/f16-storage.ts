// What a backward pass can do with in halves, the 16-bit floats of IEEE 754, at half the memory. They are packed in words, two
// to each, so that a device needs no f16 in its shaders.

import { type Run, type Tensor, elementwise, flatIndex, kernel, sizeOf, wgsl } from '../op.ts'

/** `half2(pair)`: two numbers as halves in a word, +-65,504 for finite ones that are larger. Infinity
 *  and NaN, which min and max may hide, stay what they are. */
const half2 = wgsl`
  fn half2(pair: vec2f) -> u32 {
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
  @group(0) @binding(1) var<storage, read_write> halves: array<u32>;
  @group(0) @binding(2) var<uniform>             p:      Params;
  ${half2}
  @compute @workgroup_size(64)
  fn packHalves(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups) * 2u;
    if (i >= p.count) { return; }
    halves[i / 2u] = half2(vec2f(x[i], x[min(i + 1u, p.count - 1u)]));
  }
`

const packFourKernel = kernel`
  ${header}
  @group(0) @binding(0) var<storage, read>       x:      array<vec4f>;
  @group(0) @binding(1) var<storage, read_write> halves: array<vec2u>;
  @group(0) @binding(2) var<uniform>             p:      Params;
  ${half2}
  @compute @workgroup_size(64)
  fn packHalvesByFour(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count / 4u) { return; }
    let four = x[i];
    halves[i] = vec2u(half2(four.xy), half2(four.zw));
  }
`

const unpackKernel = kernel`
  ${header}
  @group(0) @binding(0) var<storage, read>       halves: array<u32>;
  @group(0) @binding(1) var<storage, read_write> x:      array<f32>;
  @group(0) @binding(2) var<uniform>             p:      Params;
  @compute @workgroup_size(64)
  fn unpackHalves(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups) * 2u;
    if (i >= p.count) { return; }
    let pair = unpack2x16float(halves[i / 2u]);
    x[i] = pair.x;
    if (i + 1u < p.count) { x[i + 1u] = pair.y; }
  }
`

const unpackFourKernel = kernel`
  ${header}
  @group(0) @binding(0) var<storage, read>       halves: array<vec2u>;
  @group(0) @binding(1) var<storage, read_write> x:      array<vec4f>;
  @group(0) @binding(2) var<uniform>             p:      Params;
  @compute @workgroup_size(64)
  fn unpackHalvesByFour(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count / 4u) { return; }
    let four = halves[i];
    x[i] = vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
  }
`

/** What an op returns of x for its backward pass to find with `recalled`: halves, or nothing where it can have x itself. */
export const remembered = (run: Run, x: Tensor): [] | [Tensor] =>
  run.activations === 'f16' ? [toHalves(run, x)] : []

/** x, or what halves remember of it. */
export const recalled = (run: Run, x: Tensor, halves: Tensor | undefined): Tensor =>
  halves ? fromHalves(run, halves) : x

/** x in halves, of the same shape: rounded to 11 bits, and to +-65,504 beyond. Infinity and NaN
 *  stay. */
export function toHalves(run: Run, x: Tensor): Tensor {
  const count = sizeOf(x.shape)
  const byFour = count % 4 === 0
  const [halves] = run(byFour ? packFourKernel : packKernel, {
    reads: [x],
    makes: [{ shape: x.shape, dtype: 'f16' }],
    params: { count },
    groups: elementwise(Math.ceil(count / (byFour ? 4 : 2))),
  })
  return halves
}

/** The halves' values in f32. */
export function fromHalves(run: Run, halves: Tensor): Tensor {
  const count = sizeOf(halves.shape)
  const byFour = count % 4 === 0
  const [x] = run(byFour ? unpackFourKernel : unpackKernel, {
    reads: [halves],
    makes: [halves.shape],
    params: { count },
    groups: elementwise(Math.ceil(count / (byFour ? 4 : 2))),
  })
  return x
}

/** Numbers by fours in halves whose last bit tells something else: `keep(value, bits)` and, of what it gives, `kept` and
 *  `bitsOf`. That leaves 10 bits to a value: 2^-10 of it is lost at most, or 2^-14 of numbers below that. */
export const flaggedHalves = wgsl`
  ${half2}
  const flags = 0x00010001u;
  fn keep(value: vec4f, bits: vec4<bool>) -> vec2u {
    let own = bitcast<vec4u>(value);
    let rounded = bitcast<vec4f>((own + 0x2000u) & vec4u(0xffffc000u)); // 9 bits of fraction, where halves hold 10
    let nearest = select(rounded, value, (own & vec4u(0x7fffffffu)) > vec4u(0x7f800000u)); // NaN as it is
    let halves = vec2u(half2(nearest.xy), half2(nearest.zw)) & vec2u(~flags);
    let flag = select(vec4u(), vec4u(1u), bits);
    return halves | flag.xz | (flag.yw << vec2u(16u));
  }
  fn kept(halves: vec2u) -> vec4f {
    let values = halves & vec2u(~flags);
    return vec4f(unpack2x16float(values.x), unpack2x16float(values.y));
  }
  fn bitsOf(halves: vec2u) -> vec4<bool> {
    return vec4<bool>((vec4u(halves.x, halves.x >> 16u, halves.y, halves.y >> 16u) & vec4u(1u)) == vec4u(1u));
  }
`
