// Tests what a trace tells of a body, and that nothing has changed after it.

import * as assert from 'uvu/assert'
import { inspect } from 'node:util'
import { build } from 'esbuild'
import { add } from '../../../kernels/elementwise/add.ts'
import { relu } from '../../../kernels/elementwise/relu.ts'
import { linear } from '../../../kernels/matmul/linear.ts'
import type { Tensor } from '../../../kernels/op.ts'
import { mean } from '../../../kernels/reduce/mean.ts'
import { findNaN } from '../../../engine/debug/find-nan.ts'
import { profile } from '../../../engine/debug/profile.ts'
import { trace } from '../../../engine/debug/trace.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { LossScaler } from '../../../engine/optim/loss-scaler.ts'
import { Sgd } from '../../../engine/optim/optimizer.ts'
import { batch, makers, mocoOf } from '../../fixtures/chunked-methods.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { call, refusesAll } from '../../fixtures/misuse.ts'
import { refuses } from '../../fixtures/refusal.ts'

const [test, full] = quickAndFull(gpuSuite('trace'))

/** A step of one layer, by an optimizer with a name for it. */
function oneLayer(gpu: Gpu) {
  const w = gpu.variable([1, 2, 3, 4, 5, 6], [2, 3])
  const optimizer = new Sgd({ 'fc.weight': w })
  const step = (x: Tensor) => {
    const loss = mean(relu(linear(x, w)))
    optimizer.step(gpu.backward(loss), () => 0.1)
    return loss
  }
  return { w, optimizer, step }
}

test('every op is told of with its pass, layer, shapes and kernels', ({ gpu }) => {
  const { step } = oneLayer(gpu)
  const traced = trace(gpu, () => gpu.step(() => step(gpu.tensor([1, 2, 3], [1, 3]))))
  const shapes = (list: readonly ({ readonly shape: readonly number[] } | null)[]) =>
    list.map((one) => one && one.shape)
  assert.equal(
    traced.rows.map(({ op, pass, layer, after, inputs, outputs }) => [
      ...[pass, op, layer, after, shapes(inputs), shapes(outputs)],
    ]),
    [
      [
        'forward',
        'linear',
        'fc',
        null,
        [
          [1, 3],
          [2, 3],
        ],
        [[1, 2]],
      ],
      ['forward', 'relu', null, 'fc', [[1, 2]], [[1, 2]]],
      ['forward', 'mean', null, 'fc', [[1, 2]], [[]]],
      ['backward', 'mean', null, 'fc', [[]], [[1, 2]]],
      ['backward', 'relu', null, 'fc', [[1, 2]], [[1, 2]]],
      [
        'backward',
        'linear',
        'fc',
        null,
        [[1, 2]],
        [
          [1, 3],
          [2, 3],
        ],
      ],
      ['update', 'collect', null, null, [[2, 3]], [[64]]],
      ['update', 'sgd', null, null, [[64], [1], [1, 4]], [[64], [64]]],
    ],
  )
  assert.equal(traced.rows[0]?.flops, 2 * 2 * 3)
  assert.equal(
    traced.rows.map(({ kernels }) => kernels.length > 0),
    traced.rows.map(() => true),
  )
  assert.is(
    inspect(traced),
    `pass      op       layer  output         dispatches
forward   linear   fc     [1, 2]                  1
forward   relu            [1, 2]                  1
forward   mean            []                      1
backward  mean            [1, 2]                  1
backward  relu            [1, 2]                  1
backward  linear   fc     [1, 3] [2, 3]           2
update    collect         [64]                    1
update    sgd             [64] [64]               1
8 ops, 9 dispatches`,
  )
})

test('dispatches are those that the Gpu counts', ({ gpu }) => {
  const { step } = oneLayer(gpu)
  const body = () => gpu.step(() => step(gpu.tensor([1, 2, 3], [1, 3])))
  const before = gpu.stats().dispatches
  body()
  const { dispatches } = gpu.stats()
  const { rows } = trace(gpu, body)
  assert.is(rows.flatMap(({ kernels }) => kernels).length, dispatches - before)
})

const quick = ['symmetric MoCo', 'a memory bank with NCE', 'AMDIM']

for (const name of Object.keys(makers)) {
  const register = quick.includes(name) ? test : full
  register(
    `training by ${name} goes on as if nothing had been looked at`,
    async ({ gpu: { device } }) => {
      const train = async (look: (gpu: Gpu, step: () => Tensor) => Promise<unknown>) => {
        const gpu = new Gpu(device)
        const how = {
          normed: true,
          ...(name === 'symmetric MoCo' && { scaler: new LossScaler(gpu) }),
        }
        const method = (makers[name] ?? mocoOf(false))(gpu, how)
        const losses: number[] = []
        for (let i = 0; i < 6; i++) {
          if (i === 0 || i === 1 || i === 4) await look(gpu, () => method.step(batch(4, i + 1), 4))
          losses.push(...(await gpu.read(method.step(batch(4, i), 4))))
        }
        const { replays } = method.captured
        const variables = method.models.flatMap(({ parameters, norms }) => [
          ...Object.values(parameters),
          ...Object.values(norms).flatMap(({ mean: m, variance }) => [m, variance]),
        ])
        const values = await Promise.all([...variables, ...method.kept].map((v) => gpu.read(v)))
        const counts = method.models.flatMap(({ norms }) =>
          Object.values(norms).map((n) => n.batches),
        )
        gpu.destroy()
        return { losses, replays, values, counts }
      }
      const alone = await train(async () => {})
      const looked = await train(async (gpu, step) => {
        assert.is(await findNaN(gpu, step), null)
        assert.ok(trace(gpu, step).rows.some(({ pass }) => pass === 'update'))
      })
      assert.ok(looked.replays > 0)
      assert.equal(looked, alone)
    },
  )
}

test('a body that throws leaves everything as it was', async ({ gpu }) => {
  const { w, optimizer, step } = oneLayer(gpu)
  const body = () => {
    gpu.step(() => step(gpu.tensor([1, 2, 3], [1, 3])))
    gpu.step(() => {
      step(gpu.tensor([1, 2, 3], [1, 3]))
      throw new Error('as it happens')
    })
  }
  refuses(() => trace(gpu, body), 'as it happens')
  assert.equal([...(await gpu.read(w))], [1, 2, 3, 4, 5, 6])
  assert.is(optimizer.t, 0)
  assert.is(trace(gpu, () => add(w, w)).rows.length, 1)
})

test('tensors of the body are freed, and what gpu.write wrote stays', async ({ gpu }) => {
  const kept: Tensor[] = []
  const w = gpu.variable([1, 2])
  trace(gpu, () => {
    gpu.write(w, [3, 4])
    kept.push(add(w, 1))
  })
  const [y = w] = kept
  refuses(() => add(y, y), 'a tensor [2] was used after the body of trace')
  assert.equal([...(await gpu.read(w))], [3, 4])
})

test('a page that does not look bundles nothing of it', async () => {
  const contents = `export { openGpu, simclr, resnet18, Adam } from './index.ts'`
  const stdin = { contents, resolveDir: process.cwd() }
  const { outputFiles } = await build({ stdin, bundle: true, write: false, format: 'esm' })
  const text = outputFiles[0]?.text ?? ''
  assert.match(text, /ntxent/)
  for (const word of ['countNonFinite', 'traceEvents', '2 a multiply-add', 'NUMPY'])
    assert.not.ok(text.includes(word), word)
})

test('misuse is refused in words', async ({ gpu }) => {
  const nothing = () => {}
  await refusesAll([
    [
      'no gpu',
      () => call(trace, nothing),
      'trace: gpu must be a Gpu, as openGpu() resolves to, got a function',
    ],
    ['no body', () => call(trace, gpu, 3), 'trace: body must be a function, got 3'],
    [
      'an async body',
      () => trace(gpu, async () => {}),
      'trace: the body must not be async; await outside of it',
    ],
    [
      'within a step',
      () => gpu.step(() => void trace(gpu, nothing)),
      'trace: it cannot run inside a step',
    ],
    [
      'one in another',
      () => trace(gpu, () => trace(gpu, nothing)),
      'trace: it cannot run in the body of trace, findNaN or summary',
    ],
    [
      'a model for names',
      () => call(trace, gpu, nothing, { parameters: { a: 1 } }),
      'trace: parameters must be variables by name, as parametersOf returns, got an object with a',
    ],
    [
      'a search without a body',
      () => call(findNaN, gpu),
      'findNaN: body must be a function, got undefined',
    ],
    [
      'an option misspelt',
      () => call(findNaN, gpu, nothing, { infinite: true }),
      `findNaN: there is no option 'infinite'; did you mean 'infinities'? Its options are parameters, infinities`,
    ],
    [
      'a profile of no run',
      () => call(profile, gpu, nothing, { runs: 0 }),
      'profile: runs must be a whole number from 1 on, got 0',
    ],
    [
      'a profile without a body',
      () => call(profile, gpu),
      'profile: body must be a function, got undefined',
    ],
    [
      'an undo that is none',
      () => call(gpu.everyStep.bind(gpu), nothing, 1),
      'Gpu.everyStep: undo must be a function, got 1',
    ],
  ])
})

test.run()
