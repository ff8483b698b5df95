// Which gradients a backward pass gives, and what becomes of the others.

import * as assert from 'uvu/assert'
import { accumulate } from '../kernels/accumulate.ts'
import { add } from '../kernels/add.ts'
import { mul } from '../kernels/mul.ts'
import type { Tensor } from '../kernels/op.ts'
import { relu } from '../kernels/relu.ts'
import { sum } from '../kernels/sum.ts'
import { random } from './check.ts'
import { gpuSuite } from './gpu.ts'
import { refuses } from './refusal.ts'

const test = gpuSuite('gradients')

test('gradients add over uses, stop at noGrad, and reach only what the output came from', async ({ gpu }) => {
  const [a, b] = [gpu.tensor([2, 3], [2]), gpu.tensor([5, 7], [2])]
  const square = mul(a, a)
  const constant = gpu.noGrad(() => mul(b, b))
  const unrelated = mul(b, b)
  const gradients = gpu.backward(add(mul(square, constant), a))
  const da = gradients.get(a)
  assert.ok(da)
  if (da) assert.equal([...(await gpu.read(da))], [2 * 2 * 25 + 1, 2 * 3 * 49 + 1])
  assert.is(gradients.get(b), undefined)
  assert.is(gradients.get(unrelated), undefined)
  assert.throws(
    () => gpu.backward(a, gpu.tensor([1], [1])),
    /the cotangent must be f32 of the output's shape, got f32 \[1\] for \[2\]/,
  )
})

test('within a step, gradients in between are given back at once; outside they stay', async ({ gpu }) => {
  const [a, weight] = [gpu.tensor([2, 3], [2]), gpu.variable([5, 7], [2])]
  // h is used twice, and the addition hands one tensor to both its inputs: neither may be given back too early
  const graph = () => {
    const h = mul(a, weight)
    return { h, y: add(mul(h, h), add(h, mul(h, 3))) }
  }
  const { h, y } = graph()
  const outside = gpu.backward(y)
  const told = async (t: Tensor | undefined) => (t ? [...(await gpu.read(t))] : null)
  assert.equal(await told(outside.get(h)), [24, 46])
  assert.equal(await told(outside.get(weight)), [48, 138])
  const cotangent = gpu.tensor([1, 10], [2])
  const [dw, da] = gpu.step(() => {
    const inside = graph()
    const gradients = gpu.backward(inside.y, cotangent)
    assert.is(gradients.get(inside.h), undefined)
    for (let i = 0; i < 9; i++) mul(a, i) // writes over what was given back
    return [gradients.get(weight), gradients.get(a)].filter((t) => t !== undefined)
  })
  assert.equal(await told(dw), [48, 1380])
  assert.equal(await told(da), [120, 3220])
  assert.equal(await told(cotangent), [1, 10])
})

test('several outputs are pulled back at once, also where one is made of another or comes twice', async ({
  gpu,
}) => {
  const [a, b] = [gpu.variable([2, 3], [2]), gpu.variable([5, 7], [2])]
  const [dy, dz, more] = [gpu.tensor([1, 2], [2]), gpu.tensor([3, 4], [2]), gpu.tensor([10, 20], [2])]
  const pulled = () => {
    const y = mul(a, b)
    const z = mul(y, a) // a² b
    const gradients = gpu.pullback([
      [y, dy],
      [z, dz],
      [y, more],
    ])
    for (let i = 0; i < 9; i++) mul(a, i) // writes over what was given back
    return [a, b].flatMap((t) => gradients.get(t) ?? [])
  }
  // da = (dy + more) b + 2 a b dz, db = (dy + more) a + a² dz
  const expected = [[11 * 5 + 20 * 3, 22 * 7 + 42 * 4], [11 * 2 + 4 * 3, 22 * 3 + 9 * 4]] // prettier-ignore
  for (const gradients of [pulled(), gpu.step(pulled)])
    assert.equal(await Promise.all(gradients.map(async (t) => [...(await gpu.read(t))])), expected)
  for (const given of [dy, dz, more]) assert.ok((await gpu.read(given)).every((v) => v > 0))
  assert.throws(() => gpu.pullback([[mul(a, b), gpu.tensor([1], [1])]]), /the cotangent must be f32 of the/)
})

test('what was used twice has one gradient, however it is asked for', async ({ gpu }) => {
  const [a, b] = [gpu.variable([2, 3], [2]), gpu.variable([5, 7], [2])]
  const ways: ((gradients: Map<Tensor, Tensor>) => Tensor[])[] = [
    (gradients) => [a, b].flatMap((t) => gradients.get(t) ?? []),
    (gradients) => [...gradients.values()],
    (gradients) => [...gradients].map(([, gradient]) => gradient),
    (gradients) => [...gradients.entries()].map(([, gradient]) => gradient),
    (gradients) => {
      const found: Tensor[] = []
      gradients.forEach((gradient) => found.push(gradient))
      return found
    },
  ]
  for (const way of ways) {
    const found = gpu.step(() => way(gpu.backward(add(mul(mul(a, b), a), b))))
    const told = await Promise.all(found.map(async (t) => [...(await gpu.read(t))].join()))
    assert.equal(told.sort(), ['20,42', '5,10'])
  }
})

test('a deep chain of gradients takes the memory of a few', ({ gpu }) => {
  const x = gpu.variable(new Float32Array(4096), [4096])
  const before = gpu.stats().bytes
  gpu.step(() => {
    let h: Tensor = x
    for (let i = 0; i < 20; i++) h = relu(h)
    gpu.backward(sum(h))
  })
  assert.ok(gpu.stats().bytes - before < 24 * 4096 * 4, `${gpu.stats().bytes - before} bytes`)
})

test('sums of gradients go by fours where they can, and refuse what does not fit', async ({ gpu }) => {
  for (const n of [1, 3, 4, 64, 257, 260]) {
    const [a, b] = [random(n, 1).map(Math.fround), random(n, 2).map(Math.fround)]
    const sums = await gpu.read(accumulate(gpu.run, gpu.tensor(a, [n]), gpu.tensor(b, [n])))
    assert.equal(
      [...sums],
      a.map((v, i) => Math.fround(v + (b[i] ?? NaN))),
    )
  }
  refuses(
    () => accumulate(gpu.run, gpu.tensor([1, 2], [2]), gpu.tensor([1, 2], [1, 2])),
    'backward: gradients of one tensor differ in shape, [2] and [1, 2]',
  )
})

test.run()
