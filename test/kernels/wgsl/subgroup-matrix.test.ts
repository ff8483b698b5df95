import * as assert from 'uvu/assert'
import { type Tensor, kernel, wgsl } from '../../../kernels/op.ts'
import { type Matrices, split } from '../../../kernels/wgsl/subgroup-matrix.ts'
import { tensorCores } from '../../../kernels/wgsl/tensor-cores.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import type { Kernel, Wgsl } from '../../../kernels/op.ts'
import { close, random } from '../../fixtures/check.ts'
import { emulation } from '../../../kernels/devices/emulated-matrices.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { needing } from '../../fixtures/needing.ts'
import { nullGpu } from '../../fixtures/null-gpu.ts'

const test = gpuSuite('subgroup matrices')
const onF16 = needing('shader-f16', test)

/** Four subgroups, each with a 16 x 16 product of its own of a [4, 16, 16] and b [4, 16, 16], which
 *  lie as given. */
const product =
  (load: Wgsl) =>
  ({ head, thread, begin, factors, spill, store }: Matrices) =>
    kernel`
      ${head}
      @group(0) @binding(0) var<storage, read>       a:    array<vec4f>;
      @group(0) @binding(1) var<storage, read>       b:    array<vec4f>;
      @group(0) @binding(2) var<storage, read_write> y:    array<vec4f>; // [4, 16, 16], row by row
      @group(0) @binding(3) var<storage, read_write> more: array<f32>;   // the same, spilled
      var<workgroup> staged: array<vec4<f16>, 1024>;
      var<workgroup> spilled: array<f32, 1024>;
      ${factors}
      ${split}
      ${spill}
      ${store}
      @compute @workgroup_size(128)
      fn product(${thread}) {
        ${begin}
        for (var i = 0u; i < 2u; i++) {
          let e = thread + i * 128u;
          staged[e] = high(a[e]);
          staged[e + 256u] = high(b[e]);
          staged[e + 512u] = low(a[e]);
          staged[e + 768u] = low(b[e]);
        }
        workgroupBarrier();
        ${load}
        store(subgroup * 64u, sums, 4u);
        spill(subgroup * 256u, scaled(sums, 2.0), 16u);
        workgroupBarrier();
        for (var i = 0u; i < 8u; i++) { more[thread + i * 128u] = spilled[thread + i * 128u]; }
      }
    `

const rows = product(wgsl`
  let sums = multiplyAdd(leftByRows(subgroup * 64u, 4u), rightByRows(256u + subgroup * 64u, 4u), Sums());
`)
const columns = product(wgsl`
  let sums = multiplyAdd(leftByColumns(subgroup * 64u, 4u), rightByColumns(256u + subgroup * 64u, 4u), Sums());
`)
const exact = product(wgsl`
  let sums = multiplyAddSplit(
    leftByRows(subgroup * 64u, 4u), leftByRows(512u + subgroup * 64u, 4u),
    rightByRows(256u + subgroup * 64u, 4u), rightByRows(768u + subgroup * 64u, 4u), Sums(),
  );
`)

function multiply({ run }: Gpu, by: Kernel, a: Tensor, b: Tensor) {
  const shape = [4, 16, 16]
  return run(by, { reads: [a, b], makes: [shape, shape], groups: [1] })
}

const at = (x: readonly number[], subgroup: number, i: number, j: number, transposed: boolean) =>
  x[subgroup * 256 + (transposed ? j * 16 + i : i * 16 + j)] ?? NaN

function reference(a: readonly number[], b: readonly number[], transposed: boolean): number[] {
  return Array.from({ length: 1024 }, (_, e) => {
    const [subgroup, m, n] = [e >> 8, (e >> 4) & 15, e & 15]
    let sum = 0
    for (let k = 0; k < 16; k++)
      sum += at(a, subgroup, m, k, transposed) * at(b, subgroup, k, n, transposed)
    return sum
  })
}

const [left, right] = [random(1024, 1), random(1024, 2)]

for (const [name, by, transposed, tolerance] of [
  ['by rows', rows, false, 16 * 2 ** -10], // 16 products below 1, each factor rounded to 11 bits
  ['by columns', columns, true, 16 * 2 ** -10],
  ['in f16x3', exact, false, 16 * 2 ** -22], // what is dropped of 16 products is 2^-22 of each, and f32 rounds
] as const)
  onF16(`the emulation multiplies matrices loaded ${name}`, async ({ gpu }) => {
    const [a, b] = [gpu.tensor(left, [1024]), gpu.tensor(right, [1024])]
    const [y, more] = multiply(gpu, by(emulation), a, b)
    const expected = reference(left, right, transposed)
    close(await gpu.read(y), expected, tolerance, 'y')
    close(
      await gpu.read(more),
      expected.map((v) => v * 2),
      tolerance * 2,
      'spilled',
    )
  })

onF16('f16x3 keeps what f16 has no normal numbers for', async ({ gpu }) => {
  const small = left.map((v) => v * 2 ** -16)
  const [y] = multiply(gpu, exact(emulation), gpu.tensor(small, [1024]), gpu.tensor(right, [1024]))
  const got = await gpu.read(y)
  // of each of 16 products: 2^-36 of what lies below 2^-14, and 2^-20 of numbers below 2^-16 (f32's
  // roundings with it)
  close(got, reference(small, right, false), 16 * (2 ** -36 + 2 ** -36), 'y')
})

test('the same kernels compile with real subgroup matrices', async () => {
  const nothing = await nullGpu()
  const [a, b] = [nothing.tensor(left, [1024]), nothing.tensor(right, [1024])]
  for (const by of [rows, columns, exact]) {
    const real = by(tensorCores(false))
    assert.match(real.source, /enable chromium_experimental_subgroup_matrix/)
    multiply(nothing, real, a, b)
  }
  await nothing.sync()
  nothing.destroy()
})

test.run()
