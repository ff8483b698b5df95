// Tests the errors of kernels for wrong arguments from plain JavaScript.

import * as assert from 'uvu/assert'
import { add } from '../../kernels/elementwise/add.ts'
import { div } from '../../kernels/elementwise/div.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { type Tensor, kernel, wgsl } from '../../kernels/op.ts'
import { sub } from '../../kernels/elementwise/sub.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { threefry2x32 } from '../../kernels/wgsl/threefry.ts'
import { checkOp } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('misuse of kernels')

test('kernels refuse what they cannot lay out, and params that are not theirs', async ({ gpu }) => {
  const program = (params: string) => `
    struct Params { ${params} }
    @group(0) @binding(0) var<storage, read_write> y: array<f32>;
    @group(0) @binding(1) var<uniform> p: Params;
    @compute @workgroup_size(64) fn fill() { y[0] = f32(p.count); }`
  const declared = (params: string) => kernel({ raw: [program(params)] } as never)
  const fill = declared('count: u32, shift: i32')
  const run = (params: object) => () => call(gpu.run, fill, { makes: [[1]], params, groups: [1] })
  await refusesAll([
    [
      'a part misspelt',
      () =>
        call(gpu.run, fill, {
          makes: [[1]],
          params: { count: 1, shift: 0 },
          constant: {},
          groups: [1],
        }),
      `fill: a dispatch has no part 'constant'; did you mean 'constants'?`,
    ],
    [
      'no groups',
      () => call(gpu.run, fill, { makes: [[1]], params: { count: 1, shift: 0 } }),
      'fill: a dispatch must have groups, the workgroups to run, as in { groups: [1] }, got an object with makes, params',
    ],
    [
      'no tag',
      () => call(kernel, 'fn fill() {}'),
      `wgsl: it is a tag, to write in front of a template, wgsl\`...\`, got 'fn fill() {}'`,
    ],
    [
      'a vector',
      () => declared('size: vec2u, count: u32'),
      `kernel fill: members of struct Params must be f32, i32 or u32 without attributes, got 'size: vec2u'; give each component a member of its own`,
    ],
    [
      'an array',
      () => declared('count: array<u32, 4>'),
      `kernel fill: members of struct Params must be f32, i32 or u32 without attributes, got 'count: array<u32'; give each component a member of its own`,
    ],
    [
      'an attribute',
      () => declared('@align(16) count: u32'),
      `kernel fill: members of struct Params must be f32, i32 or u32 without attributes, got '@align(16) count: u32'; give each component a member of its own`,
    ],
    [
      'half precision',
      () => declared('count: f16'),
      `kernel fill: members of struct Params must be f32, i32 or u32 without attributes, got 'count: f16'; give each component a member of its own`,
    ],
    [
      'no entry point',
      () => kernel({ raw: ['fn fill() {}'] } as never),
      'kernel: the WGSL must have an entry point, @compute fn name(...)',
    ],
    [
      'a number in the text',
      () => call(wgsl, { raw: ['const N = ', ';'] }, 5),
      'wgsl: only WGSL fits in a hole, got 5; numbers go in Params or override declarations',
    ],
    [
      'a param misspelt',
      run({ cuont: 1, shift: 0 }),
      `fill: struct Params [count, shift] has no member 'cuont'; did you mean 'count'?`,
    ],
    [
      'one param too many',
      run({ count: 1, shift: 0, more: 1 }),
      `fill: struct Params [count, shift] has no member 'more'`,
    ],
    ['a param too few', run({ count: 1 }), 'fill: no value for param shift'],
    [
      'a fraction',
      run({ count: 2.5, shift: 0 }),
      'fill: count must be a whole number from 0 to 2^32 - 1, got 2.5',
    ],
    [
      'below 0',
      run({ count: -1, shift: 0 }),
      'fill: count must be a whole number from 0 to 2^32 - 1, got -1',
    ],
    [
      'NaN',
      run({ count: 1, shift: NaN }),
      'fill: shift must be a whole number from -2^31 to 2^31 - 1, got NaN',
    ],
    [
      'a tensor too few',
      () => call(gpu.run, fill, { params: { count: 1, shift: 0 }, groups: [1] }),
      'fill: the kernel reads 0 tensors and writes 1, got 0 in reads and 0 in updates and makes together',
    ],
    [
      'a flag',
      run({ count: true, shift: 0 }),
      'fill: count must be a whole number from 0 to 2^32 - 1, got true',
    ],
    [
      'a function that gives a fraction',
      run({ count: () => 0.5, shift: 0 }),
      'fill: count must be a whole number from 0 to 2^32 - 1, got 0.5',
    ],
  ])
  const spaced = declared(
    '\n count : u32, // of elements, a: vec2u\n /* b: vec2u, */ shift: i32,\n',
  )
  assert.equal(spaced.params, fill.params)
})

test('a number may stand on either side', async ({ gpu }) => {
  const each = (f: (v: number) => number) => (a: number[]) => a.map(f)
  await checkOp(
    gpu,
    (x) => add(1, x),
    each((v) => 1 + v),
    [[5]],
  )
  await checkOp(
    gpu,
    (x) => sub(1, x),
    each((v) => 1 - v),
    [[5]],
  )
  await checkOp(
    gpu,
    (x) => mul(2, x),
    each((v) => 2 * v),
    [[5]],
  )
  await checkOp(
    gpu,
    (x) => div(3, add(x, 4)),
    each((v) => 3 / (v + 4)),
    [[5]],
  )
  const step = gpu.capture((x: Tensor) => sum(div(1, x)))
  const given = { values: [1, 2, 4], shape: [3] }
  for (let i = 0; i < 4; i++) assert.equal([...(await gpu.read(step.run(given)))], [1.75])
  assert.is(step.reason, null)
})

test('threefry2x32 draws from whole numbers alone', async () => {
  const must = 'must be two whole numbers, as in [seed, 0], got'
  await refusesAll([
    [
      'a step that is a function',
      () => call(threefry2x32, [0, () => 1], [0, 0]),
      `threefry2x32: key ${must} [0, a function]; call a step that is a function, as in step()`,
    ],
    [
      'a fraction',
      () => call(threefry2x32, [0, 0], [0.5, 0]),
      `threefry2x32: counter ${must} [0.5, 0]`,
    ],
    ['NaN', () => call(threefry2x32, [NaN, 0], [0, 0]), `threefry2x32: key ${must} [NaN, 0]`],
    ['one', () => call(threefry2x32, [1], [0, 0]), `threefry2x32: key ${must} [1]`],
    ['no array', () => call(threefry2x32, 1, [0, 0]), `threefry2x32: key ${must} 1`],
  ])
})

test.run()
