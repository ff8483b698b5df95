// The step in TensorFlow.js, WebGPU backend; prints one line of JSON. Started by bench/step.js.

import { createRequire } from 'node:module'
import { CASE, images, labels, resnet18 } from './step-data.js'
import { count, dawn, idle, time, waiting } from './step-measure.js'

const runs = Number(process.argv[2] ?? 5)
const require = createRequire(import.meta.url)
await dawn()
console.warn = () => {} // it advises against the plain package in Node
const tf = require('@tensorflow/tfjs')
const { WebGPUBackend } = require('@tensorflow/tfjs-backend-webgpu')
await tf.setBackend('webgpu')
await tf.ready()
const backend = tf.backend()
if (!(backend instanceof WebGPUBackend)) throw new Error('TensorFlow.js did not take WebGPU')

const net = resnet18()
const x = tf.tensor4d(images(CASE.batch, CASE.size), [CASE.batch, CASE.size, CASE.size, 3])
const y = tf.tidy(() =>
  tf.oneHot(tf.tensor1d(labels(CASE.batch, CASE.classes), 'int32'), CASE.classes).toFloat(),
)
const each = (make, trainable) => net.convs.map((conv) => tf.variable(make(conv), trainable))
const weights = each(({ w, k, i, o }) => tf.tensor4d(w, [k, k, i, o]))
const gammas = each(({ o }) => tf.ones([o]))
const betas = each(({ o }) => tf.zeros([o]))
const means = each(({ o }) => tf.zeros([o]), false)
const variances = each(({ o }) => tf.ones([o]), false)
const classifier = tf.variable(tf.tensor2d(net.classifier, [net.features, CASE.classes]))
const bias = tf.variable(tf.zeros([CASE.classes]))

function convNorm(h, i) {
  const { stride, k } = net.convs[i]
  const z = tf.conv2d(h, weights[i], stride, k >> 1)
  const { mean, variance } = tf.moments(z, [0, 1, 2])
  tf.tidy(() => {
    means[i].assign(means[i].mul(0.9).add(mean.mul(0.1)))
    variances[i].assign(variances[i].mul(0.9).add(variance.mul(0.1)))
  })
  return tf.batchNorm(z, mean, variance, betas[i], gammas[i], 1e-5)
}

function loss() {
  let h = tf.relu(convNorm(x, net.stem))
  for (const { first, second, shortcut } of net.blocks) {
    const branch = convNorm(tf.relu(convNorm(h, first)), second)
    h = tf.relu(branch.add(shortcut >= 0 ? convNorm(h, shortcut) : h))
  }
  const logits = tf.add(tf.matMul(tf.mean(h, [1, 2]), classifier), bias)
  return tf.losses.softmaxCrossEntropy(y, logits)
}

const optimizer = tf.train.sgd(CASE.lr)
const done = async () => {
  if (backend.commandEncoder) {
    backend.endComputePassEncoder()
    backend.submitQueue() // it gathers dispatches, 15 a submit
  }
  await idle()
}
const losses = []
for (let i = 0; i < 4; i++) {
  const value = optimizer.minimize(loss, true)
  losses.push((await waiting(value.data()))[0])
  value.dispose()
}
const step = async () => {
  const value = optimizer.minimize(loss, true)
  await done()
  value.dispose()
}
const counted = await count(step)
const version = require('@tensorflow/tfjs-backend-webgpu/package.json').version
console.log(
  JSON.stringify({
    library: `TensorFlow.js ${version}`,
    losses,
    ...counted,
    ...(await time(step, runs)),
  }),
)
process.exit(0) // Dawn's device keeps the process
