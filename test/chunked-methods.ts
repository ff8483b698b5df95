// Every method but SimCLR on small networks, all made alike, for tests of their chunks.

import type { Scalar, Tensor, Variable } from '../kernels/op.ts'
import { cifarRecipe } from '../kernels/augment-recipes.ts'
import { concat } from '../kernels/concat.ts'
import { globalAvgPool } from '../kernels/global-avg-pool.ts'
import { relu } from '../kernels/relu.ts'
import { slice } from '../kernels/slice.ts'
import type { Gpu } from '../engine/gpu.ts'
import { LossScaler } from '../engine/loss-scaler.ts'
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
import { type Tower, parametersOf } from '../models/tower.ts'
import { random } from './check.ts'
import { EMBEDDING as D, network, plainHead } from './small-network.ts'

export const S = 9 // side of the images, in pixels

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

export const mocoOf =
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

export const makers: Readonly<Record<string, (gpu: Gpu, how: How) => Trained>> = {
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

export const pixels = (N: number, seed = 0) =>
  Uint8Array.from(random(N * S * S * 3, 77 + seed), (v) => Math.floor(127.5 * (v + 1)) % 256)
export const batch = (N: number, seed = 0) => ({ pixels: pixels(N, seed), shape: [N, S, S, 3] })

/** The losses and the gradient of one step, and what it leaves behind. */
export async function oneStep(
  gpu: Gpu,
  make: (gpu: Gpu, how: How) => Trained,
  how: How,
  N: number,
  x?: ImageBatch,
) {
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
