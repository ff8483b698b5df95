// Tests which gradients a backward pass returns, and when it frees the others.

import * as assert from 'uvu/assert'
import { accumulate } from '../../kernels/optim/accumulate.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { indexSelect } from '../../kernels/shape/gather.ts'
import { linear } from '../../kernels/matmul/linear.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import type { Tensor } from '../../kernels/op.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { Gradients } from '../../engine/optim/gradients.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('gradients')

test('gradients add over uses, stop at noGrad, and reach only what the output came from', async ({
  gpu,
}) => {
  const [a, b] = [gpu.tensor([2, 3], [2]), gpu.tensor([5, 7], [2])]
  const square = mul(a, a)
  const constant = gpu.noGrad(() => mul(b, b))
  const unrelated = mul(b, b)
  const gradients = gpu.backward(add(mul(square, constant), a))
  const da = gradients.of(a)
  assert.ok(da)
  if (da) assert.equal([...(await gpu.read(da))], [2 * 2 * 25 + 1, 2 * 3 * 49 + 1])
  assert.is(gradients.of(b), undefined)
  assert.is(gradients.of(unrelated), undefined)
  assert.throws(
    () => gpu.backward(a, gpu.tensor([1], [1])),
    /the cotangent must be f32 of the output's shape, got f32 \[1\] for \[2\]/,
  )
})

test('within a step, gradients in between are given back at once; outside they stay', async ({
  gpu,
}) => {
  const [a, weight] = [gpu.tensor([2, 3], [2]), gpu.variable([5, 7], [2])]
  // h is used twice, and the addition hands one tensor to both its inputs: neither may be given
  // back too early
  const graph = () => {
    const h = mul(a, weight)
    return { h, y: add(mul(h, h), add(h, mul(h, 3))) }
  }
  const { h, y } = graph()
  const outside = gpu.backward(y)
  const told = async (t: Tensor | undefined) => (t ? [...(await gpu.read(t))] : null)
  assert.equal(await told(outside.of(h)), [24, 46])
  assert.equal(await told(outside.of(weight)), [48, 138])
  const cotangent = gpu.tensor([1, 10], [2])
  const [dw, da] = gpu.step(() => {
    const inside = graph()
    const gradients = gpu.backward(inside.y, cotangent)
    assert.is(gradients.of(inside.h), undefined)
    for (let i = 0; i < 9; i++) mul(a, i) // writes over what was given back
    return [gradients.of(weight), gradients.of(a)].filter((t) => t !== undefined)
  })
  assert.equal(await told(dw), [48, 1380])
  assert.equal(await told(da), [120, 3220])
  assert.equal(await told(cotangent), [1, 10])
})

test('several outputs are pulled back at once, also where one is made of another or comes twice', async ({
  gpu,
}) => {
  const [a, b] = [gpu.variable([2, 3], [2]), gpu.variable([5, 7], [2])]
  const [dy, dz, more] = [
    gpu.tensor([1, 2], [2]),
    gpu.tensor([3, 4], [2]),
    gpu.tensor([10, 20], [2]),
  ]
  const pulled = () => {
    const y = mul(a, b)
    const z = mul(y, a) // a² b
    const gradients = gpu.pullback([
      [y, dy],
      [z, dz],
      [y, more],
    ])
    for (let i = 0; i < 9; i++) mul(a, i) // writes over what was given back
    return [a, b].flatMap((t) => gradients.of(t) ?? [])
  }
  // da = (dy + more) b + 2 a b dz, db = (dy + more) a + a² dz
  const expected = [[11 * 5 + 20 * 3, 22 * 7 + 42 * 4], [11 * 2 + 4 * 3, 22 * 3 + 9 * 4]] // prettier-ignore
  for (const gradients of [pulled(), gpu.step(pulled)])
    assert.equal(await Promise.all(gradients.map(async (t) => [...(await gpu.read(t))])), expected)
  for (const given of [dy, dz, more]) assert.ok((await gpu.read(given)).every((v) => v > 0))
  assert.throws(
    () => gpu.pullback([[mul(a, b), gpu.tensor([1], [1])]]),
    /the cotangent must be f32 of the/,
  )
})

test('what was used twice has one gradient, however it is asked for', async ({ gpu }) => {
  const [a, b] = [gpu.variable([2, 3], [2]), gpu.variable([5, 7], [2])]
  const ways: ((gradients: Gradients) => Tensor[])[] = [
    (gradients) => [a, b].flatMap((t) => gradients.of(t) ?? []),
    (gradients) => gradients.tensors().flatMap((t) => gradients.of(t) ?? []),
    (gradients) => gradients.entries().map(([, gradient]) => gradient),
  ]
  for (const way of ways) {
    const found = gpu.step(() => way(gpu.backward(add(mul(mul(a, b), a), b))))
    const told = await Promise.all(found.map(async (t) => [...(await gpu.read(t))].join()))
    assert.equal(told.sort(), ['20,42', '5,10'])
  }
})

test('reading the sum of two parts costs one dispatch, once; all else costs none', async ({
  gpu,
}) => {
  const [a, unrelated] = [gpu.variable([2, 3]), gpu.variable([1])]
  gpu.step(() => {
    const gradients = gpu.backward(mul(a, a))
    const before = gpu.stats().dispatches
    const dispatches = () => gpu.stats().dispatches - before
    assert.is(gradients.parts(a).length, 2)
    assert.equal(gradients.tensors(), [a])
    assert.is(gradients.size, 1)
    assert.ok(gradients.has(a))
    assert.not(gradients.has(unrelated))
    assert.equal(gradients.parts(unrelated), [])
    assert.is(String(gradients), 'Gradients (of 1 tensors)')
    const read = gpu.read(a) // submits, so that dispatches are counted
    assert.is(dispatches(), 3) // one forward, two backward
    const both = gradients.of(a)
    assert.is(gradients.of(a), both)
    assert.equal(gradients.parts(a), [both])
    assert.is(gradients.entries()[0]?.[1], both)
    const again = gpu.read(a)
    assert.is(dispatches(), 4)
    return void Promise.all([read, again])
  })
})

test('gradients are carried through a fold, in parts too', async ({ gpu }) => {
  const w = gpu.variable([2, 3])
  const more = gpu.tensor([10, 20])
  const dw = gpu.step(() => {
    const total = gpu.fold([1, 2], gpu.backward(mul(w, w)), (carry, factor) => {
      const [first, second] = carry.parts(w)
      assert.is(carry.size, 1)
      const next = mul(first ?? w, factor)
      return new Gradients([second ? [w, next, second] : [w, next, more]])
    })
    for (let i = 0; i < 9; i++) mul(w, i) // writes over what was given back
    return total.of(w)
  })
  assert.equal(dw && [...(await gpu.read(dw))], [6, 9])
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

test('sums of gradients go by fours where they can, and refuse what does not fit', async ({
  gpu,
}) => {
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

test('with `of` a pass computes these gradients to the same bits, and no others', async ({
  gpu,
}) => {
  const [a, b, c] = [
    gpu.variable([2, 3]),
    gpu.variable([5, 7]),
    gpu.variable([
      [1, 2],
      [3, 4],
    ]),
  ]
  const told = async (gradients: Gradients, t: Tensor) => {
    const gradient = gradients.of(t)
    return gradient ? [...(await gpu.read(gradient))] : null
  }
  const graph = () => {
    const frozen = relu(indexSelect(c, 0, [1])) // none of it leads to a
    const h = mul(mul(a, b), a)
    return { h, y: sum(mul(add(h, mul(h, h)), frozen)) }
  }
  const { h, y } = graph()
  const all = gpu.backward(y)
  for (const of of [[a], [a, b], [c], [h], [a, h], [c, y], [gpu.variable([1])], []] as Tensor[][])
    for (const inStep of [false, true]) {
      const run = () => {
        const g = inStep ? graph() : { h, y }
        const wanted = of.map((t) => (t === h ? g.h : t === y ? g.y : t))
        const gradients = gpu.backward(g.y, undefined, { of: wanted.values() })
        assert.ok(gradients.tensors().every((t) => wanted.includes(t)))
        for (let i = 0; i < 9; i++) mul(a, i) // writes over what was given back
        return wanted.map((t) => gradients.of(t) ?? null)
      }
      let found: (Tensor | null)[] = []
      if (inStep) gpu.step(() => (found = run()).filter((t) => t !== null))
      else found = run()
      for (const [i, t] of of.entries()) {
        const gradient = found[i]
        assert.equal(gradient ? [...(await gpu.read(gradient))] : null, await told(all, t))
      }
    }
})

test('with `of` nothing is dispatched for what is not wanted', async ({ gpu }) => {
  const [x, w, v, other] = [[[1, 2]], [[3, 4]], [[5]], [1]].map((values) => gpu.variable(values))
  if (!x || !w || !v || !other) return
  const y = linear(relu(linear(x, w)), v)
  const dispatches = async (of?: Tensor[]) => {
    const cotangent = gpu.tensor([[1]])
    await gpu.sync()
    const before = gpu.stats().dispatches
    gpu.backward(y, cotangent, { of })
    await gpu.sync()
    return gpu.stats().dispatches - before
  }
  assert.is(await dispatches(), await dispatches([x, w, v]))
  assert.is((await dispatches()) - (await dispatches([w, v])), 1)
  assert.is((await dispatches()) - (await dispatches([x, v])), 1)
  assert.is(await dispatches([v]), 1)
  assert.is(await dispatches([other]), 0)
  assert.is(await dispatches([]), 0)
})

const NO_TENSORS = 'of must be an iterable of tensors, such as Object.values(optimizer.parameters)'

test('what cannot be asked for is refused in words', ({ gpu }) => {
  const [a, labels] = [gpu.variable([1]), gpu.tensor(Int32Array.of(1))]
  const y = relu(a)
  for (const [of, message] of [
    [{ a }, `${NO_TENSORS}, got an object with a`],
    [a, `${NO_TENSORS}, got a Variable f32 [1]`],
    ['a', `${NO_TENSORS}, got 'a'`],
    [
      [1],
      'what of holds must be a tensor, got 1; put values on the GPU with gpu.tensor(values, shape)',
    ],
    [[labels], 'of holds i32 [1]; f32 alone has a gradient'],
  ] as const)
    refuses(
      () => gpu.backward(y, undefined, { of: of as unknown as Tensor[] }),
      `Gpu.backward: ${message}`,
    )
  refuses(
    () => gpu.backward(y, { of: [a] } as unknown as Tensor),
    'Gpu.backward: cotangent must be a tensor, got an object with of',
  )
  refuses(
    () => gpu.backward(5 as unknown as Tensor),
    'Gpu.backward: output must be a tensor, got 5; put values on the GPU with gpu.tensor(values, shape)',
  )
  refuses(
    () => gpu.backward(y, undefined, { fo: [a] } as object),
    `Gpu.backward: there is no option 'fo'; did you mean 'of'? Its options are of`,
  )
  refuses(
    () => gpu.pullback([[y, y]], { off: [a] } as object),
    `Gpu.pullback: there is no option 'off'; did you mean 'of'? Its options are of`,
  )
  const captured = gpu.capture((x: Tensor) => relu(x))
  for (let i = 0; i < 2; i++) captured.run({ values: [1] })
  const kept = captured.run({ values: [1] })
  refuses(
    () => gpu.backward(mul(kept, a), undefined, { of: [a] }),
    'a tensor [1] has no gradient after the step it was made in',
  )
})

test.run()
