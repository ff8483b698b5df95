// Kernels compiled ahead: the first steps compile nothing, and are those of a training that was not
// warmed.

import * as assert from 'uvu/assert'
import type { Dataset } from '../../data/dataset.ts'
import { type Tensor, type Variable, kernel } from '../../kernels/op.ts'
import { augment } from '../../kernels/augment/augment.ts'
import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { classifier } from '../../evaluate/classify.ts'
import { fineTuner } from '../../evaluate/fine-tune.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import type { Trainer } from '../../methods/entry.ts'
import { methods } from '../../methods/registry.ts'
import { classifiers } from '../../models/classifiers.ts'
import { resnet8 } from '../../models/resnet.ts'
import { configOf } from '../../training/config.ts'
import { trainerOf } from '../../training/prepare.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refusesAsync } from '../fixtures/refusal.ts'

const test = gpuSuite('kernels compiled ahead')

const [N, S] = [8, 32]
const image = { height: S, width: S, channels: 3 }
const labels = Int32Array.from({ length: 24 }, (_, i) => i % 3)
const set = { image, size: 24, labels, classes: ['a', 'b', 'c'] } as unknown as Dataset // as much as is asked
const pixels = Uint8Array.from({ length: N * S * S * 3 }, (_, i) => (i * 7) % 251)
const batch = { pixels, shape: [N, S, S, 3] }
const indices = Uint32Array.from({ length: N }, (_, i) => i)
const small = { data: 'procedural:24,8', batch: N, epochs: 2 }
const tower = { model: 'resnet8', stem: 'imagenet', width: 2 } as const

/** Makes a method of the registry: 'memory-bank?loss=nce' with an option. */
function trainer(gpu: Gpu, title: string, capture: boolean): Trainer {
  const [name = '', option] = title.split('?')
  const [key = '', value] = option?.split('=') ?? []
  const own = name === 'amdim' ? { width: 4, features: 16, depth: 1 } : tower
  const splits = title === 'moco' ? { bnSplits: 2, queue: 32 } : {}
  const config = configOf(name, {
    ...small,
    ...own,
    ...splits,
    ...(value && { [key]: value }),
  })
  return trainerOf(gpu, config, { stepsPerEpoch: 3, images: set, capture })
}

const variants = [
  ...methods.keys(),
  ...['moco?preset=moco-v3-demo', 'memory-bank?loss=nce', 'simclr?loss=sup-con'],
]

for (const name of variants)
  for (const capture of [true, false])
    test(`${name}${capture ? '' : ', eager'}: the first steps compile nothing`, async ({
      gpu: { device },
    }) => {
      const activations = name === 'simclr' ? 'f16' : 'f32' // with a scaler
      const losses: (readonly number[])[] = []
      for (const isWarm of [true, false]) {
        const gpu = new Gpu(device, { activations })
        const one = trainer(gpu, name, capture)
        await gpu.sync()
        const before = gpu.stats()
        const counts = () => [one.state.step, one.optimizer.t, ...counters(one)]
        const begin = counts()
        if (isWarm) {
          await one.warm(batch, indices)
          const after = gpu.stats()
          assert.ok(after.pipelines > before.pipelines + 10, `${after.pipelines} pipelines`)
          for (const what of ['dispatches', 'submits', 'bindGroups'] as const)
            assert.is(after[what], before[what], what)
          assert.equal(counts(), begin)
        }
        const { pipelines } = gpu.stats()
        const told: number[] = []
        for (let t = 0; t < 3; t++) told.push(...(await gpu.read(one.step(batch, indices))))
        losses.push(told)
        if (isWarm) assert.is(gpu.stats().pipelines, pipelines)
        else assert.ok(gpu.stats().pipelines > pipelines)
        assert.is(one.state.step, 3)
        gpu.destroy()
      }
      assert.equal(losses[0], losses[1])
    })

const counters = ({ kept, encoder }: Trainer) => [
  ...Object.values(kept.counters).map(({ read }) => read()),
  ...Object.values(encoder.norms).map(({ batches }) => batches),
]

test('a step of your own is warmed once for each signature', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  const w = gpu.variable([1, 2])
  const optimizer = new Sgd({ w })
  let [steps, bodies] = [0, 0]
  const captured = gpu.capture((x: Tensor, squares: boolean) => {
    bodies++
    const y = squares ? mul(x, w) : add(x, w)
    const loss = sum(y)
    optimizer.step(gpu.backward(loss), () => 0.5)
    gpu.everyStep(() => steps++)
    return loss
  })
  const x = { values: Float32Array.of(3, 4), shape: [2] }
  await captured.warm(x, true)
  assert.equal([bodies, steps, optimizer.t], [1, 0, 0])
  const { pipelines } = gpu.stats()
  assert.is(await gpu.item(captured.run(x, true)), 11)
  assert.is(gpu.stats().pipelines, pipelines)
  await captured.warm(x, true) // all is there
  assert.is(gpu.stats().pipelines, pipelines)
  await captured.warm(x, false)
  assert.ok(gpu.stats().pipelines > pipelines)
  assert.equal([...(await gpu.read(w))], [-0.5, 0])
  assert.equal([steps, optimizer.t], [1, 1])
  gpu.destroy()
})

test('a warm-up leaves what the last step returned, and may overlap with steps', async ({
  gpu: { device },
}) => {
  const gpu = new Gpu(device)
  const w = gpu.variable([2])
  const captured = gpu.capture((x: Tensor) => mul(mul(x, w), x))
  const returned = gpu.step(() => gpu.tensor([7]))
  const warming = captured.warm({ values: Float32Array.of(3), shape: [1] })
  assert.is(await gpu.item(returned), 7)
  const y = captured.run({ values: Float32Array.of(3), shape: [1] })
  const { pipelines } = gpu.stats()
  await warming
  assert.is(gpu.stats().pipelines, pipelines)
  assert.is(await gpu.item(y), 18)
  gpu.destroy()
})

test('a step that cannot be replayed is warmed too, up to a read', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  const w = gpu.variable([2])
  const captured = gpu.capture((x: Tensor) => {
    const y = mul(mul(x, x), gpu.tensor([2]))
    gpu.write(w, [3])
    const z = add(y, w)
    void gpu.read(z)
    return sum(z)
  })
  const x = { values: Float32Array.of(3), shape: [1] }
  await captured.warm(x)
  assert.is(gpu.stats().pipelines, 2)
  assert.equal([...(await gpu.read(w))], [2])
  assert.is(await gpu.item(captured.run(x)), 21)
  gpu.destroy()
})

test('classifiers and fine-tuning are warmed too', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  const side = [S, S, 3] as const
  const labelled = { images: pixels, labels: labels.subarray(0, N) }
  const encoder = resnet8(gpu, { width: 2 })
  const head = classifiers(gpu, { features: encoder.features, classes: 3, hidden: 8 })
  const views = (x: Tensor, step: unknown) =>
    augment(x, cifarRecipe(S), { seed: 1, step: step === null ? 0 : 1, view: 0 })
  const probe = classifier(gpu, {
    features: (x, step) => encoder.forward(views(x, step), { training: false }),
    classify: head.forward,
    ...{ optimizer: new Sgd(head.parameters), schedule: 0.1, image: side },
  })
  const tuned = fineTuner(gpu, {
    ...{ encoder, classes: 3, views, schedule: 0.1, image: side },
    optimizer: (parameters: Readonly<Record<string, Variable>>) => new Sgd(parameters),
  })
  for (const one of [probe, tuned]) {
    await one.warm(labelled)
    const { pipelines } = gpu.stats()
    assert.is(one.state.step, 0)
    one.step(labelled)
    one.step(labelled)
    await gpu.sync()
    assert.is(gpu.stats().pipelines, pipelines)
  }
  gpu.destroy()
})

test('a kernel that does not compile is named, and other errors are told', async ({ gpu }) => {
  const wrong = kernel`
    @group(0) @binding(0) var<storage, read_write> x: array<f32>;
    @compute @workgroup_size(1)
    fn wrong() { x[0] = nothing; }
  `
  const w = gpu.variable([1])
  const captured = gpu.capture(() => void gpu.run(wrong, { updates: [w], groups: [1] }))
  const error = await captured.warm().catch((cause: unknown) => cause)
  assert.is((error as Error).name, 'GpuError')
  assert.match((error as Error).message, /^wrong: WGSL error at line 4: .*nothing/)
  const failing = gpu.capture(() => {
    throw new RangeError('of its own')
  })
  await refusesAsync(() => failing.warm(), 'of its own')
  await refusesAsync(
    () => gpu.capture((x: Tensor) => x).warm([1] as never),
    'captured step: input 0 must be a tensor, { values, shape }, a string, number or boolean, got an array of 1',
  )
  await refusesAsync(
    () => gpu.step(() => void (inside = captured.warm())) ?? inside,
    'Gpu.step: a step cannot run inside a step',
  )
  const gone = new Gpu(gpu.device)
  const late = gone.capture(() => {})
  gone.destroy()
  await refusesAsync(() => late.warm(), 'this Gpu was destroyed')
})

let inside: Promise<void> = Promise.resolve()

test.run()
