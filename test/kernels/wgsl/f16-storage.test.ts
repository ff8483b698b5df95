// Tests f16 values packed in words, with and without flags in their low bits.

import * as assert from 'uvu/assert'
import { flaggedF16, unpackF16, packF16 } from '../../../kernels/wgsl/f16-storage.ts'
import { kernel } from '../../../kernels/op.ts'
import { random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('f16 storage')

test('packed f16 holds 11 bits, for odd counts too', async ({ gpu }) => {
  for (const count of [1, 2, 3, 4, 255, 256, 1028]) {
    const x = random(count, count).map((v, i) => Math.fround(v * 10 ** ((i % 7) - 3)))
    const got = await gpu.read(unpackF16(gpu.run, packF16(gpu.run, gpu.tensor(x, [count]))))
    for (const [i, v] of x.entries()) {
      const error = Math.abs((got[i] ?? NaN) - v)
      assert.ok(error <= 2 ** -10 * Math.abs(v) + 2 ** -24, `${v} became ${got[i]}`) // rounded to nearest or toward 0
    }
  }
})

test('numbers too large for f16 become its largest', async ({ gpu }) => {
  const x = gpu.tensor([65504, 65536, 1e30, -7e4], [2, 2])
  assert.equal(
    [...(await gpu.read(unpackF16(gpu.run, packF16(gpu.run, x))))],
    [65504, 65504, 65504, -65504],
  )
})

test('infinity stays infinite in f16, flagged too', async ({ gpu }) => {
  const x = gpu.tensor([Infinity, 1, -Infinity, 65504], [1, 4])
  assert.equal(
    [...(await gpu.read(unpackF16(gpu.run, packF16(gpu.run, x))))],
    [Infinity, 1, -Infinity, 65504],
  )
  const [y] = gpu.run(flagKernel, {
    reads: [x],
    makes: [
      [1, 4],
      [1, 4],
    ],
    groups: [1],
  })
  assert.equal([...(await gpu.read(y))].slice(0, 3), [Infinity, 1, -Infinity])
})

test('NaN stays NaN in f16, flagged too, whatever its bits', async ({ gpu }) => {
  for (const bits of [0x7fc00000, 0x7fffffff, 0xffffffff, 0x7f800001]) {
    const x = new Float32Array([1, NaN, 2, 3])
    new Uint32Array(x.buffer)[1] = bits
    const expected = [1, NaN, 2, 3].map(String)
    for (const shape of [[4], [1, 4]]) {
      const got = await gpu.read(unpackF16(gpu.run, packF16(gpu.run, gpu.tensor(x, shape))))
      assert.equal(Array.from(got, String), expected)
    }
    const odd = unpackF16(gpu.run, packF16(gpu.run, gpu.tensor(x.slice(0, 3), [3])))
    assert.equal(Array.from(await gpu.read(odd), String), expected.slice(0, 3))
    const [y] = gpu.run(flagKernel, {
      reads: [gpu.tensor(x, [1, 4])],
      makes: [
        [1, 4],
        [1, 4],
      ],
      groups: [1],
    })
    assert.equal(Array.from(await gpu.read(y), String), expected)
  }
})

const flagKernel = kernel`
  @group(0) @binding(0) var<storage, read>       x:    array<vec4f>;
  @group(0) @binding(1) var<storage, read_write> y:    array<vec4f>;
  @group(0) @binding(2) var<storage, read_write> bits: array<vec4f>;
  ${flaggedF16}
  @compute @workgroup_size(1)
  fn flag(@builtin(workgroup_id) id: vec3u) {
    let packed = packFlagged(x[id.x], vec4<bool>((vec4u(id.x) >> vec4u(0u, 1u, 2u, 3u)) % vec4u(2u) == vec4u(1u)));
    y[id.x] = unpackFlagged(packed);
    bits[id.x] = select(vec4f(), vec4f(1.0), flagsOf(packed));
  }
`

test('flagged f16 holds 10 bits and any flags', async ({ gpu }) => {
  const x = random(256, 5).map((v, i) => Math.fround(v * 200 * 10 ** -(2 * (i % 5))))
  const [y, bits] = gpu.run(flagKernel, {
    reads: [gpu.tensor(x, [64, 4])],
    makes: [
      [64, 4],
      [64, 4],
    ],
    groups: [64],
  })
  const got = await gpu.read(y)
  for (const [i, v] of x.entries())
    assert.ok(
      Math.abs((got[i] ?? NaN) - v) <= Math.max(2 ** -10 * Math.abs(v), 2 ** -23),
      `${v} became ${got[i]}`,
    )
  const flags = Array.from({ length: 256 }, (_, i) => (Math.floor(i / 4) >> (i % 4)) & 1)
  assert.equal([...(await gpu.read(bits))], flags)
})

test.run()
