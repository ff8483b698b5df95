// Every loss that SimCLR can train: as the op called by hand, replayed, in chunks; labels, and what
// SigLIP's learns itself.

import * as assert from 'uvu/assert'
import type { Tensor, Variable } from '../../kernels/op.ts'
import { augment } from '../../kernels/augment/augment.ts'
import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import { dcl, dclw } from '../../kernels/loss/dcl.ts'
import { ntXent } from '../../kernels/loss/ntxent.ts'
import { sigLip } from '../../kernels/loss/siglip.ts'
import { supCon } from '../../kernels/loss/supcon.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { type Optimizer, Sgd } from '../../engine/optim/optimizer.ts'
import {
  type ContrastiveLossName,
  contrastiveLosses as losses,
} from '../../methods/contrastive-losses.ts'
import { type SimclrOptions, simclr } from '../../methods/simclr.ts'
import { lossScale } from '../../models/loss-scale.ts'
import { loadModel, saveModel } from '../../models/state.ts'
import { forwardTower, parametersOf } from '../../models/tower.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, refusesAll } from '../fixtures/misuse.ts'
import { refuses } from '../fixtures/refusal.ts'
import { apart, network } from '../fixtures/small-network.ts'

const test = gpuSuite('contrastive losses')

const [N, H, T] = [6, 8, 0.5]
const shape = [N, H, H, 3]
const views = cifarRecipe(H)
const names = Object.keys(losses) as ContrastiveLossName[]

const pixelsAt = (step: number) =>
  Uint8Array.from({ length: N * H * H * 3 }, (_, i) => (i * i * 37 + step * 101) % 256)
/** Other labels at each step, some of them unknown. */
const labelsAt = (step: number) =>
  Int32Array.from({ length: N }, (_, n) => ((n * n + step) % 4) - 1)
const batchAt = (step: number) => ({ pixels: pixelsAt(step), shape, labels: labelsAt(step) })

/** SimCLR on a new network, and all that it trains. */
function trainer(gpu: Gpu, name: ContrastiveLossName, options: Partial<SimclrOptions> = {}) {
  const tower = network(gpu, false)
  const scale = losses[name].learnsScale ? { scale: lossScale(gpu) } : {}
  const parameters = { ...parametersOf(tower), ...scale.scale?.parameters }
  const optimizer = new Sgd(parameters, { momentum: 0.9 })
  const own = { ...tower, ...scale, optimizer, loss: losses[name], views }
  const method = simclr(gpu, {
    ...{ schedule: 0.1, temperature: T, batchNorm: 'per-view', ...own },
    ...options,
  })
  return { ...method, parameters }
}

const valuesOf = async (gpu: Gpu, variables: Readonly<Record<string, Variable>>) =>
  Promise.all(Object.values(variables).map(async (v) => [...(await gpu.read(v))]))

/** The same two steps, op by op. */
async function byHand(gpu: Gpu, name: ContrastiveLossName) {
  const tower = network(gpu, false)
  const [logScale, bias] = [gpu.variable([Math.log(10)], []), gpu.variable([-10], [])]
  const own = name === 'sig-lip' ? { 'loss.logScale': logScale, 'loss.bias': bias } : {}
  const parameters = { ...parametersOf(tower), ...own }
  const optimizer = new Sgd(parameters, { momentum: 0.9 })
  const told: number[] = []
  for (const step of [0, 1]) {
    const loss = gpu.step(() => {
      const x = gpu.tensor(pixelsAt(step), shape)
      const [z1, z2] = [0, 1].map((view) =>
        forwardTower(tower, augment(x, views, { seed: 0, step, view }), { training: true }),
      ) as [Tensor, Tensor]
      const of = {
        'nt-xent': () => ntXent(z1, z2, T),
        dcl: () => dcl(z1, z2, T),
        dclw: () => dclw(z1, z2, T),
        'sup-con': () => supCon(z1, z2, labelsAt(step), T),
        'sig-lip': () => sigLip(z1, z2, logScale, bias),
      }[name]()
      optimizer.step(gpu.backward(of), 0.1)
      return of
    })
    told.push(await gpu.item(loss))
  }
  return { told, values: await valuesOf(gpu, parameters) }
}

for (const name of names) {
  test(`${name}: two steps are those of the op called by hand, to the bit`, async ({ gpu }) => {
    const { step, parameters } = trainer(gpu, name)
    const before = await valuesOf(gpu, parameters)
    const told = [await gpu.item(step(batchAt(0))), await gpu.item(step(batchAt(1)))]
    const values = await valuesOf(gpu, parameters)
    assert.equal({ told, values }, await byHand(gpu, name))
    assert.ok(told.every(Number.isFinite))
    for (const [i, parameter] of Object.keys(parameters).entries())
      assert.not.equal(values[i], before[i], parameter)
  })

  for (const chunk of [null, 4])
    test(`${name}, chunk ${chunk}: replays with other labels give the bits of steps run one by one`, async ({
      gpu,
    }) => {
      const results = []
      for (const capture of [false, true]) {
        const { step, captured, parameters } = trainer(gpu, name, { capture, chunk })
        const told: number[] = []
        for (let s = 0; s < 5; s++) told.push(await gpu.item(step(batchAt(s))))
        assert.is(captured.replays, capture ? 3 : 0, `${captured.reason}`)
        results.push({ told, values: await valuesOf(gpu, parameters) })
        captured.release()
      }
      assert.equal(results[1], results[0])
    })

  test(`${name}: chunks give the batch's loss and gradient`, async ({ gpu }) => {
    const stepOf = async (chunk: number | null) => {
      const seen = new Map<Tensor, Promise<Float32Array>>()
      const optimizer: Optimizer = {
        ...{ t: 0, state: {}, offsets: [] },
        step(gradients) {
          for (const [variable, gradient] of gradients.entries())
            seen.set(variable, gpu.read(gradient))
        },
      }
      const { step, parameters } = trainer(gpu, name, { chunk, optimizer, capture: false })
      const loss = await gpu.item(step(batchAt(0)))
      const gradient: number[] = []
      for (const v of Object.values(parameters)) gradient.push(...((await seen.get(v)) ?? [NaN]))
      return { loss, gradient }
    }
    const whole = await stepOf(null)
    for (const chunk of [1, 4]) {
      const cut = await stepOf(chunk)
      for (const error of [apart([cut.loss], [whole.loss]), apart(cut.gradient, whole.gradient)])
        assert.ok(error < 2e-6, `chunk ${chunk}: relative error ${error}`) // float32 sums in another order
    }
  })
}

test('NT-Xent is the loss unless another is given', async ({ gpu }) => {
  const tower = network(gpu, false)
  const optimizer = new Sgd(parametersOf(tower))
  const options = { ...tower, optimizer, views, schedule: 0, temperature: T } as const
  const { step } = simclr(gpu, { ...options, batchNorm: 'per-view' })
  const given = trainer(gpu, 'nt-xent', { schedule: 0 })
  assert.is(await gpu.item(step(batchAt(0))), await gpu.item(given.step(batchAt(0))))
})

test('labels change the loss of sup-con, and come with numbers of images too', async ({ gpu }) => {
  const { step, state } = trainer(gpu, 'sup-con', { schedule: 0 })
  const lossOf = async (batch: Parameters<typeof step>[0]) => {
    state.step = 0
    return gpu.item(step(batch))
  }
  const pixels = pixelsAt(0)
  const known = await lossOf({ pixels, shape, labels: labelsAt(0) })
  assert.not.equal(await lossOf({ pixels, shape, labels: labelsAt(1) }), known)
  const set = gpu.variable(pixels, shape)
  const indices = [0, 1, 2, 3, 4, 5]
  assert.is(await lossOf({ set, indices, labels: labelsAt(0) }), known)
  assert.is(await lossOf({ images: pixels, shape, labels: [...labelsAt(0)] }), known)
  const plain = trainer(gpu, 'nt-xent', { schedule: 0 })
  const unknown = await lossOf({ pixels, shape, labels: new Int32Array(N).fill(-1) })
  assert.ok(Math.abs(unknown - (await gpu.item(plain.step({ pixels, shape })))) < 1e-5) // each a class of its own
})

test('what a loss needs and lacks is said, and what to do', async ({ gpu }) => {
  const { step } = trainer(gpu, 'sup-con')
  const { labels: _, ...bare } = batchAt(0)
  const none =
    'simclr: the loss needs the label of each image, got none; give a batch of a data set with labels, or { pixels, shape, labels }'
  const scale = lossScale(gpu)
  const tower = network(gpu, false)
  const options = {
    ...{ ...tower, optimizer: new Sgd(parametersOf(tower)), views, schedule: 0 },
    ...{ temperature: T, batchNorm: 'joint' },
  }
  await refusesAll([
    ['a batch without labels', () => step(bare), none],
    ['a data set without labels', () => step({ ...bare, labels: null }), none],
    ['a tensor', () => step(gpu.tensor(pixelsAt(0), shape)), none],
    [
      'too few labels',
      () => step({ ...bare, labels: [1, 2] }),
      'simclr: each of 6 images needs its label, got 2',
    ],
    [
      'half a label',
      () => step({ ...bare, labels: [0.5, 1, 2, 3, 4, 5] }),
      'simclr: labels: 0.5 at 0 is no i32 (whole numbers from -2147483648 to 2147483647)',
    ],
    [
      'no scale',
      () => call(simclr, gpu, { ...options, loss: losses['sig-lip'] }),
      'simclr: the loss learns a scale and a bias; give scale: lossScale(gpu), and its parameters to the optimizer',
    ],
    [
      'a scale that the optimizer lacks',
      () => call(simclr, gpu, { ...options, loss: losses['sig-lip'], scale }),
      'simclr: the optimizer lacks 2 of 6 parameters, loss.logScale, loss.bias; make it of parametersOf({ encoder, head }), or name what is not to be trained, as in frozen: [encoder]',
    ],
    [
      'a scale that is not learned',
      () =>
        call(simclr, gpu, {
          ...options,
          ...{ optimizer: new Sgd({ ...parametersOf(tower), ...scale.parameters }), scale },
        }),
      'simclr: the loss learns no scale; leave scale out, or choose sig-lip',
    ],
    [
      'a name for a loss',
      () => call(simclr, gpu, { ...options, loss: 'dcl' }),
      "simclr: loss must be a loss such as contrastiveLosses.dcl, got 'dcl'",
    ],
  ])
  refuses(
    () => losses['sup-con'].of(scale.bias, scale.bias, { temperature: 1, scale }),
    'sup-con: labels is missing',
  )
})

test("SigLIP's scale and bias begin as in the paper, move, and are saved", async ({ gpu }) => {
  const fresh = lossScale(gpu)
  const logits = fresh.forward(gpu.tensor([1, 0.5]), { training: true })
  assert.ok(apart([...(await gpu.read(logits))], [0, -5]) < 1e-6) // 10 s - 10
  const scale = lossScale(gpu)
  const tower = network(gpu, false)
  const optimizer = new Sgd({ ...parametersOf(tower), ...scale.parameters })
  const options = { ...tower, optimizer, scale, views, schedule: 0.1, temperature: T } as const
  const { step } = simclr(gpu, { ...options, loss: losses['sig-lip'], batchNorm: 'per-view' })
  for (let s = 0; s < 3; s++) step(batchAt(s))
  const moved = await valuesOf(gpu, scale.parameters)
  assert.equal(Object.keys(scale.parameters), ['loss.logScale', 'loss.bias'])
  for (const [i, [start = NaN]] of (await valuesOf(gpu, fresh.parameters)).entries())
    assert.ok(Math.abs((moved[i]?.[0] ?? NaN) - start) > 1e-3)
  loadModel(gpu, fresh, await saveModel(gpu, scale))
  assert.equal(await valuesOf(gpu, fresh.parameters), moved)
})

test.run()
