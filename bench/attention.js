// Measures the forward pass of attention beside matmul, softmax and matmul on the same heads:
//   node bench/attention.js
// Prints the CPU time of both, in all threads of the process: on a software adapter that is the
// whole work. Checks first that both compute the same.

import { attention, matmul, mul, openGpu, softmax, transpose } from '../dist/node.js'
import { uniform } from './lib/random.js'

const RUNS = 5
const sizes = [
  [32, 65, 3, 16],
  [8, 197, 3, 64],
  [1, 1024, 2, 64],
]

const gpu = await openGpu()

async function cpuTime(body) {
  await gpu.read(gpu.noGrad(body))
  const start = process.cpuUsage()
  for (let i = 0; i < RUNS; i++) await gpu.read(gpu.noGrad(body))
  const { user, system } = process.cpuUsage(start)
  return Number(((user + system) / 1e3 / RUNS).toFixed(1))
}

const rows = {}
for (const [N, T, heads, D] of sizes) {
  const shape = [N, T, heads, D]
  const count = shape.reduce((a, b) => a * b, 1)
  const [q, k, v] = [1, 2, 3].map((seed) => gpu.variable(uniform(count, seed), shape))
  const [a, b, c] = [q, k, v].map((x) => gpu.noGrad(() => transpose(x, [0, 2, 1, 3])))
  const streamed = () => attention(q, k, v)
  const composed = () => matmul(softmax(mul(matmul(a, b, { transB: true }), 1 / Math.sqrt(D))), c)
  const [one, other] = await Promise.all(
    [streamed, () => transpose(composed(), [0, 2, 1, 3])].map((body) => gpu.read(gpu.noGrad(body))),
  )
  const worst = one.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i])), 0)
  if (!(worst < 1e-5)) throw new Error(`attention: ${shape.join(' x ')} is off by ${worst}`)
  rows[`[${shape.join(', ')}]`] = {
    'attention, CPU ms': await cpuTime(streamed),
    'composed, CPU ms': await cpuTime(composed),
  }
}
console.log(`q, k, v [N, T, heads, D] on ${gpu.device.adapterInfo.description}`)
console.table(rows)
gpu.destroy()
