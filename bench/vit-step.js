// Measures a SimCLR step of a small ViT, made of ops:
//   node bench/vit-step.js [batch]
// 6 layers of width 48 with 3 heads, 32 x 32 images in patches of 4 x 4 and a class token: 65
// tokens. Two views of each image, NT-Xent, Adam. Prints the CPU time of a replayed step, in all
// threads of the process, which on a software adapter is the whole step; its dispatches; and the
// first and last loss.

import { Command } from 'commander'
import {
  Adam,
  add,
  attention,
  cifarRecipe,
  concat,
  constant,
  conv2d,
  expand,
  gelu,
  layerNorm,
  linear,
  openGpu,
  projectionHead,
  reshape,
  simclr,
  slice,
} from '../dist/node.js'
import { count } from './lib/options.js'
import { uniform } from './lib/random.js'

const [N] = new Command('vit-step')
  .description('a SimCLR step of a ViT with 6 layers of width 48')
  .argument('[batch]', 'images per step', count, 32)
  .parse().processedArgs
const [SIZE, PATCH, WIDTH, HEADS, LAYERS] = [32, 4, 48, 3, 6]
const TOKENS = (SIZE / PATCH) ** 2 + 1
const [WARM, STEPS] = [6, 9]

/** A vision transformer (Dosovitskiy et al. 2020), norms first, whose class token is the result. */
function vit(gpu) {
  const parameters = {}
  const make = (name, shape, scale, shift = 0) => {
    const size = shape.reduce((a, b) => a * b, 1)
    const values = uniform(size, Object.keys(parameters).length).map((v) => v * scale + shift)
    return (parameters[name] = gpu.variable(values, shape))
  }
  const dense = (name, into, out) => {
    const [w, b] = [
      make(`${name}.w`, [out, into], 1 / Math.sqrt(into)),
      make(`${name}.b`, [out], 0),
    ]
    return (x) => linear(x, w, b)
  }
  const norm = (name) => {
    const [gamma, beta] = [make(`${name}.w`, [WIDTH], 0, 1), make(`${name}.b`, [WIDTH], 0)]
    return (x) => layerNorm(x, gamma, beta, { eps: 1e-6 })
  }
  const block = (name) => {
    const [before, between] = [norm(`${name}.norm1`), norm(`${name}.norm2`)]
    const [qkv, out] = [dense(`${name}.qkv`, WIDTH, 3 * WIDTH), dense(`${name}.proj`, WIDTH, WIDTH)]
    const [up, down] = [
      dense(`${name}.fc1`, WIDTH, 4 * WIDTH),
      dense(`${name}.fc2`, 4 * WIDTH, WIDTH),
    ]
    return (x) => {
      const [images] = x.shape
      const heads = reshape(qkv(before(x)), [images, TOKENS, 3 * HEADS, WIDTH / HEADS])
      const [q, k, v] = [0, 1, 2].map((i) => slice(heads, 2, i * HEADS, (i + 1) * HEADS))
      const y = add(x, out(reshape(attention(q, k, v), x.shape)))
      return add(y, down(gelu(up(between(y)))))
    }
  }
  const patch = make('patch', [PATCH, PATCH, 3, WIDTH], 0.1)
  const bias = make('patch.b', [WIDTH], 0)
  const token = make('token', [1, 1, WIDTH], 0.02)
  const position = make('position', [1, TOKENS, WIDTH], 0.02)
  const blocks = Array.from({ length: LAYERS }, (_, i) => block(`blocks.${i}`))
  const last = norm('norm')
  const forward = (x) => {
    const [images] = x.shape
    const patches = reshape(conv2d(x, patch, { stride: PATCH, bias }), [images, TOKENS - 1, WIDTH])
    const tokens = add(concat([expand(token, [images, 1, WIDTH]), patches], 1), position)
    const y = blocks.reduce((h, layer) => layer(h), tokens)
    return reshape(slice(last(y), 1, 0, 1), [images, WIDTH])
  }
  return { parameters, norms: {}, features: WIDTH, forward }
}

const gpu = await openGpu()
const encoder = vit(gpu)
const head = projectionHead(gpu, { features: WIDTH, hidden: 64, dim: 32 })
const optimizer = new Adam({ ...encoder.parameters, ...head.parameters })
const { step, captured } = simclr(gpu, {
  ...{ encoder, head, optimizer, schedule: constant(1e-3), temperature: 0.5 },
  ...{ batchNorm: 'per-view', views: cifarRecipe(SIZE) },
})
const pixels = Uint8Array.from({ length: N * SIZE * SIZE * 3 }, (_, i) => (i * 7919) % 251)
const losses = []
const times = []
let before = gpu.stats()
for (let i = 0; i < WARM + STEPS; i++) {
  if (i === WARM) before = gpu.stats()
  const start = process.cpuUsage()
  losses.push(await gpu.item(step({ pixels, shape: [N, SIZE, SIZE, 3] })))
  const { user, system } = process.cpuUsage(start)
  if (i >= WARM) times.push((user + system) / 1e3)
}
times.sort((a, b) => a - b)
console.log(
  `ViT of ${LAYERS} layers of width ${WIDTH}, ${N} images of ${SIZE} px, on ${gpu.device.adapterInfo.description}`,
)
console.table({
  step: {
    'CPU ms, median': Number(times[STEPS >> 1].toFixed(0)),
    least: Number(times[0].toFixed(0)),
    dispatches: (gpu.stats().dispatches - before.dispatches) / STEPS,
    replays: captured.replays,
    'first loss': Number(losses[0].toFixed(4)),
    'last loss': Number(losses.at(-1).toFixed(4)),
  },
})
gpu.destroy()
