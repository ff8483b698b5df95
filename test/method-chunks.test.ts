// Every method in chunks: the gradient, the statistics and the state of the whole batch, with the memory of a part.

import * as assert from 'uvu/assert'
import type { Scalar, Tensor, Variable } from '../kernels/op.ts'
import { augment } from '../kernels/augment.ts'
import { cifarRecipe } from '../kernels/augment-recipes.ts'
import { concat } from '../kernels/concat.ts'
import { indexSelect } from '../kernels/gather.ts'
import { globalAvgPool } from '../kernels/global-avg-pool.ts'
import { l2Normalize } from '../kernels/l2-normalize.ts'
import { relu } from '../kernels/relu.ts'
import { shuffleOrder } from '../kernels/shuffle-order.ts'
import { slice } from '../kernels/slice.ts'
import { type Trainer, buildTrainer } from '../cli/build.ts'
import { configOf } from '../cli/config.ts'
import { loadTrainer, saveTrainer } from '../cli/trainer-state.ts'
import type { Gpu } from '../engine/gpu.ts'
import { LossScaler } from '../engine/loss-scaler.ts'
import { openGpu } from '../engine/node.ts'
import { type FlatOptimizer, type Named, Sgd } from '../engine/optimizer.ts'
import { constant } from '../engine/schedule.ts'
import { amdim } from '../methods/amdim.ts'
import type { StepOptions } from '../methods/batches.ts'
import { endToEnd } from '../methods/end-to-end.ts'
import type { ImageBatch } from '../methods/image-batch.ts'
import { memoryBank } from '../methods/memory-bank.ts'
import { moco } from '../methods/moco.ts'
import { mocoV3 } from '../methods/moco-v3.ts'
import type { AmdimEncoder } from '../models/amdim-encoder.ts'
import { classifiers } from '../models/classifiers.ts'
import { KeyQueue } from '../models/key-queue.ts'
import { type Layer, type Mode, type Model, Builder } from '../models/layers.ts'
import { MemoryBank } from '../models/memory-bank.ts'
import { v3Head } from '../models/moco-heads.ts'
import { variablesOf } from '../models/state.ts'
import { type Tower, parametersOf, through } from '../models/tower.ts'
import { random } from './check.ts'
import { gpuSuite } from './gpu.ts'
import { refuses } from './refusal.ts'
import { EMBEDDING as D, apart, network, plainHead } from './small-network.ts'

const test = gpuSuite('methods in chunks')
const S = 9 // side of the images, in pixels

/** An encoder with maps of 7 and 5, as AMDIM's has, with batch norm or without. */
function mapsEncoder(gpu: Gpu, normed: boolean): AmdimEncoder {
  const build = new Builder(gpu, 5)
  const layer = (name: string, C: number, padding: number): Layer => {
    const conv = padding > 0 ? build.conv(name, [C, D]) : build.unpadded(name, [C, D], { size: 3 })
    const norm = normed ? build.norm(`${name}.bn`, D) : null
    return (x, mode) => {
      const y = conv(x, mode)
      return norm ? norm(y, mode, { relu: true }) : relu(y)
    }
  }
  const trunk = Array.from({ length: 6 }, (_, i) => layer(`trunk${i}`, i === 0 ? 3 : D, 1))
  const [to7, to5] = [layer('to7', D, 0), layer('to5', D, 0)]
  const scales = (x: Tensor, mode: Mode) => {
    const r7 = to7(
      trunk.reduce((y, of) => of(y, mode), x),
      mode,
    )
    const r5 = to5(r7, mode)
    return { r1: globalAvgPool(r5), r5, r7 }
  }
  const { parameters, norms } = build
  return { parameters, norms, features: D, scales, forward: (x, mode) => scales(x, mode).r1 }
}

/** Where chunks begin and end. */
type Edges = readonly (readonly [start: number, end: number])[]

/** A model on one tape that takes the statistics of each chunk by itself. */
const chunkwise = (model: Model, edges: Edges): Model => ({
  ...model,
  forward: (x, mode) =>
    concat(
      edges.map(([start, end]) => model.forward(slice(x, 0, start, end), mode)),
      0,
    ),
})

function chunkwiseMaps(encoder: AmdimEncoder, edges: Edges): AmdimEncoder {
  const scales = (x: Tensor, mode: Mode) => {
    const parts = edges.map(([start, end]) => encoder.scales(slice(x, 0, start, end), mode))
    const whole = (which: 'r1' | 'r5' | 'r7') =>
      concat(
        parts.map((part) => part[which]),
        0,
      )
    return { r1: whole('r1'), r5: whole('r5'), r7: whole('r7') }
  }
  return { ...encoder, scales }
}

interface How extends Partial<StepOptions> {
  readonly normed: boolean
  /** Instead of chunks of the method: models that normalise these by themselves. */
  readonly edges?: Edges
  readonly splits?: number
  readonly shuffle?: boolean
  /** Told of every gradient that the optimizer is given. */
  readonly watch?: (gradient: Tensor) => void
}

/** A method at work, whose step knows what else it needs for N images. */
interface Trained {
  readonly step: (batch: ImageBatch, N: number) => Tensor
  readonly captured: { readonly replays: number; readonly reason: string | null; release(): void }
  readonly models: readonly Model[]
  readonly kept: readonly Variable[]
  readonly bytes: () => number
}

/** What every method is made of. */
function ingredients(gpu: Gpu, { normed, edges, watch, ...options }: How) {
  const cut = (model: Model) => (edges ? chunkwise(model, edges) : model)
  const tower = (): Tower => {
    const { encoder, head } = network(gpu, normed)
    return { encoder: cut(encoder), head: cut(head) }
  }
  const sgd = (parameters: Named) => {
    const inner = new Sgd(parameters, { momentum: 0.9 })
    if (!watch) return inner
    const step = (gradients: ReadonlyMap<Tensor, Tensor>, lr: Scalar, scaler?: LossScaler) => {
      for (const variable of Object.values(parameters)) {
        const gradient = gradients.get(variable)
        if (gradient) watch(gradient)
      }
      inner.step(gradients, lr, scaler)
    }
    return Object.create(inner, { step: { value: step } }) as FlatOptimizer // all the rest is the inner one's
  }
  return { cut, tower, sgd, settings: { schedule: constant(0.05), views: cifarRecipe(S), ...options } }
}

const named = (prefix: string, tower: Tower): Named =>
  Object.fromEntries(Object.entries(parametersOf(tower)).map(([name, v]) => [prefix + name, v]))

type Method = {
  readonly captured: { readonly memory: { readonly bytes: number } | null } & Trained['captured']
}

const trained = (
  { captured }: Method,
  step: Trained['step'],
  models: readonly Model[],
  kept: readonly Variable[] = [],
): Trained => ({ step, captured, models, kept, bytes: () => captured.memory?.bytes ?? NaN })

const mocoOf =
  (symmetric: boolean) =>
  (gpu: Gpu, how: How): Trained => {
    const { tower, sgd, settings } = ingredients(gpu, how)
    const [query, key] = [tower(), tower()]
    const queue = new KeyQueue(gpu, { K: 24, C: D })
    const momentum = constant(0.9)
    const optimizer = sgd(parametersOf(query))
    const method = moco(gpu, {
      query,
      key,
      queue,
      momentum,
      optimizer,
      temperature: 0.2,
      symmetric,
      ...settings,
    })
    const models = [query, key].flatMap(({ encoder, head }) => [encoder, head])
    return trained(method, method.step, models, [queue.keys])
  }

const endToEndOf =
  (shared: boolean) =>
  (gpu: Gpu, how: How): Trained => {
    const { tower, sgd, settings } = ingredients(gpu, how)
    const query = tower()
    const key = shared ? query : tower()
    const optimizer = sgd({ ...named('q.', query), ...(shared ? {} : named('k.', key)) })
    const method = endToEnd(gpu, { query, key, optimizer, temperature: 0.2, ...settings })
    const models = (shared ? [query] : [query, key]).flatMap(({ encoder, head }) => [encoder, head])
    return trained(method, method.step, models)
  }

const bankOf =
  (loss: 'infonce' | 'nce') =>
  (gpu: Gpu, how: How): Trained => {
    const { tower, sgd, settings } = ingredients(gpu, how)
    const { encoder, head } = tower()
    const bank = new MemoryBank(gpu, { n: 100, C: D })
    const optimizer = sgd(parametersOf({ encoder, head }))
    const given = { encoder, head, bank, optimizer, loss, negatives: 12, temperature: 0.2, momentum: 0.5 }
    const method = memoryBank(gpu, { ...given, ...settings })
    const indices = (N: number) => Array.from({ length: N }, (_, n) => (7 * n) % 100)
    const step: Trained['step'] = (batch, N) => method.step(batch, indices(N))
    return trained(method, step, [encoder, head], [bank.rows, bank.logZ])
  }

const makers: Readonly<Record<string, (gpu: Gpu, how: How) => Trained>> = {
  MoCo: mocoOf(false),
  'symmetric MoCo': mocoOf(true),
  'MoCo v3': (gpu, how) => {
    const { cut, tower, sgd, settings } = ingredients(gpu, how)
    const [query, key] = [tower(), tower()]
    const own = how.normed ? v3Head(gpu, { name: 'predictor', widths: [D, 8, D] }) : plainHead(gpu, 'p')
    const predictor = cut(own)
    const optimizer = sgd({ ...parametersOf(query), ...predictor.parameters })
    const given = { query, key, predictor, optimizer, temperature: 0.2, momentum: constant(0.9) }
    const method = mocoV3(gpu, { ...given, ...settings })
    const models = [query, key].flatMap(({ encoder, head }) => [encoder, head])
    return trained(method, method.step, [...models, predictor])
  },
  'end-to-end': endToEndOf(false),
  'end-to-end with one encoder': endToEndOf(true),
  'a memory bank with InfoNCE': bankOf('infonce'),
  'a memory bank with NCE': bankOf('nce'),
  AMDIM: (gpu, how) => {
    const { sgd, settings } = ingredients(gpu, how)
    const own = mapsEncoder(gpu, how.normed)
    const encoder = how.edges ? chunkwiseMaps(own, how.edges) : own
    const probes = classifiers(gpu, { features: D, classes: 3, hidden: 8 })
    const optimizer = sgd({ ...encoder.parameters, ...probes.parameters })
    const method = amdim(gpu, { encoder, classifiers: probes, optimizer, ...settings })
    const labels = (N: number) => Int32Array.from({ length: N }, (_, n) => (n % 4) - 1)
    return trained(method, (batch, N) => method.step(batch, labels(N)), [encoder, probes])
  },
}

const pixels = (N: number, seed = 0) =>
  Uint8Array.from(random(N * S * S * 3, 77 + seed), (v) => Math.floor(127.5 * (v + 1)) % 256)
const batch = (N: number, seed = 0) => ({ pixels: pixels(N, seed), shape: [N, S, S, 3] })

/** The losses and the gradient of one step, and what it leaves behind. */
async function oneStep(gpu: Gpu, make: (gpu: Gpu, how: How) => Trained, how: How, N: number, x?: ImageBatch) {
  const gradients: Promise<Float32Array>[] = []
  const method = make(gpu, { ...how, watch: (gradient) => gradients.push(gpu.read(gradient)) })
  const losses = [...(await gpu.read(method.step(x ?? batch(N), N)))]
  const gradient = (await Promise.all(gradients)).flatMap((g) => [...g])
  const read = (variables: readonly Variable[]) => Promise.all(variables.map((v) => gpu.read(v)))
  const norms = method.models.flatMap((model) => Object.values(model.norms))
  return {
    losses,
    gradient,
    kept: (await read(method.kept)).flatMap((values) => [...values]),
    statistics: await read(norms.flatMap(({ mean, variance }) => [mean, variance])),
    counts: norms.map((norm) => norm.batches),
  }
}

for (const [name, make] of Object.entries(makers)) {
  test(`${name}: without batch norm any chunk gives the batch's losses, gradient and state`, async ({
    gpu,
  }) => {
    const N = 7
    const whole = await oneStep(gpu, make, { normed: false }, N)
    assert.ok(Math.hypot(...whole.gradient) > 1e-3)
    for (const chunk of [1, 3, 4]) {
      const cut = await oneStep(gpu, make, { normed: false, chunk }, N)
      for (const what of ['losses', 'gradient', 'kept'] as const) {
        if (whole[what].length === 0) continue
        const error = apart(cut[what], whole[what])
        assert.ok(error < 2e-6, `chunk ${chunk}, ${what}: relative error ${error}`) // float32 sums in another order
      }
      const images = gpu.tensor(pixels(N), [N, S, S, 3])
      assert.equal(await oneStep(gpu, make, { normed: false, chunk }, N, images), cut)
      const set = gpu.variable(pixels(N), [N, S, S, 3])
      const indices = Int32Array.from({ length: N }, (_, n) => n)
      assert.equal(await oneStep(gpu, make, { normed: false, chunk }, N, { set, indices }), cut)
    }
  })

  test(`${name}: a chunk as large as the batch is the plain step, to the bit`, async ({ gpu }) => {
    const whole = await oneStep(gpu, make, { normed: true }, 6)
    for (const chunk of [6, 20]) assert.equal(await oneStep(gpu, make, { normed: true, chunk }, 6), whole)
  })

  test(`${name}: with batch norm each chunk has its own statistics, moved once`, async ({ gpu }) => {
    const N = 8
    const edges = [[0, 2], [2, 5], [5, 8]] as const // prettier-ignore
    const want = await oneStep(gpu, make, { normed: true, edges }, N)
    const cut = await oneStep(gpu, make, { normed: true, chunk: 3 }, N)
    const error = apart(cut.gradient, want.gradient)
    assert.ok(error < 1e-5, `relative error ${error}`) // float32 sums in another order
    assert.equal(cut.statistics, want.statistics)
    assert.equal(cut.counts, want.counts)
    const whole = await oneStep(gpu, make, { normed: true }, N)
    assert.ok(apart(cut.gradient, whole.gradient) > 1e-2, 'statistics of a chunk are not those of the batch')
  })

  test(`${name}: replayed chunks with a scaled loss give the bits of chunks run one by one`, async ({
    gpu,
  }) => {
    const results = []
    for (const capture of [false, true]) {
      const scaler = capture ? { scaler: new LossScaler(gpu, { scale: 1024 }) } : {}
      const { step, captured, models, kept } = make(gpu, { normed: true, chunk: 3, capture, ...scaler })
      const losses: Promise<Float32Array>[] = []
      for (let s = 0; s < 6; s++) losses.push(gpu.read(step(batch(7, s), 7)))
      const told = (await Promise.all(losses)).map((values) => [...values])
      assert.ok(captured.replays >= (capture ? 3 : 0), `${captured.replays} replays: ${captured.reason}`)
      assert.ok(told.flat().every(Number.isFinite))
      const variables = [...models.flatMap((model) => Object.values(variablesOf(model))), ...kept]
      const counts = models.flatMap(({ norms }) => Object.values(norms).map((norm) => norm.batches))
      results.push([told, await Promise.all(variables.map((v) => gpu.read(v))), counts])
      captured.release()
    }
    assert.equal(results[1], results[0])
  })

  test(`${name}: memory grows with the batch by what the loss compares alone`, async () => {
    const bytesOf = async (N: number, chunk: number | null, capture: boolean) => {
      const gpu = await openGpu()
      const { step, bytes } = make(gpu, { normed: true, chunk, capture })
      for (let s = 0; s < 3; s++) await gpu.read(step(batch(N, s), N))
      const needed = capture ? bytes() : gpu.stats().bytes
      gpu.destroy()
      return needed
    }
    const compared = name === 'AMDIM' ? 1 + 25 + 49 : 1 // vectors of an image's view
    for (const capture of compared > 1 ? [false, true] : [true]) {
      const [few, many, whole] = [
        await bytesOf(16, 8, capture),
        await bytesOf(64, 8, capture),
        await bytesOf(64, null, capture),
      ]
      const embeddings = 2 * 48 * D * 4 * compared // bytes of 48 more images', in two views
      assert.ok(many - few <= 5 * embeddings, `${many - few} bytes more, of embeddings ${embeddings}`)
      assert.ok(whole > (compared > 1 ? 3 : 5) * many, `${whole} bytes at once, ${many} in chunks`)
    }
  })
}

test('MoCo splits each chunk for batch norm, into chunks that the splits divide', async ({ gpu }) => {
  const N = 28
  const edges = [[0, 12], [12, 28]] as const // prettier-ignore
  const how = { normed: true, splits: 4, shuffle: false }
  const want = await oneStep(gpu, mocoOf(true), { ...how, edges }, N)
  const cut = await oneStep(gpu, mocoOf(true), { ...how, chunk: 17 }, N)
  const error = apart(cut.gradient, want.gradient)
  assert.ok(error < 1e-5, `relative error ${error}`) // float32 sums in another order
  assert.equal(cut.statistics, want.statistics)
  assert.equal(cut.counts, want.counts)
  assert.ok(apart(cut.gradient, (await oneStep(gpu, mocoOf(true), how, N)).gradient) > 1e-2)
})

test('MoCo shuffles the keys within each chunk, each in another order', async ({ gpu }) => {
  const [N, n] = [16, 8]
  const { kept } = await oneStep(gpu, mocoOf(false), { normed: true, splits: 2, chunk: n }, N)
  const key = network(gpu, true)
  const mode = { training: true, splits: 2 }
  const keys = [0, n].map((offset) => {
    const images = gpu.tensor(pixels(N).slice(offset * S * S * 3, (offset + n) * S * S * 3), [n, S, S, 3])
    const x = augment(images, cifarRecipe(S), { seed: 0, step: 0, view: 1, offset })
    const { order, inverse } = shuffleOrder(x, { seed: 0, step: 0, offset })
    return indexSelect(l2Normalize(through(key, indexSelect(x, 0, order), mode)), 0, inverse)
  })
  assert.equal(kept.slice(0, N * D), [...(await gpu.read(concat(keys, 0)))])
})

for (const [name, method, flags] of [
  ['SimCLR', 'simclr', { preset: 'simclr-demo', batchNorm: 'joint' }],
  ['MoCo', 'moco', { preset: 'moco-v2-demo', queue: 30, bnSplits: 2, symmetric: true }],
  ['MoCo v3', 'moco', { preset: 'moco-v3-demo' }],
  ['a memory bank', 'memory-bank', { preset: 'memory-bank-demo', loss: 'nce', negatives: 10 }],
  ['end-to-end', 'end-to-end', { preset: 'end-to-end-demo' }],
] as const)
  test(`${name}: a training in chunks goes on from a checkpoint to the same bits`, async ({ gpu }) => {
    const tiny = { data: 'procedural:48,20', model: 'resnet8', stem: 'imagenet', width: 2, batch: 12 }
    const config = configOf(method, { ...tiny, ...flags, chunk: 5 }, true)
    assert.is(config.chunk, 5)
    const begun = () => buildTrainer(gpu, config, { stepsPerEpoch: 4, images: 48, capture: true })
    const train = (trainer: Trainer, to: number) => {
      while (trainer.state.step < to) {
        const first = 12 * (trainer.state.step % 4)
        const images = Uint8Array.from(random(12 * 32 * 32 * 3, first), (v) => 127 * (v + 1))
        const indices = Array.from({ length: 12 }, (_, n) => first + n)
        trainer.step({ pixels: images, shape: [12, 32, 32, 3] }, indices)
      }
      return saveTrainer(gpu, trainer)
    }
    const whole = begun()
    const expected = await train(whole, 7)
    assert.is(whole.captured.replays > 0, true, whole.captured.reason ?? '')
    const resumed = begun()
    loadTrainer(gpu, resumed, await train(begun(), 3))
    assert.equal(await train(resumed, 7), expected)
  })

test('a chunk that is no count, or smaller than the splits, is refused', ({ gpu }) => {
  for (const [name, make] of Object.entries(makers)) {
    const called = { MoCo: 'moco', 'MoCo v3': 'mocoV3', AMDIM: 'amdim' }[name]
    if (called !== undefined)
      refuses(
        () => make(gpu, { normed: false, chunk: 2.5 }),
        `${called}: chunk must be a whole number of images from 1 on, got 2.5`,
      )
    assert.throws(
      () => make(gpu, { normed: false, chunk: 0 }),
      /^\w+: chunk must be a whole number of images/,
    )
  }
  refuses(
    () => mocoOf(false)(gpu, { normed: true, splits: 4, chunk: 3 }),
    'moco: each chunk is split for batch norm, so chunk must be at least the 4 splits, got 3',
  )
})

test.run()
