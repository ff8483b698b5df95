// Checks convolutions and their gradients against float64, then times them in every precision and
// tile, beside PyTorch. `node bench/conv.js --help` explains the output. The layers are ResNet-18's
// for 32 x 32 images.

import { uniform } from './lib/random.js'
import { main, productOptions } from './lib/products.js'
import * as kindred from '../dist/node.js'

const flags = productOptions(
  'conv',
  "Time ResNet-18's convolutions: forward, data and weight gradient.",
  (command) =>
    command
      .option('--batch <n>', 'images', Number, 512)
      .option('--pass <list>', 'of forward, data, weight', 'forward,data,weight')
      .option(
        '--layer <list>',
        'numbers of layers, from 0: the stem, then by stages',
        '0,1,2,3,4,5,6,7',
      ),
)

/** Layers: side, channels in and out, kernel, stride. */
const LAYERS = [
  [32, 3, 64, 3, 1],
  [32, 64, 64, 3, 1],
  [32, 64, 128, 3, 2],
  [32, 64, 128, 1, 2],
  [16, 128, 128, 3, 1],
  [8, 256, 256, 3, 1],
  [4, 512, 512, 3, 1],
  [8, 256, 1024, 1, 1],
]

function layer(N, [H, C, K, kernel, stride], pass) {
  const padding = Math.floor(kernel / 2)
  const out = Math.floor((H + 2 * padding - kernel) / stride) + 1
  return {
    name: `${N} x ${H} x ${H} x ${C} -> ${K}, ${kernel} x ${kernel} / ${stride}, ${pass}`,
    ...{ N, H, C, K, kernel, stride, padding, out, pass },
  }
}

const inputs = ({ N, H, C, K, kernel, out }) => ({
  x: uniform(N * H * H * C, 1),
  w: uniform(kernel * kernel * C * K, 2),
  dy: uniform(N * out * out * K, 3),
})

function reference(problem) {
  const { N, H, C, K, kernel, stride, padding, out, pass } = problem
  const { x, w, dy } = inputs(problem)
  const result = new Float64Array({ forward: dy, data: x, weight: w }[pass].length)
  for (let pixel = 0; pixel < N * out * out; pixel++) {
    const [n, i, j] = [Math.floor(pixel / out / out), Math.floor(pixel / out) % out, pixel % out]
    for (let tap = 0; tap < kernel * kernel; tap++) {
      const h = i * stride - padding + Math.floor(tap / kernel)
      const v = j * stride - padding + (tap % kernel)
      if (h < 0 || v < 0 || h >= H || v >= H) continue
      for (let c = 0; c < C; c++)
        for (let k = 0; k < K; k++) {
          const [at, by, to] = [((n * H + h) * H + v) * C + c, (tap * C + c) * K + k, pixel * K + k]
          if (pass === 'forward') result[to] += x[at] * w[by]
          else if (pass === 'data') result[at] += dy[to] * w[by]
          else result[by] += x[at] * dy[to]
        }
    }
  }
  return result
}

const passes = flags.pass.split(',')
const checked = [
  [9, 3, 8, 3, 2],
  [8, 12, 36, 3, 1],
  [7, 5, 6, 2, 2],
  [6, 16, 20, 1, 1],
]

await main(
  {
    name: 'conv',
    checks: checked.flatMap((size) => passes.map((pass) => layer(2, size, pass))),
    problems: flags.layer
      .split(',')
      .flatMap((i) =>
        passes
          .filter((pass) => pass !== 'data' || Number(i) > 0)
          .map((pass) => layer(flags.batch, LAYERS[i], pass)),
      ),
    work: ({ N, C, K, kernel, out }) => 2 * N * out * out * C * K * kernel * kernel,
    prepare(gpu, problem) {
      const { N, H, C, K, kernel, stride, padding, out, pass } = problem
      const { x, w, dy } = inputs(problem)
      const constant = (values, shape) =>
        gpu.noGrad(() => kindred.reshape(gpu.tensor(values, shape), shape))
      const [image, weight] = [
        (pass === 'data' ? gpu.tensor.bind(gpu) : constant)(x, [N, H, H, C]),
        (pass === 'weight' ? gpu.tensor.bind(gpu) : constant)(w, [kernel, kernel, C, K]),
      ]
      const convolve = () => kindred.conv2d(image, weight, { stride, padding })
      if (pass === 'forward') return convolve
      const y = convolve()
      const cotangent = gpu.tensor(dy, [N, out, out, K])
      return () => gpu.backward(y, cotangent).of(pass === 'data' ? image : weight)
    },
    reference,
  },
  flags,
)
