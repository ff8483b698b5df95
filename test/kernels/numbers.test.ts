import * as assert from 'uvu/assert'
import { type Tensor, type Values, show } from '../../kernels/op.ts'
import { crossEntropy } from '../../kernels/loss/cross-entropy.ts'
import { gather, indexSelect } from '../../kernels/shape/gather.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { encodeSafetensors } from '../../engine/safetensors.ts'
import { restore } from '../../engine/checkpoint.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { knn } from '../../evaluate/knn.ts'
import { accuracy } from '../../evaluate/accuracy.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('numbers')

const cut = (bytes: ArrayBufferLike) => {
  new Uint8Array(bytes).set([9, 1, 2, 3, 4, 9])
  return new Uint8Array(bytes, 1, 4)
}
const floats = (buffer: ArrayBufferLike) => {
  new Float32Array(buffer).set([9, 1, 2, 3, 4])
  return new Float32Array(buffer, 4, 4)
}

const kinds: readonly (readonly [dtype: string, values: Values])[] = [
  ['f32', [1, 2, 3, 4]],
  ['f32', Float32Array.of(1, 2, 3, 4)],
  ['f32', Float64Array.of(1, 2, 3, 4)],
  ['u8', Uint8Array.of(1, 2, 3, 4)],
  ['u8', Uint8ClampedArray.of(1, 2, 3, 4)],
  ['u8', Buffer.from([1, 2, 3, 4])],
  ['i32', Int8Array.of(1, 2, 3, 4)],
  ['i32', Int16Array.of(1, 2, 3, 4)],
  ['i32', Uint16Array.of(1, 2, 3, 4)],
  ['i32', Int32Array.of(1, 2, 3, 4)],
  ['i32', Uint32Array.of(1, 2, 3, 4)],
  ['i32', BigInt64Array.of(1n, 2n, 3n, 4n)],
  ['i32', BigUint64Array.of(1n, 2n, 3n, 4n)],
  ['u8', cut(new ArrayBuffer(8))],
  ['u8', cut(new SharedArrayBuffer(8))],
  ['f32', floats(new ArrayBuffer(20))],
  ['f32', floats(new SharedArrayBuffer(20))],
]

for (const [dtype, values] of kinds)
  test(`${Object.prototype.toString.call(values)} becomes ${dtype} with the same numbers`, async ({
    gpu,
  }) => {
    const captured = gpu.capture((x: Tensor) =>
      add(
        gpu.noGrad(() => x),
        0,
      ),
    ) // f32 alone
    const tensors = [gpu.tensor(values), gpu.tensor(values, [2, 2]), gpu.variable(values, [4, 1])]
    assert.equal(
      tensors.map((t) => `${t.dtype} ${show(t.shape)}`),
      [`${dtype} [4]`, `${dtype} [2, 2]`, `${dtype} [4, 1]`],
    )
    for (const start of [
      Float32Array.of(9, 9, 9, 9),
      Int32Array.of(9, 9, 9, 9),
      Uint8Array.of(9, 9, 9, 9),
    ]) {
      const variable = gpu.variable(start)
      gpu.write(variable, values)
      tensors.push(variable)
    }
    if (dtype === 'f32') tensors.push(captured.run({ values }))
    for (const t of tensors) assert.equal([...(await gpu.read(t))], [1, 2, 3, 4])
  })

test('nested arrays and numbers have a shape of their own', async ({ gpu }) => {
  const made: readonly (readonly [Values, string, readonly number[]])[] = [
    [
      [
        [1, 2],
        [3, 4],
      ],
      'f32 [2, 2]',
      [1, 2, 3, 4],
    ],
    [
      [
        [[1], [2]],
        [[3], [4]],
      ],
      'f32 [2, 2, 1]',
      [1, 2, 3, 4],
    ],
    [[Uint8Array.of(1, 2), Uint8ClampedArray.of(3, 4)], 'u8 [2, 2]', [1, 2, 3, 4]],
    [[Float64Array.of(0.5), [0.25]], 'f32 [2, 1]', [0.5, 0.25]],
    [7, 'f32 []', [7]],
    [[], 'f32 [0]', []],
    [[[], []], 'f32 [2, 0]', []],
  ]
  for (const [values, like, numbers] of made) {
    const t = gpu.tensor(values)
    assert.is(`${t.dtype} ${show(t.shape)}`, like)
    assert.equal([...(await gpu.read(t))], numbers)
  }
  assert.equal(gpu.tensor(7, [1, 1]).shape, [1, 1])
})

const NO_NUMBERS = 'tensor: values must be numbers in a typed array or in arrays, got'

const refused: readonly (readonly [values: unknown, message: string])[] = [
  [[[1, 2], [3]], 'tensor: nested arrays must have the same sizes, got [2] and, at [1], [1]'],
  [[[1], 2], `${NO_NUMBERS} 2 at [1]`],
  [[1, [2]], `${NO_NUMBERS} an array of 1 at [1]`],
  [[Uint8Array.of(1), [2]], 'tensor: rows must be arrays of one kind, got u8 and f32'],
  [[1, , 3], `${NO_NUMBERS} undefined at [1]`], // oxlint-disable-line no-sparse-arrays
  [[1, null], `${NO_NUMBERS} null at [1]`],
  [['1'], `${NO_NUMBERS} '1' at [0]`],
  [[1n], `${NO_NUMBERS} 1n at [0]`],
  [[true], `${NO_NUMBERS} true at [0]`],
  ['1234', `${NO_NUMBERS} '1234'`],
  [undefined, `${NO_NUMBERS} undefined`],
  [null, `${NO_NUMBERS} null`],
  [{ length: 2 }, `${NO_NUMBERS} an object with length`],
  [
    { data: Uint8ClampedArray.of(1), width: 1 },
    `${NO_NUMBERS} an object with data, width; give its data`,
  ],
  [
    new ArrayBuffer(8),
    `${NO_NUMBERS} an ArrayBuffer; say what its bytes are by a typed array, such as new Float32Array(buffer)`,
  ],
  [
    new DataView(new ArrayBuffer(8)),
    `${NO_NUMBERS} a DataView of 8 bytes; say what its bytes are by a typed array, such as new Float32Array(buffer)`,
  ],
  [
    Uint32Array.of(1, 2 ** 31),
    'tensor: 2147483648 at 1 is no i32 (whole numbers from -2147483648 to 2147483647)',
  ],
  [
    BigInt64Array.of(2n ** 53n + 1n),
    'tensor: 9007199254740993 at 0 is no i32 (whole numbers from -2147483648 to 2147483647)',
  ],
  [Float64Array.of(1e39), 'tensor: 1e+39 at 0 is beyond the range of f32, 3.4e38'],
]

test('what holds no numbers, or numbers that would be lost, is refused in words', ({ gpu }) => {
  for (const [values, message] of refused) {
    refuses(() => gpu.tensor(values as Values), message)
    refuses(() => gpu.variable(values as Values), message.replace(/^tensor/, 'variable'))
    const captured = gpu.capture((x: Tensor) => x)
    refuses(() => captured.run({ values: values as Values }), message)
  }
  refuses(
    () => gpu.tensor(gpu.tensor([1]) as unknown as Values),
    `${NO_NUMBERS} a Tensor f32 [1]; a tensor holds its values already, and await gpu.read(it) gives them`,
  )
})

test('a shape that does not fit is refused', ({ gpu }) => {
  const cases: readonly (readonly [Values, unknown, string])[] = [
    [[1, 2, 3], [2, 2], 'tensor: [2, 2] holds 4 values, got 3'],
    [[1, 2], [1.5], 'tensor: sizes must be whole numbers, got [1.5]'],
    [[1, 2], 2, 'tensor: the shape must be an array of sizes, got 2'],
    [
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      [3, 2],
      'tensor: nested arrays of [2, 3] do not have the shape [3, 2]; leave the shape out',
    ],
    [7, [2], 'tensor: [2] holds 2 values, got 1'],
  ]
  for (const [values, shape, message] of cases)
    refuses(() => gpu.tensor(values, shape as number[]), message)
  const sizes = [2]
  const t = gpu.tensor([1, 2], sizes)
  sizes[0] = 3
  assert.equal(t.shape, [2])
})

test('a refused write changes neither its variable nor its neighbours in a flat buffer', async ({
  gpu,
}) => {
  const [a, b] = [gpu.variable(new Float32Array(64).fill(1)), gpu.variable([2, 2])]
  new Sgd({ a, b }) // oxlint-disable-line no-new
  const wrong: readonly (readonly [Values, string])[] = [
    [new Float64Array(65), 'write: [64] holds 64 values, got 65'],
    [new Float32Array(128), 'write: [64] holds 64 values, got 128'],
    [new Float64Array(64).fill(1e300), 'write: 1e+300 at 0 is beyond the range of f32, 3.4e38'],
    [
      new Int32Array(64).fill(2 ** 24 + 1),
      'write: 16777217 at 0 is not exactly an f32; give floats, which are rounded',
    ],
  ]
  for (const [values, message] of wrong) refuses(() => gpu.write(a, values), message)
  assert.equal([...(await gpu.read(a)), ...(await gpu.read(b))], [...Array(64).fill(1), 2, 2])
  gpu.write(a, new Float64Array(64).fill(3))
  assert.equal([...(await gpu.read(a)), ...(await gpu.read(b))], [...Array(64).fill(3), 2, 2])
  const bytes = gpu.variable(new Uint8Array(3))
  refuses(
    () => gpu.write(bytes, [1, 2, 256]),
    'write: 256 at 2 is no u8 (whole numbers from 0 to 255)',
  )
  refuses(
    () => gpu.write(bytes, [1, 2, 0.5]),
    'write: 0.5 at 2 is no u8 (whole numbers from 0 to 255)',
  )
  refuses(
    () => gpu.write(gpu.tensor([1]) as typeof a, [2]),
    'Gpu.write: variable must be a variable, got a Tensor f32 [1]',
  )
  refuses(
    () => gpu.write(5 as unknown as typeof a, [2]),
    'Gpu.write: variable must be a variable, got 5',
  )
})

test('what is no input of a captured step is refused', ({ gpu }) => {
  for (const [given, words] of [
    [Symbol.iterator, 'Symbol(Symbol.iterator)'],
    [undefined, 'undefined; null leaves an input out'],
    [Float32Array.of(1), 'a Float32Array of 4 bytes'],
  ])
    refuses(
      () =>
        gpu
          .capture((...inputs: [Tensor, number]) => inputs[0])
          .run(given as unknown as { values: Values }, 1),
      `captured step: input 0 must be a tensor, { values, shape }, a string, number or boolean, got ${String(words)}`,
    )
})

test('labels and indices may come in any kind of array', async ({ gpu }) => {
  const x = gpu.tensor([
    [1, 2, 3],
    [4, 5, 6],
  ])
  const loss = await gpu.read(crossEntropy(x, [2, 0]))
  for (const labels of [
    Uint8ClampedArray.of(2, 0),
    BigInt64Array.of(2n, 0n),
    Float64Array.of(2, 0),
  ]) {
    assert.equal(await gpu.read(crossEntropy(x, labels)), loss)
    assert.equal([...(await gpu.read(indexSelect(x, 1, labels)))], [3, 1, 6, 4])
    assert.equal([...(await gpu.read(gather(x, 1, labels)))], [3, 4])
    const { predictions } = await knn(x, labels, x, { k: 1 })
    assert.equal([...predictions], [2, 0])
    assert.is(accuracy(predictions, labels), 100)
  }
  refuses(
    () => crossEntropy(x, '20' as unknown as number[]),
    "crossEntropy: labels must be an array of whole numbers or a tensor, got '20'",
  )
})

test('a checkpoint with other arrays or counts is refused before anything is written', async ({
  gpu,
}) => {
  const [a, b] = [gpu.variable([1, 1]), gpu.variable([1, 1])]
  const saved = new Map([
    ['a', { shape: [2], data: Float32Array.of(5, 5) }],
    ['b', { shape: [2], data: Float32Array.of(5, 5, 5) }],
  ])
  refuses(() => restore(gpu, { a, b }, saved), 'checkpoint: b has 3 values for [2]; it is damaged')
  assert.equal([...(await gpu.read(a))], [1, 1])
  const tensors = new Map([
    ['a', { shape: [2], data: Float64Array.of(1, 2) as unknown as Float32Array }],
  ])
  refuses(
    () => encodeSafetensors({ tensors, metadata: {} }),
    'safetensors: a must be a Float32Array, Int32Array, BigInt64Array or Uint8Array, got a Float64Array of 16 bytes',
  )
})

test.run()
