// Measures JavaScript's share of a training step, eager and replayed:
//   node bench/capture.js [width] [batch]
// Checks first that both give the same bits. Prints for each the median and the fastest time in
// which JavaScript encodes and submits a step, the dispatches, buffers and bind groups made per
// step, and the bytes alive. The wait for the GPU after each step is not counted.

import { Command } from 'commander'
import {
  Adam,
  Sgd,
  constant,
  mul,
  openGpu,
  parametersOf,
  projectionHead,
  resnet18,
  simclr,
  sum,
} from '../dist/node.js'
import { cifarRecipe } from '../dist/node.js'
import { count } from './lib/options.js'

const [width, N] = new Command('capture')
  .description("JavaScript's share of a training step, run one by one and replayed")
  .argument('[width]', "channels of the encoder's first stage", count, 16)
  .argument('[batch]', 'images per step', count, 16)
  .parse().processedArgs
const [SIZE, WARM, STEPS] = [32, 12, 50]
const shape = [N, SIZE, SIZE, 3]
const pixels = Uint8Array.from({ length: N * SIZE * SIZE * 3 }, (_, i) => (i * 7919) % 251)

/** Makes a step of ResNet-18: forward, backward and SGD with momentum. */
function supervised(gpu, replay) {
  const model = resnet18(gpu, { stem: 'cifar', width })
  const optimizer = new Sgd(model.parameters, { momentum: 0.9 })
  const values = Float32Array.from(pixels, (byte) => byte / 255)
  const captured = gpu.capture(
    (x) => {
      const h = model.forward(x, { training: true })
      const loss = sum(mul(h, h))
      optimizer.step(gpu.backward(loss), () => 1e-6)
      return loss
    },
    { replay },
  )
  return { captured, run: () => captured.run({ values, shape }) }
}

/** Makes a step of SimCLR: two views, both projections, NT-Xent, Adam. */
function contrastive(gpu, capture) {
  const encoder = resnet18(gpu, { stem: 'cifar', width })
  const head = projectionHead(gpu, { features: encoder.features, hidden: 128, dim: 64 })
  const optimizer = new Adam(parametersOf({ encoder, head }))
  const { step, captured } = simclr(gpu, {
    ...{ encoder, head, optimizer, capture, schedule: constant(1e-3), temperature: 0.5 },
    ...{ batchNorm: 'per-view', views: cifarRecipe(SIZE) },
  })
  return { captured, run: () => step({ pixels, shape }) }
}

async function measure(make, replay) {
  const gpu = await openGpu()
  const { captured, run } = make(gpu, replay)
  const losses = []
  const step = async () => {
    const start = performance.now()
    const loss = run()
    const time = performance.now() - start
    losses.push((await gpu.read(loss))[0])
    await gpu.sync()
    return time
  }
  for (let i = 0; i < WARM; i++) await step()
  const before = gpu.stats()
  const times = []
  for (let i = 0; i < STEPS; i++) times.push(await step())
  const after = gpu.stats()
  const each = (key) => (after[key] - before[key]) / STEPS
  const row = {
    'ms of JavaScript': Number(times.sort((a, b) => a - b)[STEPS / 2].toFixed(2)),
    fastest: Number(times[0].toFixed(2)),
    dispatches: each('dispatches'),
    'buffers made': each('buffers'),
    'bind groups made': each('bindGroups'),
    'MB alive': Number((after.bytes / 1e6).toFixed(1)),
    'MB of temporaries': captured.memory && Number((captured.memory.bytes / 1e6).toFixed(2)),
    'MB at least': captured.memory && Number((captured.memory.least / 1e6).toFixed(2)),
  }
  const adapter = gpu.device.adapterInfo.description
  gpu.destroy()
  return { row, losses, adapter }
}

for (const [name, make] of Object.entries({ supervised, contrastive })) {
  const eager = await measure(make, false)
  const replayed = await measure(make, true)
  if (eager.losses.join() !== replayed.losses.join()) throw new Error(`${name}: the losses differ`)
  console.log(`${name}: ResNet-18 of width ${width}, batch ${N}, ${SIZE} px, on ${eager.adapter}`)
  console.table({ 'one by one': eager.row, replayed: replayed.row })
}
