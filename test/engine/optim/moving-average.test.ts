import * as assert from 'uvu/assert'
import type { Variable } from '../../../kernels/op.ts'
import { Gradients } from '../../../engine/optim/gradients.ts'
import { MovingAverage } from '../../../engine/optim/moving-average.ts'
import { Sgd } from '../../../engine/optim/optimizer.ts'
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
  new MovingAverage(optimizer, { k }, { alone }).update(0.5)
  assert.equal([...(await gpu.read(k))], [3, 4, 5])
  assert.equal([...(await gpu.read(alone))], [9])
  refuses(
    () => new MovingAverage(optimizer, { alone }, { q }),
    "MovingAverage: parameters that nothing follows must be the optimizer's last",
  )
})

test('refuses what cannot follow', ({ gpu }) => {
  const variable = (...shape: number[]) =>
    gpu.variable(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  const optimizer = new Sgd({ w: variable(2, 3), b: variable(2) })
  refuses(
    () => new MovingAverage(optimizer, { w: variable(2, 3) }),
    'MovingAverage: 2 parameters are needed, as many as the optimizer has, got 1',
  )
  refuses(
    () => new MovingAverage(optimizer, { w: variable(2, 3), b: variable(3) }),
    'MovingAverage: what follows b must be [2], got [3]',
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
