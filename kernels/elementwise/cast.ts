// Numbers of one element type as another. u8s lie four in a word, so a thread converts four
// numbers.

import {
  type DType,
  type Kernel,
  type Op,
  type Tensor,
  type Wgsl,
  elementwise,
  flatIndex,
  kernel,
  op,
  sizeOf,
  wgsl,
} from '../op.ts'
import { checkTensor, checkValue, oneOf } from '../options.ts'

/** An element type that numbers can be converted to. */
export type Castable = Exclude<DType, 'f16'>

interface Type {
  /** The element of the buffer, and `load(i)` and `store(i, four)` of the numbers 4 i to 4 i +
   *  3. */
  readonly element: Wgsl
  readonly load: Wgsl
  readonly store: Wgsl
  /** The type of `load`'s four numbers. */
  readonly four: Wgsl
}

const oneByOne = (four: Wgsl) => ({
  load: wgsl`
    fn load(i: u32) -> ${four} {
      var numbers = ${four}();
      for (var e = 0u; e < 4u; e++) {
        if (4u * i + e < p.count) { numbers[e] = x[4u * i + e]; }
      }
      return numbers;
    }`,
  store: wgsl`
    fn store(i: u32, numbers: ${four}) {
      for (var e = 0u; e < 4u; e++) {
        if (4u * i + e < p.count) { y[4u * i + e] = numbers[e]; }
      }
    }`,
  four,
})

const types: Readonly<Record<Castable, Type>> = {
  f32: { element: wgsl`f32`, ...oneByOne(wgsl`vec4f`) },
  i32: { element: wgsl`i32`, ...oneByOne(wgsl`vec4i`) },
  u8: {
    element: wgsl`u32`,
    load: wgsl`fn load(i: u32) -> vec4u { return (vec4u(x[i]) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u); }`,
    store: wgsl`
    fn store(i: u32, numbers: vec4u) {
      let bytes = numbers << vec4u(0u, 8u, 16u, 24u);
      y[i] = bytes.x | bytes.y | bytes.z | bytes.w;
    }`,
    four: wgsl`vec4u`,
  },
}

// To integers: toward zero, to the nearest that the type has, and 0 for NaN, by its bits.
const wholes = wgsl`
  fn wholes(v: vec4f, least: f32, most: f32) -> vec4f {
    let nan = (bitcast<vec4u>(v) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
    return select(clamp(trunc(v), vec4f(least), vec4f(most)), vec4f(), nan);
  }
`

/** WGSL that converts `four` from one type to another. */
const conversions: Readonly<Record<Castable, Readonly<Record<Castable, Wgsl>>>> = {
  f32: {
    f32: wgsl`four`,
    // 2^31 is no i32, and the f32 below it is 2^31 - 128.
    i32: wgsl`select(vec4i(wholes(four, -0x1p+31, 0x1.fffffep+30)), vec4i(0x7fffffff), four >= vec4f(0x1p+31))`,
    u8: wgsl`vec4u(wholes(four, 0.0, 255.0))`,
  },
  i32: {
    f32: wgsl`vec4f(four)`,
    i32: wgsl`four`,
    u8: wgsl`vec4u(clamp(four, vec4i(0), vec4i(255)))`,
  },
  u8: { f32: wgsl`vec4f(four)`, i32: wgsl`vec4i(four)`, u8: wgsl`four` },
}

const kernelOf = (from: Castable, to: Castable): Kernel => kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<${types[from].element}>;
  @group(0) @binding(1) var<storage, read_write> y: array<${types[to].element}>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${from === 'f32' && to !== 'f32' ? wholes : wgsl``}
  ${types[from].load}
  ${types[to].store}
  @compute @workgroup_size(64)
  fn convertNumbers(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (4u * i >= p.count) { return; }
    let four = load(i);
    store(i, ${conversions[from][to]});
  }
`

/** A constant: numbers of another type carry no gradient. */
function castOp(from: Castable, to: Castable): (x: Tensor) => Tensor {
  const program = kernelOf(from, to)
  const def: Op<[x: Tensor]> = {
    name: 'cast',
    accepts: [from],
    shape: (_, x) => x,
    forward(run, _, x) {
      const count = sizeOf(x.shape)
      return run(program, {
        reads: [x],
        makes: [{ shape: x.shape, dtype: to }],
        params: { count },
        groups: elementwise(Math.ceil(count / 4)),
      })
    },
  }
  const apply = op(def)
  return (x) => apply({}, x)
}

const dtypes: readonly Castable[] = ['f32', 'i32', 'u8']
const ops = new Map(
  dtypes.flatMap((from) => dtypes.map((to) => [`${from} ${to}`, castOp(from, to)] as const)),
)

/** x as f32, i32 or u8; x itself if it is that already. Numbers become whole toward zero, as in
 *  PyTorch's `to`. Those that the type does not have become the nearest that it has, and NaN 0
 *  (PyTorch leaves them open). i32s beyond 2^24 are rounded. The result is a constant: it carries
 *  no gradient. */
export function cast(x: Tensor, dtype: Castable): Tensor {
  checkTensor('cast', 'x', x)
  checkValue('cast', 'dtype', dtype, oneOf(...dtypes))
  if (x.dtype === dtype) return x
  return (ops.get(`${x.dtype === 'f16' ? 'f32' : x.dtype} ${dtype}`) ?? ((given) => given))(x)
}
