// What grows, and what its time and memory must not outgrow: one entry for each size that matters.
//
//   name, axis      of what; the size that grows
//   sizes           { tiny, full }, smallest first
//   expected        exponents { time, memory } of the mathematics, for large sizes
//   why             the formula behind them
//   open(gpu, size) the call to time, and what it says of its memory

import { moco } from '../infonce/inputs.js'
import { features } from '../nce-maps/inputs.js'
import { views } from '../ntxent/inputs.js'
import { methods } from '../step-methods.js'
import * as kindred from '../../dist/node.js'

const doubling = (from, count) => Array.from({ length: count }, (_, i) => from * 2 ** i)

/** A loss with its gradients: `build(gpu, size)` returns { loss, inputs }. */
const loss = (build) => (gpu, size) => {
  const { loss: value, inputs } = build(gpu, size)
  return {
    call: () =>
      gpu.step(() => {
        const y = value()
        const gradients = gpu.backward(y)
        return [y, ...inputs.map((x) => gradients.of(x))]
      }),
  }
}

const [WIDTH, BATCH, SIDE] = [4, 8, 16]

/** A replayed training step with one of its sizes as given. `change(size)` returns settings. */
const step = (method, change) => async (gpu, size) => {
  const base = { model: 'resnet8', stem: 'cifar', width: WIDTH, batch: BATCH, size: SIDE }
  const own = { ...base, ...(gpu.software ? {} : GPU_STEP), chunk: null, replay: true }
  const { step: run, next } = await methods[method](gpu, { ...own, ...change(size) })
  const given = await next?.()
  for (let i = 0; i < 4; i++) await gpu.read(run(given))
  return { call: () => run(given) }
}

const GPU_STEP = { model: 'resnet18', width: 64, batch: 128, size: 32 }

export const series = [
  {
    name: 'NT-Xent',
    axis: 'images N',
    sizes: { tiny: doubling(32, 5), full: doubling(512, 6) },
    expected: { time: 2, memory: 1 },
    why: '20 N² D FLOPs; rows of D features',
    open: loss((gpu, N) => {
      const given = views({ N, D: 128, seed: 1 })
      const inputs = [gpu.tensor(given.z1, [N, 128]), gpu.tensor(given.z2, [N, 128])]
      return { loss: () => kindred.ntXent(...inputs, 0.5), inputs }
    }),
  },
  {
    name: 'InfoNCE',
    axis: 'queue K',
    sizes: { tiny: doubling(256, 5), full: doubling(4096, 6) },
    expected: { time: 1, memory: 1 },
    why: '4 N K C FLOPs; the queue itself',
    open: loss((gpu, K) => {
      const given = moco({ N: gpu.software ? 32 : 256, C: 128, K, seed: 1 })
      const shape = [given.q.length / 128, 128]
      const [q, k] = [gpu.tensor(given.q, shape), gpu.tensor(given.k, shape)]
      const queue = gpu.variable(given.queue, [K, 128])
      return { loss: () => kindred.infoNce(q, k, queue, 0.07), inputs: [q] }
    }),
  },
  {
    name: "AMDIM's loss",
    axis: 'images N',
    sizes: { tiny: doubling(8, 4), full: doubling(32, 4) },
    expected: { time: 2, memory: 1 },
    why: '6 N² L R FLOPs; maps of L places',
    open: loss((gpu, N) => {
      const [L, R] = gpu.software ? [9, 64] : [25, 1024]
      const given = features({ N, L, R, seed: 1 })
      const inputs = [gpu.tensor(given.sources, [N, R]), gpu.tensor(given.maps, [N, L, R])]
      const value = () => {
        const found = kindred.nceMaps(...inputs, { clip: 20, penalty: 0.05 })
        return kindred.add(found.loss, found.penalty)
      }
      return { loss: value, inputs }
    }),
  },
  {
    name: 'a SimCLR step',
    axis: 'batch N',
    sizes: { tiny: doubling(8, 4), full: doubling(64, 4) },
    expected: { time: 1, memory: 1 },
    why: 'the encoder, N images; its loss is quadratic and small',
    open: step('simclr', (batch) => ({ batch })),
  },
  {
    name: 'a SimCLR step',
    axis: 'side of the images',
    sizes: { tiny: doubling(8, 4), full: doubling(32, 3) },
    expected: { time: 2, memory: 2 },
    why: 'side² pixels',
    open: step('simclr', (size) => ({ size })),
  },
  {
    name: 'a SimCLR step',
    axis: 'width of the encoder',
    sizes: { tiny: doubling(4, 4), full: doubling(16, 4) },
    expected: { time: 2, memory: 2 },
    why: 'width² weights; activations grow with width',
    open: step('simclr', (width) => ({ width })),
  },
  {
    name: 'a MoCo step',
    axis: 'queue K',
    sizes: { tiny: doubling(512, 4), full: doubling(4096, 5) },
    expected: { time: 1, memory: 1 },
    why: 'the queue beside the encoders',
    open: step('moco', (queue) => ({ queue })),
  },
]
