// A budget changes how work is submitted and nothing else.

import * as assert from 'uvu/assert'
import { DeviceLostError } from '../../engine/errors.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import type { GpuOptions } from '../../engine/gpu-rules.ts'
import { Adam } from '../../engine/optim/optimizer.ts'
import { LossScaler } from '../../engine/optim/loss-scaler.ts'
import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import { type Tensor, kernel } from '../../kernels/op.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { assign } from '../../kernels/state/assign.ts'
import { projectionHead } from '../../models/heads.ts'
import { parametersOf } from '../../models/parts.ts'
import { resnet8 } from '../../models/resnet.ts'
import { simclr } from '../../methods/simclr.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('a budget')

const [N, S] = [4, 16]
const pixels = (t: number) =>
  Uint8Array.from({ length: N * S * S * 3 }, (_, i) => (i * (7 + t) + (i >> 5)) % 256)

/** Trains some steps. Returns losses and weights, as they are at the end. */
async function trained(device: GPUDevice, options: GpuOptions, capture: boolean) {
  const gpu = new Gpu(device, options)
  const encoder = resnet8(gpu, { width: 4, seed: 1 })
  const head = projectionHead(gpu, { features: encoder.features, hidden: 16, dim: 8, seed: 2 })
  const optimizer = new Adam(parametersOf({ encoder, head }))
  const scaler = options.activations === 'f16' ? { scaler: new LossScaler(gpu) } : {}
  const { step } = simclr(gpu, {
    ...{ encoder, head, optimizer, schedule: 1e-2, temperature: 0.5, batchNorm: 'joint' },
    ...{ views: cifarRecipe(S), capture, ...scaler },
  })
  const losses: Promise<number>[] = []
  for (let t = 0; t < 5; t++) {
    losses.push(gpu.item(step({ pixels: pixels(t), shape: [N, S, S, 3] })))
    if (t % 2 === 1) await gpu.pace(1)
  }
  const weights = [...(await gpu.read(optimizer.weights))]
  const numbers = [...(await Promise.all(losses)), ...weights]
  const stats = gpu.stats()
  gpu.destroy()
  return { numbers, stats }
}

for (const capture of [true, false])
  for (const activations of ['f32', 'f16'] as const)
    test(`${capture ? 'captured' : 'eager'} steps in ${activations} have the same bits in pieces of any size`, async ({
      gpu: { device },
    }) => {
      const whole = await trained(device, { activations }, capture)
      for (const budget of [1e-6, 5]) {
        const pieces = await trained(device, { activations, budget }, capture)
        assert.equal(pieces.numbers, whole.numbers)
        assert.is(pieces.stats.dispatches, whole.stats.dispatches)
        assert.ok(pieces.stats.submits > whole.stats.submits + 100, `${pieces.stats.submits}`)
      }
    })

test('calls between the pieces of a step wait behind it', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device, { budget: 1e-6 })
  const w = gpu.variable([1])
  const power = gpu.capture((x: Tensor) => {
    let y = x
    for (let i = 0; i < 10; i++) y = mul(y, w)
    return y
  })
  const found: Promise<number>[] = []
  for (let t = 0; t < 4; t++) {
    gpu.write(w, [1 + t])
    found.push(gpu.item(power.run({ values: Float32Array.of(1), shape: [1] })))
    gpu.write(w, [0])
    const scratch = gpu.variable(new Float32Array(1 << 16))
    found.push(gpu.item(gpu.noGrad(() => mul(gpu.tensor([2]), gpu.tensor([3 + t])))))
    gpu.free(scratch)
  }
  assert.equal(await Promise.all(found), [1, 6, 2 ** 10, 8, 3 ** 10, 10, 4 ** 10, 12])
  await gpu.sync()
  gpu.destroy()
})

test('a budget can be changed while a step waits', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  assert.is(gpu.budget, null)
  gpu.budget = 1e-6
  const y = gpu.step(() => {
    let x = gpu.tensor([1, 2])
    for (let i = 0; i < 20; i++) x = mul(x, x)
    return x
  })
  const before = gpu.stats().submits
  gpu.budget = null
  assert.ok(gpu.stats().submits > before, 'the rest went at once')
  assert.equal([...(await gpu.read(y))], [1, Infinity])
  gpu.destroy()
})

test('a Gpu that is destroyed between pieces leaves nothing behind, and tells who waits', async ({
  gpu: { device },
}) => {
  device.pushErrorScope('validation')
  const gpu = new Gpu(device, { budget: 1e-6 })
  const y = gpu.step(() => {
    let x = gpu.tensor([1, 2])
    for (let i = 0; i < 20; i++) x = mul(x, x)
    return x
  })
  const waits = [gpu.read(y), gpu.sync(), gpu.pace(0)]
  gpu.destroy()
  for (const wait of waits)
    assert.instance(await wait.catch((error: unknown) => error), DeviceLostError)
  await device.queue.onSubmittedWorkDone()
  assert.is(await device.popErrorScope(), null)
})

test('errors of a piece are thrown at the next await', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device, { budget: 1e-6 })
  const x = gpu.variable([1])
  const many = { updates: [x], groups: [70000] as [number] } // more than a device allows
  const nothing = kernel`
    @group(0) @binding(0) var<storage, read_write> x: array<f32>;
    @compute @workgroup_size(1)
    fn nothing() { x[0] = 1; }
  `
  for (let i = 0; i < 8; i++) gpu.run(nothing, { updates: [x], groups: [1] })
  gpu.run(nothing, many)
  const error = await gpu.sync().catch((cause: unknown) => cause)
  assert.is((error as Error).name, 'GpuError')
  gpu.destroy()
})

for (const capture of [false, true])
  test(`${capture ? 'captured' : 'eager'} steps see an app's buffer as it was at the call`, async ({
    gpu: { device },
  }) => {
    const found: number[][] = []
    for (const budget of [null, 1e-6]) {
      const gpu = new Gpu(device, { budget })
      const buffer = device.createBuffer({ size: 256, usage: 0x80 | 0xc })
      const write = (value: number) => device.queue.writeBuffer(buffer, 0, Float32Array.of(value))
      const [shared, total] = [gpu.wrap(buffer, [1], 'f32'), gpu.variable([0])]
      const body = () => {
        for (let i = 0; i < 12; i++) assign(total, add(total, shared))
        assign(shared, add(shared, shared))
        return total
      }
      const captured = gpu.capture(body)
      const reads: Promise<Float32Array>[] = []
      for (let t = 1; t <= 5; t++) {
        write(t)
        if (capture) captured.run()
        else gpu.step(body)
        reads.push(gpu.read(total), gpu.read(shared))
        write(-1000)
        gpu.write(shared, [7])
        write(-2000)
        reads.push(gpu.read(shared))
      }
      found.push((await Promise.all(reads)).map(([value = NaN]) => value))
      assert.is(captured.replays > 0, capture)
      gpu.destroy()
      buffer.destroy()
    }
    const sums = [12, 36, 72, 120, 180]
    assert.equal(
      found[0],
      sums.flatMap((sum, t) => [sum, 2 * (t + 1), -2000]),
    )
    assert.equal(found[1], found[0])
  })

test('bufferOf submits what waits in pieces', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device, { budget: 1e-6 })
  const other = gpu.variable([1])
  await gpu.read(mul(other, other)) // its kernel is compiled
  const before = gpu.stats()
  gpu.step(() => {
    let x = gpu.tensor([1, 2])
    for (let i = 0; i < 20; i++) x = mul(x, x)
  })
  assert.is(gpu.stats().submits, before.submits + 2)
  gpu.bufferOf(other)
  const after = gpu.stats()
  assert.is(after.dispatches, before.dispatches + 20)
  assert.is(after.submits, before.submits + 20)
  gpu.destroy()
})

test('with a budget kernels are compiled in the background, to the same bits', async ({
  gpu: { device },
}) => {
  const compile = Reflect.get(device, 'createComputePipeline')
  let blocking = 0
  const counted = (descriptor: GPUComputePipelineDescriptor) => {
    blocking++
    return compile.call(device, descriptor)
  }
  const found: Float32Array[] = []
  const counts: number[] = []
  Object.assign(device, { createComputePipeline: counted })
  try {
    for (const budget of [null, 8]) {
      const gpu = new Gpu(device, { budget })
      const x = gpu.variable([1, 2, 3])
      found.push(await gpu.read(gpu.step(() => mul(add(x, x), x))))
      gpu.destroy()
      counts.push(blocking)
    }
  } finally {
    Object.assign(device, { createComputePipeline: compile })
  }
  assert.equal(counts, [2, 2])
  assert.equal(found[0], Float32Array.of(2, 8, 18))
  assert.equal(found[1], found[0])
})

test('with a budget a kernel that does not compile is named at the next await', async ({
  gpu: { device },
}) => {
  const gpu = new Gpu(device, { budget: 8 })
  const wrong = kernel`
    @group(0) @binding(0) var<storage, read_write> x: array<f32>;
    @compute @workgroup_size(1)
    fn wrong() { x[0] = absent; }
  `
  gpu.run(wrong, { updates: [gpu.variable([1])], groups: [1] })
  const error = await gpu.sync().catch((cause: unknown) => cause)
  assert.match((error as Error).message, /^wrong: .*absent/)
  gpu.destroy()
})

const scaled = kernel`
  @group(0) @binding(0) var<storage, read_write> x: array<f32>;
  override size: f32 = 1.0;
  @compute @workgroup_size(1)
  fn scaled() { x[0] = size; }
`

test('a constant that is no finite number is refused at the call, with and without a budget', async ({
  gpu: { device },
}) => {
  for (const budget of [null, 8]) {
    const gpu = new Gpu(device, { budget })
    const x = gpu.variable([1])
    for (const size of [NaN, Infinity])
      for (let again = 0; again < 2; again++)
        refuses(
          () => gpu.run(scaled, { updates: [x], groups: [1], constants: { size } }),
          `scaled: constant size must be a finite number, got ${size}`,
        )
    gpu.run(scaled, { updates: [x], groups: [1], constants: { size: 3 } })
    assert.equal(await gpu.read(x), Float32Array.of(3))
    gpu.destroy()
  }
})

test('a wrong budget is refused', ({ gpu }) => {
  refuses(
    () => new Gpu(gpu.device, { budget: 0 }),
    'Gpu: budget must be a finite number of milliseconds above 0, or null, got 0',
  )
  refuses(
    () => Object.assign(gpu, { budget: '8' }),
    "Gpu: budget must be a finite number of milliseconds above 0, or null, got '8'",
  )
  refuses(
    () => Object.assign(gpu, { budget: Infinity }),
    'Gpu: budget must be a finite number of milliseconds above 0, or null, got Infinity',
  )
  assert.is(gpu.budget, null)
})

test.run()
