import * as assert from 'uvu/assert'
import type { Scalar, Variable } from '../../kernels/op.ts'
import { affine } from '../../kernels/wgsl/affine.ts'
import { concat } from '../../kernels/shape/concat.ts'
import { globalAvgPool } from '../../kernels/pool/global-avg-pool.ts'
import { l2Normalize } from '../../kernels/reduce/l2-normalize.ts'
import { matmul } from '../../kernels/matmul/matmul.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { snapshot } from '../../engine/checkpoint.ts'
import { type FlatOptimizer, Sgd } from '../../engine/optim/optimizer.ts'
import type { SavedTensor } from '../../engine/safetensors.ts'
import type { Gradients } from '../../engine/optim/gradients.ts'
import { constant } from '../../engine/optim/schedule.ts'
import { moco } from '../../methods/moco.ts'
import { KeyQueue } from '../../models/key-queue.ts'
import { Builder } from '../../models/builder.ts'
import type { Model } from '../../models/model.ts'
import { mocoHead } from '../../models/moco-heads.ts'
import { resnet18 } from '../../models/resnet.ts'
import { loadModel, saveModel } from '../../models/state.ts'
import { type Tower, forwardTower, parametersOf } from '../../models/tower.ts'
import { Golden, toNHWC } from '../fixtures/golden.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { toyImages, toyTower } from '../fixtures/toy-task.ts'

const test = gpuSuite('MoCo')

/** The golden cases' TinyEnc without its fc. */
function tinyEncoder(gpu: Gpu): Model {
  const build = new Builder(gpu, 0)
  const conv1 = build.conv('conv1', [3, 6])
  const bn1 = build.norm('bn1', 6)
  const conv2 = build.conv('conv2', [6, 10], { stride: 2 })
  const bn2 = build.norm('bn2', 10)
  return {
    parameters: build.parameters,
    norms: build.norms,
    features: 10,
    forward(x, mode) {
      const y = bn1(conv1(x, mode), mode, { relu: true })
      return globalAvgPool(bn2(conv2(y, mode), mode, { relu: true }))
    },
  }
}

/** The case's network, with its weights. */
function tower(gpu: Gpu, golden: Golden): Tower {
  const { C, mlp } = golden.config
  const tiny = golden.name === 'moco_e2e_tiny'
  const encoder = tiny ? tinyEncoder(gpu) : resnet18(gpu, { stem: 'cifar', width: 3 })
  const head = mocoHead(gpu, { features: encoder.features, dim: Number(C), mlp: Boolean(mlp) })
  const weights = new Map(
    golden.names
      .filter((name) => /^(w|buf)\./.test(name))
      .map((name): [string, SavedTensor] => [
        name.replace(/^(w|buf)\./, ''),
        { data: golden.values(name), shape: golden.shape(name) },
      ]),
  )
  for (const model of [encoder, head]) loadModel(gpu, model, weights)
  return { encoder, head }
}

/** [rows, columns] as [columns, rows]: the original queue has its keys in columns. */
const transposed = (values: ArrayLike<number>, columns: number) => {
  const rows = values.length / columns
  return Float32Array.from(
    { length: values.length },
    (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] ?? NaN,
  )
}

/** An optimizer that keeps a copy of its first gradients. */
function watched(gpu: Gpu, inner: FlatOptimizer, parameters: Record<string, Variable>) {
  const first: Promise<Map<string, SavedTensor>>[] = []
  const optimizer = Object.create(inner, {
    step: {
      value(gradients: Gradients, lr: Scalar) {
        if (first.length === 0) {
          const found = Object.entries(parameters).map(
            ([name, p]) => [name, gradients.of(p)] as const,
          )
          first.push(snapshot(gpu, Object.fromEntries(found) as Record<string, Variable>)) // read before they die
        }
        inner.step(gradients, lr)
      },
    },
  }) as FlatOptimizer
  return { optimizer, first }
}

/** The views of a step as the case has them. */
function images(
  gpu: Gpu,
  golden: Golden,
  { step: at, view }: { readonly step: () => number; readonly view: number },
) {
  const name = `in.im_${view === 0 ? 'q' : 'k'}`
  const [, ...shape] = golden.shape(name)
  const [size, step] = [shape.reduce((a, b) => a * b), at()]
  const { values, shape: nhwc } = toNHWC(
    golden.values(name).slice(step * size, (step + 1) * size),
    shape,
  )
  return gpu.tensor(values, nhwc)
}

/** Similarities to the key and to the queue over T, of networks of the case's weights: [N, 1 +
 *  K]. */
async function firstLogits(gpu: Gpu, golden: Golden, queue: KeyQueue) {
  const embedded = (view: number) =>
    l2Normalize(
      forwardTower(tower(gpu, golden), images(gpu, golden, { step: () => 0, view }), {
        training: true,
      }),
    )
  const [q, k] = [embedded(0), embedded(1)]
  const positive = sum(mul(q, k), [1], { keepDims: true })
  const negative = matmul(q, queue.keys, { transB: true })
  return gpu.read(
    affine(concat([positive, negative], 1), 1 / Number(golden.config['temperature']), 0),
  )
}

for (const name of ['moco_e2e_tiny', 'moco_e2e_resnet18w3_mlp'])
  test(`${name}: follows the original loop`, async ({ gpu }) => {
    const golden = new Golden(name)
    const { K, C, m, temperature, steps } = golden.config as Record<string, number> // these are numbers
    const { lr, momentum, weight_decay } = golden.config['optimizer'] as Record<string, number>
    const [query, key] = [tower(gpu, golden), tower(gpu, golden)]
    const parameters = parametersOf(query)
    const inner = new Sgd(parameters, {
      momentum: momentum ?? NaN,
      weightDecay: weight_decay ?? NaN,
    })
    const { optimizer, first } = watched(gpu, inner, parameters)
    const queue = new KeyQueue(gpu, { K: K ?? 0, C: C ?? 0 })
    gpu.write(queue.keys, transposed(golden.values('in.queue'), K ?? 0))
    const trainer = moco(gpu, {
      ...{ query, key, optimizer, queue, temperature: temperature ?? NaN },
      schedule: constant(lr ?? NaN),
      momentum: constant(m ?? NaN),
      views: (_, at) => images(gpu, golden, at),
    })
    golden.expect('out.step0.logits', await firstLogits(gpu, golden, queue))
    const [losses, pointers]: [number[], number[]] = [[], []]
    for (let s = 0; s < (steps ?? 0); s++) {
      losses.push(...(await gpu.read(trainer.step(gpu.tensor([], [0])))))
      pointers.push(queue.pointer)
    }
    for (const [parameter, { data }] of (await first[0]) ?? [])
      golden.expect(`grad.step0.${parameter}`, data as Float32Array) // f32
    golden.expect('out.losses', losses)
    golden.expect('out.ptr', pointers)
    golden.expect('after.queue', transposed(await gpu.read(queue.keys), C ?? 0))
    for (const [which, { encoder, head }] of Object.entries({ q: query, k: key }))
      for (const model of [encoder, head])
        for (const [variable, { data }] of await saveModel(gpu, model))
          golden.expect(`after.${which}.${variable}`, Array.from(data as Float32Array, Number)) // a number each
    golden.done()
  })

test('a longer queue takes the memory of its keys, and no dispatch more', async ({ gpu }) => {
  const spent = async (K: number) => {
    const [query, key] = [toyTower(gpu, 1), toyTower(gpu, 2)]
    const before = gpu.stats().bytes
    const queue = new KeyQueue(gpu, { K, C: 8 })
    const keys = gpu.stats().bytes - before
    const { step, captured } = moco(gpu, {
      ...{ query, key, queue, optimizer: new Sgd(parametersOf(query)), temperature: 0.1 },
      ...{ schedule: constant(0.01), momentum: constant(0.9), views: (x) => x },
    })
    const five = toyImages(gpu, [0, 1, 2, 3, 4])
    for (let s = 0; s < 3; s++) step(five)
    const { dispatches } = gpu.stats()
    step(five)
    await gpu.sync()
    const { bytes: temporaries } = captured.memory ?? { bytes: NaN }
    captured.release()
    return { keys, temporaries, dispatches: gpu.stats().dispatches - dispatches }
  }
  const [short, long] = [await spent(4096), await spent(32768)]
  assert.equal(long, { ...short, keys: short.keys + 4 * 8 * (32768 - 4096) })
})

test.run()
