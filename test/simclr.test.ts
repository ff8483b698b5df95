import * as assert from 'uvu/assert'
import type { Tensor, Variable } from '../kernels/op.ts'
import { add } from '../kernels/add.ts'
import { batchNorm } from '../kernels/batch-norm.ts'
import { conv2d } from '../kernels/conv2d.ts'
import { globalAvgPool } from '../kernels/global-avg-pool.ts'
import { linear } from '../kernels/linear.ts'
import { relu } from '../kernels/relu.ts'
import { reshape } from '../kernels/reshape.ts'
import { slice } from '../kernels/slice.ts'
import type { Gpu } from '../engine/gpu.ts'
import { snapshot } from '../engine/checkpoint.ts'
import { LossScaler } from '../engine/loss-scaler.ts'
import { type Optimizer, Adam, Sgd } from '../engine/optimizer.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import { constant } from '../engine/schedule.ts'
import { simclr } from '../methods/simclr.ts'
import { Builder, type Model, type NormState } from '../models/layers.ts'
import { projectionHead } from '../models/heads.ts'
import { variablesOf } from '../models/state.ts'
import { close, random } from './check.ts'
import { Golden, toHWIO, toNHWC } from './golden.ts'
import { gpuSuite } from './gpu.ts'

const test = gpuSuite('SimCLR')

/** A torch Sequential described by strings: Conv2d, BatchNorm, ReLU, AdaptiveAvgPool, Linear, with the case's weights. */
function sequential(gpu: Gpu, golden: Golden, root: 'f' | 'g'): Model {
  const parameters: Record<string, Variable> = {}
  const norms: Record<string, NormState> = {}
  const own = (name: string) => {
    const key = `w.${root}.${name}`
    const source = { values: golden.values(key), shape: golden.shape(key) }
    const { values, shape } = source.shape.length === 4 ? toHWIO(source.values, source.shape) : source
    return (parameters[`${root}.${name}`] = gpu.variable(values, shape))
  }
  const layers = (golden.config[`${root}_index`] as string[]).map((layer, i): Model['forward'] => {
    const stride = Number(layer.match(/stride=\((\d)/)?.[1] ?? 1)
    const bias = golden.has(`w.${root}.${i}.bias`) ? own(`${i}.bias`) : null
    const weight = golden.has(`w.${root}.${i}.weight`) ? own(`${i}.weight`) : null
    if (layer.startsWith('ReLU')) return (x) => relu(x)
    if (layer.startsWith('AdaptiveAvgPool')) return (x) => globalAvgPool(x)
    if (!weight) throw new Error(`${layer} has no weight`)
    if (layer.startsWith('Linear')) return (x) => (bias ? linear(x, weight, bias) : linear(x, weight))
    if (layer.startsWith('Conv2d')) {
      const convolve = (x: Tensor) => conv2d(x, weight, { stride, padding: 1 })
      return (x) => (bias ? add(convolve(x), bias) : convolve(x))
    }
    const buffer = (name: string) =>
      gpu.variable(golden.values(`buf.${root}.${i}.${name}`), golden.shape(`buf.${root}.${i}.${name}`))
    const state: NormState = { mean: buffer('running_mean'), variance: buffer('running_var'), batches: 0 }
    norms[`${root}.${i}`] = state
    if (!bias) throw new Error(`${layer} has no bias`)
    return (x, { training }) => {
      if (training) gpu.everyStep(() => state.batches++)
      return batchNorm(x, weight, bias, state, { training })
    }
  })
  return {
    parameters,
    norms,
    features: 0,
    forward: (x, mode) => layers.reduce((y, layer) => layer(y, mode), x),
  }
}

for (const [name, chunk] of [
  ['train_tiny_adam_20', null],
  ['train_tiny_sgd_nobn_20', null],
  ['train_tiny_sgd_nobn_20', 3], // without batch norm, chunks change nothing
] as const) {
  const how = chunk === null ? '' : `, in chunks of ${chunk}`
  test(`${name}: follows the original loop for 20 steps${how}`, async ({ gpu }) => {
    const golden = new Golden(name)
    const { lr, weight_decay, momentum, temperature, num_batches } = golden.config
    const [encoder, head] = [sequential(gpu, golden, 'f'), sequential(gpu, golden, 'g')]
    const parameters = { ...encoder.parameters, ...head.parameters }
    const weightDecay = Number(weight_decay)
    const optimizer =
      golden.config['optimizer'] === 'adam'
        ? new Adam(parameters, { weightDecay })
        : new Sgd(parameters, { weightDecay, momentum: Number(momentum) })
    const first: Promise<Map<string, SavedTensor>>[] = [] // the gradients of the first step, read before they die
    const watched: Optimizer = {
      t: 0,
      state: optimizer.state,
      offsets: optimizer.offsets,
      step(gradients, rate) {
        const named = Object.entries(parameters).map(([key, v]) => [key, gradients.get(v)] as const)
        if (first.length === 0)
          first.push(snapshot(gpu, Object.fromEntries(named) as Record<string, Variable>)) // read like variables
        optimizer.step(gradients, rate)
      },
    }
    const [count = 1, N = 1, C = 3, H = 1, W = 1] = golden.shape('in.pos_1')
    assert.is(count, num_batches)
    const size = N * C * H * W
    const batches = Array.from({ length: count }, (_, b) => {
      const [x1 = [], x2 = []] = [1, 2].map((v) => {
        const values = golden.values(`in.pos_${v}`).slice(b * size, (b + 1) * size)
        return toNHWC(values, [N, C, H, W]).values
      })
      const views = Float32Array.from({ length: 2 * size }, (_value, i) => {
        const [pixel, c] = [Math.floor(i / (2 * C)), i % (2 * C)]
        return (c < C ? x1[pixel * C + c] : x2[pixel * C + c - C]) ?? NaN
      })
      return gpu.tensor(views, [N, H, W, 2 * C]) // a pixel's channels in the first view, then in the second
    })
    const { step, state, captured } = simclr(gpu, {
      encoder,
      head,
      optimizer: watched,
      schedule: constant(Number(lr)),
      temperature: Number(temperature),
      batchNorm: 'per-view',
      views: (x, { view }) => slice(x, 3, view * C, (view + 1) * C),
      chunk,
    })
    const losses: number[] = []
    for (let s = 0; s < Number(golden.config['steps']); s++) {
      losses.push(...(await gpu.read(step(batches[s % count] ?? gpu.tensor([], [0])))))
      if (s === 0) await compare(gpu, golden, 'after.step0.', parameters)
    }
    assert.is(state.step, 20)
    assert.is(captured.replays, 17, `${captured.reason}`) // all but the first, which reads, and two that are traced
    for (const [key, { data }] of (await first[0]) ?? [])
      golden.expect(`grad.step0.${key}`, data as Float32Array) // f32
    golden.expect('out.losses', losses)
    await compare(gpu, golden, 'after.', { ...variablesOf(encoder), ...variablesOf(head) })
    for (const [key, norm] of Object.entries({ ...encoder.norms, ...head.norms }))
      golden.expect(`after.${key}.num_batches_tracked`, [norm.batches])
    golden.done()
  })
}

async function compare(gpu: Gpu, golden: Golden, prefix: string, variables: Record<string, Variable>) {
  for (const [name, { data }] of await snapshot(gpu, variables))
    golden.expect(`${prefix}${name}`, data as Float32Array) // variables are f32
}

/** An encoder of one linear layer over flattened images, and a head, for toys. */
function toy(gpu: Gpu, seed: number) {
  const build = new Builder(gpu, seed)
  const layer = build.linear('0', [8 * 8 * 3, 32])
  const norm = build.norm('1', 32)
  const encoder: Model = {
    parameters: build.parameters,
    norms: build.norms,
    features: 32,
    forward: (x, mode) => relu(norm(layer(reshape(x, [x.shape[0] ?? 0, -1]), mode), mode)),
  }
  return { encoder, head: projectionHead(gpu, { features: 32, hidden: 16, dim: 8, seed }) }
}

for (const statistics of ['per-view', 'joint'] as const) {
  test(`learns to ignore what the augmentation changes, batch norm ${statistics}`, async ({ gpu }) => {
    // an image's red channel is its identity; green and blue are drawn anew in every view
    const { encoder, head } = toy(gpu, 1)
    const parameters = { ...encoder.parameters, ...head.parameters }
    let draw = 0
    const noisy = (x: Tensor) => {
      const noise = random(N * 192, ++draw).map((v, i) => (i % 3 === 0 ? 0 : v))
      return add(x, gpu.tensor(noise, x.shape))
    }
    const N = 32
    const { step } = simclr(gpu, {
      encoder,
      head,
      optimizer: new Adam(parameters),
      schedule: constant(1e-2),
      temperature: 0.2,
      batchNorm: statistics,
      views: noisy,
    })
    const losses: number[] = []
    for (let s = 0; s < 100; s++) {
      const images = random(N * 192, 1000 + s).map((v, i) => (i % 3 === 0 ? v : 0))
      losses.push((await gpu.read(step(gpu.tensor(images, [N, 8, 8, 3]))))[0] ?? NaN)
    }
    const mean = (xs: number[]) => xs.reduce((a, b) => a + b) / xs.length
    const [start, end] = [mean(losses.slice(0, 5)), mean(losses.slice(-5))]
    assert.ok(end < 0.6 * start, `loss went from ${start} to ${end}`)
  })
}

test('two images are enough, and one is refused in words', async ({ gpu }) => {
  const make = () => {
    const { encoder, head } = toy(gpu, 2)
    const optimizer = new Adam({ ...encoder.parameters, ...head.parameters })
    const views = (x: Tensor) => x
    return simclr(gpu, {
      encoder,
      head,
      optimizer,
      schedule: constant(1e-3),
      temperature: 0.5,
      batchNorm: 'per-view',
      views,
    })
  }
  const batch = (N: number) => gpu.tensor(random(N * 192), [N, 8, 8, 3])
  assert.ok(Number.isFinite((await gpu.read(make().step(batch(2))))[0]))
  assert.throws(() => make().step(batch(1)), /batchNorm: .*more than one value per channel/i)
})

test('a scaled loss trains to the same losses', async ({ gpu }) => {
  const runs = []
  for (const scaler of [null, new LossScaler(gpu, { scale: 4096 })]) {
    const { encoder, head } = toy(gpu, 3)
    const optimizer = new Adam({ ...encoder.parameters, ...head.parameters })
    const views = (_: Tensor, { step, view }: { readonly step: number; readonly view: number }) =>
      gpu.tensor(random(8 * 192, 7 + step * 2 + view), [8, 8, 8, 3])
    const settings = { encoder, head, optimizer, schedule: constant(1e-2), temperature: 0.5, views } as const
    const { step } = simclr(gpu, { ...settings, batchNorm: 'joint', ...(scaler ? { scaler } : {}) })
    const losses: number[] = []
    for (let i = 0; i < 4; i++) losses.push(...(await gpu.read(step(gpu.tensor([], [0])))))
    runs.push(losses)
  }
  close(runs[1] ?? [], runs[0] ?? [], 1e-6, 'losses') // powers of two change no digit, save where numbers underflow
})

test.run()
