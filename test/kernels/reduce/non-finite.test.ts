// Tests the count of NaN and infinities against one in JavaScript.

import * as assert from 'uvu/assert'
import { sizeOf } from '../../../kernels/op.ts'
import { COUNT_WORDS, countNonFinite } from '../../../kernels/reduce/non-finite.ts'
import { half } from '../../fixtures/halves.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('non-finite')

/** What the kernel must find. */
function counted(values: readonly number[]) {
  const nan = values.filter((v) => Number.isNaN(v)).length
  const infinite = values.filter((v) => Math.abs(v) === Infinity).length
  const left = (first: number) => (first < 0 ? 0 : values.length - first)
  const isInfinite = (v: number) => Math.abs(v) === Infinity
  return [nan, infinite, left(values.findIndex(Number.isNaN)), left(values.findIndex(isInfinite))]
}

const finite = (size: number) =>
  Array.from({ length: size }, (_, i) => [1, -65504, 0, -0, 6e-8, 3][i % 6] ?? 0)

for (const [kind, shape] of [
  ['a scalar', []],
  ['one workgroup less one', [63]],
  ['one workgroup and one', [5, 13]],
  ['more than the most workgroups have threads', [1025, 4096]],
] as const)
  test(`counts those of ${kind}, and finds the first`, async ({ gpu }) => {
    const size = sizeOf(shape)
    const found = gpu.variable(new Float32Array(2 * COUNT_WORDS))
    const values = finite(size)
    countNonFinite(gpu.run, gpu.tensor(values, shape), found, 0)
    const bad = [NaN, Infinity, -Infinity, -NaN]
    for (const [i, v] of bad.entries()) values[Math.floor(((i + 1) * (size - 1)) / 4)] = v
    countNonFinite(gpu.run, gpu.tensor(values, shape), found, COUNT_WORDS)
    const words = new Uint32Array((await gpu.read(found)).buffer)
    assert.equal([...words], [0, 0, 0, 0, ...counted(values)])
  })

test('counts those of f16', async ({ gpu }) => {
  const values = finite(4 * 70)
  for (const [i, v] of [NaN, Infinity, NaN, -Infinity, 1e6].entries()) values[3 + 55 * i] = v
  const found = gpu.variable(new Float32Array(COUNT_WORDS))
  countNonFinite(gpu.run, half(gpu.tensor(values, [70, 4])), found, 0)
  const words = new Uint32Array((await gpu.read(found)).buffer)
  assert.equal([...words], counted(values.map((v) => (v === 1e6 ? Infinity : v))))
})

test.run()
