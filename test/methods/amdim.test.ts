import * as assert from 'uvu/assert'
import { reshape } from '../../kernels/shape/reshape.ts'
import { Adam, type Optimizer } from '../../engine/optim/optimizer.ts'
import type { SavedTensor } from '../../engine/safetensors.ts'
import { snapshot } from '../../engine/checkpoint.ts'
import { constant, warmup } from '../../engine/optim/schedule.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { amdim, amdimLosses } from '../../methods/amdim.ts'
import { amdimEncoder } from '../../models/amdim-encoder.ts'
import { classifiers, clippedCrossEntropy } from '../../models/classifiers.ts'
import { loadModel, variablesOf } from '../../models/state.ts'
import { close, random } from '../fixtures/check.ts'
import { Golden, toNHWC } from '../fixtures/golden.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('AMDIM')

test('amdim_train_10: follows the original loop for 10 steps', async ({ gpu }) => {
  const golden = new Golden('amdim_train_10')
  const { ndf, n_rkhs, n_depth, tclip, steps } = golden.config
  const { lr, weight_decay, warmup_steps } = golden.config['optimizer'] as Record<string, number> // as the case has it
  const encoder = amdimEncoder(gpu, {
    size: 32,
    width: Number(ndf),
    features: Number(n_rkhs),
    depth: Number(n_depth),
  })
  const weights = golden.names
    .filter((name) => /^(w|buf)\./.test(name))
    .map((name): [string, SavedTensor] => [
      name.replace(/^(w|buf)\./, ''),
      { data: golden.values(name), shape: golden.shape(name) },
    ])
  const given = new Map(weights)
  for (const [name, saved] of await snapshot(gpu, variablesOf(encoder)))
    if (!given.has(name)) given.set(name, saved)
  loadModel(gpu, encoder, given)
  const optimizer = new Adam(encoder.parameters, {
    betas: [0.8, 0.999],
    weightDecay: weight_decay ?? NaN,
  })
  const first: Promise<Map<string, SavedTensor>>[] = [] // the gradients of the first step, read before they die
  const watched: Optimizer = {
    t: 0,
    state: optimizer.state,
    offsets: optimizer.offsets,
    step(gradients, rate) {
      const named = Object.entries(encoder.parameters).flatMap(([key, v]) => {
        const gradient = gradients.of(v)
        return gradient ? [[key, gradient] as const] : []
      })
      if (first.length === 0)
        first.push(snapshot(gpu, Object.fromEntries(named) as Parameters<typeof snapshot>[1])) // read like variables
      optimizer.step(gradients, rate)
    },
  }
  const [, B = 0, C = 0, H = 0, W = 0] = golden.shape('in.x1')
  const views = ['in.x1', 'in.x2'].map((name) => toNHWC(golden.values(name), [B, C, H, W]))
  const places = golden.values('in.r5_src_loc')
  const { step, state } = amdim(gpu, {
    encoder,
    optimizer: watched,
    schedule: warmup(warmup_steps ?? NaN, constant(lr ?? NaN), { first: 'nonzero' }),
    clip: Number(tclip),
    views: (_, { view }) => gpu.tensor(views[view]?.values ?? [], views[view]?.shape ?? []),
    places({ step: at, view }) {
      const from = (2 * at() + view) * B
      return gpu.tensor(Int32Array.from(places.slice(from, from + B)), [B])
    },
  })
  const losses: number[] = []
  for (let s = 0; s < Number(steps); s++)
    losses.push(...(await gpu.read(step(gpu.tensor([], [0])))).slice(1))
  assert.is(state.step, 10)
  golden.expect('out.losses', losses)
  for (const [prefix, saved] of [
    ['grad.step0.', (await first[0]) ?? new Map<string, SavedTensor>()],
    ['after.', await snapshot(gpu, variablesOf(encoder))],
  ] as const)
    for (const [name, { data }] of saved)
      if (golden.expects(prefix + name)) golden.expect(prefix + name, data as Float32Array) // f32
  for (const [name, { batches }] of Object.entries(encoder.norms))
    if (golden.expects(`after.${name}.num_batches_tracked`))
      golden.expect(`after.${name}.num_batches_tracked`, [batches])
  golden.done()
})

test('amdim_loss_xent agrees with the original code', async ({ gpu }) => {
  const golden = new Golden('amdim_loss_xent')
  const logits = golden.tensor(gpu, 'in.logits')
  const loss = clippedCrossEntropy(logits, golden.indices(gpu, 'in.labels'))
  await golden.match(gpu, 'out.loss', loss)
  await golden.match(gpu, 'grad.logits', gpu.backward(loss).of(logits))
  golden.done()
})

test('amdim_evaluator agrees with the original code', async ({ gpu }) => {
  const golden = new Golden('amdim_evaluator')
  const { hidden } = golden.config
  const [N = 0, features = 0] = golden.shape('in.r1')
  const model = classifiers(gpu, { features, classes: 10, hidden: Number(hidden) })
  const saved = await snapshot(gpu, variablesOf(model))
  for (const name of golden.names.filter((n) => /^(w|buf)\./.test(n)))
    saved.set(name.replace(/^(w|buf)\./, ''), {
      data: golden.values(name),
      shape: golden.shape(name),
    })
  loadModel(gpu, model, saved)
  const h = reshape(golden.tensor(gpu, 'in.r1'), [N, features])
  const at = { training: false }
  await golden.match(gpu, 'out.eval.mlp', model.mlp(h, at))
  await golden.match(gpu, 'out.eval.lin', model.linear(h, at))
  golden.done()
})

const size = 32
const small = { size, width: 4, features: 16, depth: 1 }

/** AMDIM on a tiny encoder, whose views are the images with noise beside what identifies them. */
function toy(gpu: Gpu, seed: number, { capture = true, classify = true } = {}) {
  const encoder = amdimEncoder(gpu, { ...small, seed })
  const probes = classify ? classifiers(gpu, { features: 16, classes: 2, hidden: 8, seed }) : null
  const optimizer = new Adam(
    { ...encoder.parameters, ...probes?.parameters },
    { betas: [0.8, 0.999] },
  )
  const views = {
    flip: 0.5,
    normalize: { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
  } as const
  const schedule = constant(2e-3)
  return amdim(gpu, { encoder, classifiers: probes, optimizer, schedule, views, seed, capture })
}

/** Images [N, 32, 32, 3] of a colour of their own, and whether it is reddish. */
function coloured(N: number, seed: number) {
  const noise = random(N * size * size * 3, seed + 1)
  const colours = random(N * 3, seed + 2)
  const colourOf = (e: number) => colours[3 * Math.floor(e / 3 / size / size) + (e % 3)] ?? NaN
  const pixels = Uint8Array.from(noise, (v, e) => 128 + 10 * v + 100 * colourOf(e))
  const labels = Int32Array.from({ length: N }, (_, n) => Number((colours[3 * n] ?? NaN) > 0))
  return { batch: { pixels, shape: [N, size, size, 3] }, labels }
}

test('learns which views belong together, and its classifiers which class', async ({ gpu }) => {
  const { step } = toy(gpu, 1)
  const losses: Float32Array[] = []
  for (let s = 0; s < 60; s++) {
    const { batch, labels } = coloured(8, 100 + 3 * (s % 2)) // 16 images, again and again
    losses.push(await gpu.read(step(batch, labels)))
  }
  const at = (name: (typeof amdimLosses)[number]) => amdimLosses.indexOf(name)
  const over = (from: number, to: number, i: number) =>
    losses.slice(from, to).reduce((sum, row) => sum + (row[i] ?? NaN), 0) / (to - from)
  for (const name of ['1→5', '1→7', '5→5', 'linear', 'mlp'] as const) {
    const [start, end] = [over(0, 10, at(name)), over(50, 60, at(name))]
    assert.ok(end < 0.9 * start, `${name} went from ${start} to ${end}`)
  }
  for (const [loss = NaN, a = NaN, b = NaN, c = NaN, d = NaN] of losses)
    close([loss], [a + b + c + d], 1e-5, 'the loss is the sum of its parts')
})

test('replayed steps give the same bits as steps run one by one', async ({ gpu }) => {
  const run = async (capture: boolean) => {
    const { step, encoder, captured } = toy(gpu, 3, { capture })
    const losses: Float32Array[] = []
    for (let s = 0; s < 5; s++) {
      const { batch, labels } = coloured(4, 300 + 2 * s)
      losses.push(await gpu.read(step(batch, labels)))
    }
    assert.is(captured.replays > 0, capture, captured.reason ?? '')
    return [losses, await snapshot(gpu, variablesOf(encoder))]
  }
  assert.equal(await run(true), await run(false))
})

test('the classifiers leave the encoder alone', async ({ gpu }) => {
  const run = async (classify: boolean) => {
    const { step, encoder } = toy(gpu, 4, { classify })
    for (let s = 0; s < 3; s++) {
      const { batch, labels } = coloured(4, 400 + 2 * s)
      await gpu.read(step(batch, classify ? labels : null))
    }
    return snapshot(gpu, variablesOf(encoder))
  }
  assert.equal(await run(true), await run(false))
})

test('a batch without a label trains the encoder alone', async ({ gpu }) => {
  const { step } = toy(gpu, 5)
  const { batch, labels } = coloured(4, 500)
  assert.equal(step(batch, labels).shape, [7])
  assert.equal(step(batch, Int32Array.of(-1, 1, -1, -1)).shape, [7])
  assert.equal(step(batch, new Int32Array(4).fill(-1)).shape, [5])
  assert.equal(step(batch).shape, [5])
})

test.run()
