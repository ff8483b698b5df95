import * as assert from 'uvu/assert'
import { type Tensor, type Variable, kernel } from '../../../kernels/op.ts'
import { add } from '../../../kernels/elementwise/add.ts'
import { crossEntropy } from '../../../kernels/loss/cross-entropy.ts'
import { dropout } from '../../../kernels/elementwise/dropout.ts'
import { linear } from '../../../kernels/matmul/linear.ts'
import { mul } from '../../../kernels/elementwise/mul.ts'
import { relu } from '../../../kernels/elementwise/relu.ts'
import { sum } from '../../../kernels/reduce/sum.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { type Optimizer, Adam, Lars, Sgd } from '../../../engine/optim/optimizer.ts'
import { warmup, constant } from '../../../engine/optim/schedule.ts'
import { resnet18 } from '../../../models/resnet.ts'
import { random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('capture')

const make: Record<string, (parameters: Record<string, Variable>) => Optimizer> = {
  Sgd: (parameters) => new Sgd(parameters, { momentum: 0.9 }),
  Adam: (parameters) => new Adam(parameters),
  Lars: (parameters) => new Lars(parameters, { weightDecay: 1e-3 }),
}

/** A classifier of two layers with dropout, its batches [N, 5] and labels, and what it has
 *  become. */
function classifier(gpu: Gpu, name = 'Adam') {
  const w1 = gpu.variable(random(40, 1), [8, 5])
  const w2 = gpu.variable(random(24, 2), [3, 8])
  const optimizer = make[name]?.({ w1, w2 })
  if (!optimizer) throw new Error(name)
  const state = { step: 0 }
  const schedule = warmup(4, constant(0.05))
  const body = (x: Tensor, labels: Tensor) => {
    const h = dropout(relu(linear(x, w1)), 0.25, {
      ...{ seed: 3, step: () => state.step, stream: 'h' },
    })
    const loss = crossEntropy(linear(h, w2), labels)
    optimizer.step(gpu.backward(loss), () => schedule(state.step))
    gpu.everyStep(() => state.step++)
    return loss
  }
  const batch = (N: number, s: number) => ({ values: random(N * 5, 100 + s), shape: [N, 5] })
  const labels = (N: number, s: number) => ({
    values: Int32Array.from({ length: N }, (_, i) => (i * 7 + s) % 3),
    shape: [N],
  })
  const weights = async () => [...(await gpu.read(w1)), ...(await gpu.read(w2))]
  return { body, batch, labels, state, optimizer, weights }
}

for (const name of ['Sgd', 'Adam', 'Lars']) {
  test(`${name}: 20 steps, losses read late, are those of steps run one by one, bit for bit`, async ({
    gpu,
  }) => {
    const results = []
    for (const replay of [false, true]) {
      const { body, batch, labels, state, optimizer, weights } = classifier(gpu, name)
      const captured = gpu.capture(body, { replay })
      const losses = Array.from({ length: 20 }, (_, s) =>
        gpu.read(captured.run(batch(6, s), labels(6, s))),
      )
      const told = (await Promise.all(losses)).map(([loss]) => loss)
      assert.is(captured.replays, replay ? 18 : 0, `${captured.reason}`)
      results.push([...told, ...(await weights()), state.step, optimizer.t])
      captured.release()
    }
    assert.equal(results[1], results[0])
  })
}

test('a step of thousands of commands is submitted in parts', async ({ gpu }) => {
  const scale = gpu.variable([1.0001], [1])
  const captured = gpu.capture((x: Tensor) => {
    let y = x
    for (let i = 0; i < 4100; i++) y = mul(y, scale)
    return y
  })
  const results: number[] = []
  for (let s = 0; s < 3; s++)
    results.push(...(await gpu.read(captured.run({ values: Float32Array.of(1), shape: [1] }))))
  assert.is(captured.replays, 1, `${captured.reason}`)
  assert.is(results[2], results[0])
  const before = gpu.stats()
  await gpu.read(captured.run({ values: Float32Array.of(1), shape: [1] }))
  const after = gpu.stats()
  assert.is(after.dispatches - before.dispatches, 4100)
  assert.ok(after.submits - before.submits >= 2)
  captured.release()
})

test('nothing is created after the first steps, and memory is flat over 1,000 of them', async ({
  gpu,
}) => {
  const { body, batch, labels } = classifier(gpu)
  const captured = gpu.capture(body)
  const step = async (s: number) => {
    const [loss = NaN] = await gpu.read(captured.run(batch(6, s % 5), labels(6, s % 5)))
    return loss
  }
  for (let s = 0; s < 4; s++) await step(s)
  const before = gpu.stats()
  for (let s = 4; s < 1004; s++) assert.ok(Number.isFinite(await step(s)))
  const after = gpu.stats()
  assert.is(captured.replays, 1002)
  for (const count of ['buffers', 'bindGroups', 'pipelines'] as const)
    assert.is(after[count], before[count], count)
  assert.ok(after.bytes <= before.bytes, 'bytes') // fewer, once what the first steps left behind is given back
  assert.is(after.submits - before.submits, 2000) // the step, and the copy that reads its loss
  captured.release()
})

test('a ResNet needs what is alive at a time, from the first step on, and less than step by step', async ({
  gpu: host,
}) => {
  const values = random(16 * 768, 7)
  const needs = async (replay: boolean) => {
    const gpu = new Gpu(host.device)
    const model = resnet18(gpu, { stem: 'cifar', width: 4 })
    const optimizer = new Sgd(model.parameters)
    const captured = gpu.capture(
      (x: Tensor) => {
        const loss = sum(model.forward(x, { training: true }))
        optimizer.step(gpu.backward(loss), () => 0.01)
        return loss
      },
      { replay },
    )
    const variables = gpu.stats().bytes
    const bytes: number[] = []
    for (let i = 0; i < 4; i++) {
      captured.run({ values, shape: [16, 16, 16, 3] })
      bytes.push(gpu.stats().bytes - variables)
    }
    await gpu.sync()
    assert.is(model.norms['bn1']?.batches, 4)
    const { memory } = captured
    gpu.destroy()
    return { bytes, memory }
  }
  const { bytes: eager } = await needs(false)
  const { bytes: planned, memory } = await needs(true)
  assert.ok((planned[0] ?? NaN) < 0.8 * (eager[0] ?? NaN), `${planned.join()} of ${eager.join()}`)
  assert.equal(
    planned,
    Array.from(planned, () => planned[0]),
  )
  const { bytes, least } = memory ?? { bytes: NaN, least: 0 }
  assert.ok(bytes <= 1.2 * least, `${bytes}, at least ${least}`)
})

test('a tensor or values may be given; another shape has a plan of its own', async ({ gpu }) => {
  const w = gpu.variable([2], [1])
  const captured = gpu.capture((x: Tensor) => mul(x, w))
  const run = async (values: number[]) => [
    ...(await gpu.read(captured.run({ values, shape: [values.length] }))),
  ]
  for (const v of [1, 2, 3, 4]) assert.equal(await run([v, v]), [2 * v, 2 * v])
  assert.equal([...(await gpu.read(captured.run(gpu.tensor([5, 6], [2]))))], [10, 12])
  assert.is(captured.reason, null)
  assert.is(captured.replays, 3)
  assert.equal(await run([1, 2, 3]), [2, 4, 6])
  assert.is(captured.reason, 'input 0 was f32 [2], now f32 [3]')
  assert.equal(await run([7, 8]), [14, 16])
  assert.is(captured.replays, 4) // one odd batch has cost nothing
  for (const v of [1, 2, 3, 4]) assert.equal(await run([v, v, v]), [2 * v, 2 * v, 2 * v])
  assert.is(captured.replays, 7) // the second recording, then three replays
  captured.release()
})

test('a setting is part of the structure, and so is whether gradients are wanted', async ({
  gpu,
}) => {
  const w = gpu.variable([2], [1])
  const captured = gpu.capture((x: Tensor, twice: boolean) =>
    twice ? mul(mul(x, w), w) : mul(x, w),
  )
  const run = async (twice: boolean) => [
    ...(await gpu.read(captured.run({ values: [3], shape: [1] }, twice))),
  ]
  for (let i = 0; i < 4; i++) assert.equal(await run(false), [6])
  assert.equal(await run(true), [12])
  assert.is(captured.reason, 'input 1 was false, now true')
  assert.equal(await run(false), [6])
  assert.is(captured.reason, null)
  gpu.noGrad(() => captured.run({ values: [3], shape: [1] }, false))
  assert.is(captured.reason, 'noGrad was false, now true')
  captured.release()
})

const enqueueKernel = kernel`
  struct Params { N: u32, start: u32, momentum: f32 }
  @group(0) @binding(0) var<storage, read>       keys:  array<f32>; // [N]
  @group(0) @binding(1) var<storage, read_write> queue: array<f32>; // [K]
  @group(0) @binding(2) var<storage, read_write> mean:  array<f32>; // [N]
  @group(0) @binding(3) var<uniform>             p:     Params;
  @compute @workgroup_size(64)
  fn enqueue(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= p.N) { return; }
    queue[p.start + id.x] = keys[id.x];
    mean[id.x] = p.momentum * mean[id.x] + (1 - p.momentum) * keys[id.x];
  }
`

test("a method's own state replays: the pointer of a queue, the momentum of a moving average", async ({
  gpu,
}) => {
  const results = []
  for (const replay of [false, true]) {
    const [queue, mean] = [gpu.variable(new Float32Array(6), [6]), gpu.variable([0, 0], [2])]
    const state = { step: 0, pointer: 0 }
    const captured = gpu.capture(
      (keys: Tensor) => {
        const params = {
          N: 2,
          start: () => state.pointer,
          momentum: () => 1 - 1 / (state.step + 1),
        }
        gpu.run(enqueueKernel, { reads: [keys], updates: [queue, mean], params, groups: [1] })
        gpu.everyStep(() => {
          state.pointer = (state.pointer + 2) % 6
          state.step++
        })
      },
      { replay },
    )
    for (let i = 0; i < 11; i++) captured.run({ values: [i, -i], shape: [2] })
    assert.is(captured.replays, replay ? 9 : 0, `${captured.reason}`)
    results.push([...(await gpu.read(queue)), ...(await gpu.read(mean))])
    captured.release()
  }
  assert.equal(results[1]?.slice(0, 6), [9, -9, 10, -10, 8, -8])
  assert.equal(results[1], results[0])
})

test('a variable among the inputs is used in place, and another one is another step', async ({
  gpu,
}) => {
  const [a, b] = [gpu.variable([2, 3], [2]), gpu.variable([5, 7], [2])]
  const captured = gpu.capture((x: Tensor, w: Tensor) => sum(mul(x, w)))
  const run = async (w: Variable) =>
    (await gpu.read(captured.run({ values: [1, 10], shape: [2] }, w)))[0]
  for (let call = 0; call < 3; call++) assert.is(await run(a), 32)
  assert.is(captured.replays, 1)
  gpu.write(a, [4, 3])
  assert.is(await run(a), 34)
  assert.is(captured.replays, 2)
  assert.is(await run(b), 75)
  assert.match(
    captured.reason ?? '',
    /^input 1 was the variable \[2\] at [\d:]+, now the variable \[2\] at [\d:]+$/,
  )
  captured.release()
  assert.equal([...(await gpu.read(a)), ...(await gpu.read(b))], [4, 3, 5, 7]) // not given back with it
})

test('a variable that moves is followed, by tracing again', async ({ gpu }) => {
  const w = gpu.variable([2, 3], [2])
  const captured = gpu.capture((x: Tensor) => mul(x, w))
  const run = async () => [...(await gpu.read(captured.run({ values: [1, 1], shape: [2] })))]
  for (let i = 0; i < 4; i++) assert.equal(await run(), [2, 3])
  const optimizer = new Sgd({ w }) // moves it into its flat buffer
  optimizer.step(gpu.backward(mul(w, w)), 0.5)
  assert.equal(await run(), [0, 0])
  assert.is(captured.reason, 'a variable or tensor that it uses has moved or gone')
  gpu.write(w, [4, 5])
  for (let i = 0; i < 4; i++) assert.equal(await run(), [4, 5])
  assert.is(captured.reason, null)
  captured.release()
})

test('what a replay returns dies with the next step, and carries no gradient past its own', async ({
  gpu,
}) => {
  const w = gpu.variable([2], [1])
  const captured = gpu.capture((x: Tensor) => [mul(x, w), w, add(x, x)] as const)
  const run = (v: number) => captured.run({ values: [v], shape: [1] })
  for (const v of [1, 2, 3]) run(v)
  const [product, same, double] = run(4)
  assert.is(captured.replays, 2)
  assert.is(same, w)
  assert.equal([...(await gpu.read(product)), ...(await gpu.read(double))], [8, 8])
  const scaled = mul(product, 3)
  refuses(() => gpu.backward(scaled), 'a tensor [1] has no gradient after the step it was made in')
  run(5)
  refuses(() => add(product, 1), 'a tensor [1] was used after the step it was made in')
  gpu.step(() => {})
  refuses(() => add(double, 1), 'a tensor [1] was used after the step it was made in')
  captured.release()
})

test('a body that throws has changed nothing, and steps do not nest', async ({ gpu }) => {
  const { body, batch, labels, weights } = classifier(gpu)
  let fails = true
  const captured = gpu.capture((x: Tensor, y: Tensor) => {
    const loss = body(x, y)
    if (fails) throw new Error('stop')
    return loss
  })
  const before = await weights()
  assert.throws(() => captured.run(batch(6, 0), labels(6, 0)), /^stop$/)
  assert.equal(await weights(), before)
  fails = false
  for (let i = 0; i < 4; i++) captured.run(batch(6, i), labels(6, i))
  assert.is(captured.replays, 2)
  assert.throws(
    () => gpu.step(() => captured.run(batch(6, 0), labels(6, 0))),
    /a step cannot run inside a step/,
  )
  captured.run(batch(6, 5), labels(6, 5))
  assert.is(captured.replays, 3)
  captured.release()
})

test('release gives the memory back, and the step can be captured anew', async ({ gpu }) => {
  const captured = gpu.capture((x: Tensor) => add(mul(x, x), x))
  const values = random(1 << 16)
  const run = () => captured.run({ values, shape: [1 << 16] })
  for (let i = 0; i < 3; i++) run()
  const y = run()
  captured.release()
  refuses(() => add(y, 1), `a tensor [${1 << 16}] was used after the step it was made in`)
  refuses(() => captured.run({ values: [1], shape: [2] }), 'tensor: [2] holds 2 values, got 1')
  const { bytes } = gpu.stats()
  for (let i = 0; i < 4; i++) run()
  assert.is(captured.replays, 4)
  assert.ok(gpu.stats().bytes <= bytes)
  captured.release()
})

test('pace waits for all but the newest work, and reads may wait for their turn', async ({
  gpu,
}) => {
  const w = gpu.variable([0], [1])
  const captured = gpu.capture((x: Tensor) => add(w, x))
  const late: Promise<Float32Array>[] = []
  for (let i = 0; i < 12; i++) {
    late.push(gpu.read(captured.run({ values: [i], shape: [1] })))
    await gpu.pace(2)
  }
  assert.equal(
    (await Promise.all(late)).map(([v]) => v),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
  )
  await gpu.pace(0)
  captured.release()
})

test.run()
