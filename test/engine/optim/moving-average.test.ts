import * as assert from 'uvu/assert'
import type { Tensor, Variable } from '../../../kernels/op.ts'
import { Gradients } from '../../../engine/optim/gradients.ts'
import { MovingAverage } from '../../../engine/optim/moving-average.ts'
import { Sgd } from '../../../engine/optim/optimizer.ts'
import { close, random } from '../../fixtures/check.ts'
import { Golden } from '../../fixtures/golden.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('MovingAverage')

test("moco_momentum_0.999: follows as MoCo's key encoder does, in one dispatch", async ({
  gpu,
}) => {
  const golden = new Golden('moco_momentum_0.999')
  const names = golden.names.filter((name) => name.startsWith('in.k.')).map((name) => name.slice(5))
  const variables = (prefix: string) =>
    Object.fromEntries(
      names.map((name) => [
        name,
        gpu.variable(golden.values(prefix + name), golden.shape(prefix + name)),
      ]),
    )
  const [q, k] = [variables('in.q.0.'), variables('in.k.')]
  const average = new MovingAverage(new Sgd(q), k)
  const named = (from: Record<string, Variable>, name: string) => from[name] as Variable // made of these names
  for (let step = 0; step < Number(golden.config['steps']); step++) {
    for (const name of names) gpu.write(named(q, name), golden.values(`in.q.${step}.${name}`))
    const before = gpu.stats()
    gpu.step(() => average.update(Number(golden.config['m'])))
    assert.is(gpu.stats().dispatches - before.dispatches, 1)
    for (const name of names) await golden.match(gpu, `out.${step}.${name}`, named(k, name))
  }
  golden.done()
})

test('sees what the optimizer writes, and leaves that alone', async ({ gpu }) => {
  const [q, k] = [gpu.variable([1, 2, 3], [3]), gpu.variable([5, 6, 7], [3])]
  const optimizer = new Sgd({ q })
  const average = new MovingAverage(optimizer, { k })
  gpu.step(() => {
    optimizer.step(new Gradients([[q, gpu.tensor([1, 1, 1], [3])]]), 1)
    average.update(0.5)
  })
  assert.equal([...(await gpu.read(k))], [2.5, 3.5, 4.5])
  assert.equal([...(await gpu.read(q))], [0, 1, 2])
})

test('may leave the last parameters alone', async ({ gpu }) => {
  const [q, alone, k] = [
    gpu.variable([1, 2, 3], [3]),
    gpu.variable([9], [1]),
    gpu.variable([5, 6, 7], [3]),
  ]
  const optimizer = new Sgd({ q, alone })
  new MovingAverage(optimizer, { k }, { anyName: alone }).update(0.5)
  assert.equal([...(await gpu.read(k))], [3, 4, 5])
  assert.equal([...(await gpu.read(alone))], [9])
  refuses(
    () => new MovingAverage(optimizer, { alone }, { q }),
    'MovingAverage: parameters that nothing follows must be the last, and q comes before alone, which is followed; give the optimizer the followed ones first',
  )
})

test('follows any variables by name, in any order, in a dispatch more for seven', async ({
  gpu,
}) => {
  const sizes = [1, 3, 4, 63, 64, 65, 300, 7, 9]
  const named = (seed: number) =>
    Object.fromEntries(sizes.map((n, i) => [`v${i}`, gpu.variable(random(n, seed + i), [n])]))
  const [q, k] = [named(1), named(100)]
  const turned = Object.fromEntries(Object.entries(k).reverse())
  const average = new MovingAverage(q, turned)
  const optimizer = new Sgd(q) // moves what is followed
  const captured = gpu.capture((g: Tensor) => {
    optimizer.step(new Gradients([[q['v5'] as Variable, g]]), () => 1)
    average.update(() => 0.75)
    return g
  })
  const before = gpu.stats().dispatches
  const expected = sizes.map((n, i) => random(n, 100 + i))
  for (let t = 1; t <= 4; t++) {
    captured.run({ values: new Float32Array(65).fill(0.5), shape: [65] })
    for (const [i, values] of expected.entries())
      for (const [j, w] of random(sizes[i] ?? 0, 1 + i).entries())
        values[j] = 0.75 * (values[j] ?? NaN) + 0.25 * (w - (i === 5 ? 0.5 * t : 0))
  }
  assert.ok(captured.replays > 0)
  assert.is((gpu.stats().dispatches - before) / 4, 2 + 2 + 1) // four of whole fours, five others
  for (const [i, values] of expected.entries())
    close(await gpu.read(k[`v${i}`] as Variable), values, 1e-6, `v${i}`)
})

test('refuses what cannot follow', ({ gpu }) => {
  const variable = (...shape: number[]) =>
    gpu.variable(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  const optimizer = new Sgd({ w: variable(2, 3), b: variable(2) })
  refuses(
    () => new MovingAverage(optimizer, { w: variable(2, 3) }),
    'MovingAverage: 2 followers are needed, one for each parameter, got 1',
  )
  refuses(
    () => new MovingAverage(optimizer, { w: variable(2, 3), b: variable(3) }),
    'MovingAverage: what follows b must be [2], got [3]',
  )
  refuses(
    () => new MovingAverage({ a: variable(2), b: variable(2) }, { a: variable(2), c: variable(2) }),
    'MovingAverage: followers pair by name, and none is named b; rename c',
  )
  refuses(
    () => new MovingAverage({ a: variable(2) }, { b: variable(2) }),
    'MovingAverage: followers pair by name, and none is named a; rename b',
  )
  const w = variable(2)
  refuses(() => new MovingAverage({ w }, { w }), 'MovingAverage: w cannot follow itself')
  const labels = gpu.variable(new Int32Array(2), [2])
  refuses(
    () => new MovingAverage({ labels }, { labels: variable(2) }),
    'MovingAverage: labels must be an f32 variable, got a Variable i32 [2]',
  )
  const taken = { w: variable(2, 3), b: variable(2) }
  const average = new MovingAverage(optimizer, taken)
  const later = new Sgd(taken)
  assert.ok(later)
  refuses(
    () => average.update(0.9),
    'MovingAverage: its parameters were given to another optimizer or average since',
  )
})

test.run()
