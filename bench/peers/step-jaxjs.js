// The step in jax-js, compiled by its jit, WebGPU; prints one line of JSON. Started by
// bench/step.js.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { CASE, images, labels, resnet18 } from './step-data.js'
import { count, dawn, time, waiting } from './step-measure.js'

const runs = Number(process.argv[2] ?? 5)
await dawn()
const {
  numpy: np,
  nn,
  lax,
  valueAndGrad,
  init,
  defaultDevice,
  blockUntilReady,
  jit,
  tree,
} = await import('@jax-js/jax')
await init('webgpu')
defaultDevice('webgpu')

/** Its arrays are [N, C, H, W], its weights [O, I, H, W]. */
function permute(values, shape, order) {
  const to = order.map((axis) => shape[axis])
  const strides = order.map((axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1))
  const out = new Float32Array(values.length)
  for (let i = 0; i < out.length; i++) {
    let [rest, from] = [i, 0]
    for (let axis = 3; axis >= 0; axis--) {
      from += (rest % to[axis]) * strides[axis]
      rest = Math.floor(rest / to[axis])
    }
    out[i] = values[from]
  }
  return np.array(out).reshape(to)
}

const net = resnet18()
const { batch, size, classes, lr } = CASE
const x = permute(images(batch, size), [batch, size, size, 3], [0, 3, 1, 2])
const y = nn.oneHot(np.array(labels(batch, classes)), classes)
const each = (make) => net.convs.map(make)
let parameters = {
  weights: each(({ w, k, i, o }) => permute(w, [k, k, i, o], [3, 2, 0, 1])),
  gammas: each(({ o }) => np.ones([o, 1, 1])),
  betas: each(({ o }) => np.zeros([o, 1, 1])),
  classifier: np.array(net.classifier).reshape([net.features, classes]),
  bias: np.zeros([classes]),
}
let running = {
  means: each(({ o }) => np.zeros([o, 1, 1])),
  variances: each(({ o }) => np.ones([o, 1, 1])),
}
await waiting(blockUntilReady([parameters, running, x, y]))

function lossOf(
  { weights, gammas, betas, classifier, bias },
  { means, variances },
  images4d,
  targets,
) {
  const moved = { means: [], variances: [] }
  const convNorm = (h, i) => {
    const { stride, k } = net.convs[i]
    const pad = [k >> 1, k >> 1]
    const z = lax.convGeneralDilated(h, weights[i], [stride, stride], [pad, pad])
    const mean = np.mean(z.ref, [0, 2, 3], { keepdims: true })
    const centred = z.sub(mean.ref)
    const variance = np.mean(np.square(centred.ref), [0, 2, 3], { keepdims: true })
    const follow = (old, now) => old.mul(0.9).add(lax.stopGradient(now.reshape(old.shape)).mul(0.1))
    moved.means[i] = follow(means[i], mean)
    moved.variances[i] = follow(variances[i], variance.ref)
    return centred
      .div(np.sqrt(variance.add(1e-5)))
      .mul(gammas[i])
      .add(betas[i])
  }
  let h = nn.relu(convNorm(images4d, net.stem))
  for (const { first, second, shortcut } of net.blocks) {
    const skip = shortcut >= 0 ? convNorm(h.ref, shortcut) : h.ref
    h = nn.relu(convNorm(nn.relu(convNorm(h, first)), second).add(skip))
  }
  const logits = np.matmul(np.mean(h, [2, 3]), classifier).add(bias)
  return [np.mean(np.sum(nn.logSoftmax(logits, 1).mul(targets), 1)).neg(), moved]
}

const update = jit((p, state, images4d, targets) => {
  const [[loss, moved], gradients] = valueAndGrad(lossOf, { hasAux: true })(
    tree.ref(p),
    state,
    images4d,
    targets,
  )
  return [tree.map((value, gradient) => value.sub(gradient.mul(lr)), p, gradients), moved, loss]
})
const advance = () => {
  const [p, state, loss] = update(parameters, running, x.ref, y.ref)
  parameters = p
  running = state
  return loss
}
const losses = []
for (let i = 0; i < 4; i++) losses.push(await waiting(advance().jsAsync()))
const step = async () => {
  const loss = advance()
  await waiting(blockUntilReady([parameters, running, loss])) // it computes what is asked for; adds a readback an array
  loss.dispose()
}

const counted = await count(step)
const folder = createRequire(import.meta.url)
  .resolve('@jax-js/jax')
  .replace(/(@jax-js\/jax\/).*/, '$1')
const { version } = JSON.parse(readFileSync(`${folder}package.json`, 'utf8'))
console.log(
  JSON.stringify({ library: `jax-js ${version}`, losses, ...counted, ...(await time(step, runs)) }),
)
process.exit(0) // Dawn's device keeps the process
