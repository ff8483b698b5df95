// Measures a search for the nearest of a resident bank:
//   node bench/nearest.js [features] [width] [queries] [k]
// Checks first the similarities of one query against float64. Prints the median wall and CPU time
// of five searches, and the memory of the process. A software adapter's work is CPU time of this
// process; a GPU's is not.

import { Command } from 'commander'
import { nearest, openGpu, residentBank } from '../dist/node.js'
import { count } from './lib/options.js'

const [M, D, Q, k] = new Command('nearest')
  .description('a search for the nearest of a bank on the GPU')
  .argument('[features]', 'features of the bank', count, 100_000)
  .argument('[width]', 'numbers of each', count, 128)
  .argument('[queries]', 'queries at a time', count, 256)
  .argument('[k]', 'neighbours of each', count, 10)
  .parse().processedArgs
const ROUNDS = 5

/** Makes rows in (-1, 1), by a linear congruence. */
function rowsOf(size, seed) {
  const features = new Float32Array(size * D)
  let state = seed
  for (let i = 0; i < features.length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    features[i] = state / 2 ** 31 - 1
  }
  return { features, M: size, D }
}

const dot = (a, b) => a.reduce((sum, v, d) => sum + v * b[d], 0)
const row = ({ features }, i) => features.subarray(i * D, (i + 1) * D)
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

/** Throws unless the similarities of query 0 are the k largest cosines to 1e-5. */
function check(bank, queries, { similarities }) {
  const query = row(queries, 0)
  const length = Math.sqrt(dot(query, query))
  const cosines = Float64Array.from({ length: M }, (_, m) => {
    const own = row(bank, m)
    return dot(own, query) / Math.sqrt(dot(own, own)) / length
  })
  const expected = cosines.toSorted().reverse()
  for (let j = 0; j < Math.min(k, M); j++)
    if (!(Math.abs(similarities[j] - expected[j]) < 1e-5))
      throw new Error(`neighbour ${j}: ${similarities[j]} instead of ${expected[j]}`)
}

const gpu = await openGpu()
const [rows, queries] = [rowsOf(M, 1), rowsOf(Q, 2)]
const bank = await residentBank(gpu, rows)
check(rows, queries, await nearest(bank, queries, k))
const [wall, cpu] = [[], []]
for (let i = 0; i < ROUNDS; i++) {
  const [before, began] = [process.cpuUsage(), performance.now()]
  await nearest(bank, queries, k)
  wall.push(performance.now() - began)
  const { user, system } = process.cpuUsage(before)
  cpu.push((user + system) / 1000)
}
const { vendor, architecture, description } = gpu.device.adapterInfo
console.log([vendor, architecture, description].filter(Boolean).join(', '))
console.log(`${Q} queries, ${M} features of ${D} numbers, k ${k}: equal to float64 within 1e-5`)
console.log(`wall ${median(wall).toFixed(0)} ms, ${(median(wall) / Q).toFixed(2)} ms a query`)
console.log(`CPU ${median(cpu).toFixed(0)} ms, ${(median(cpu) / Q).toFixed(2)} ms a query`)
const mib = (bytes) => Math.round(bytes / 2 ** 20)
console.log(`rss ${mib(process.memoryUsage.rss())} MiB, buffers ${mib(gpu.stats().bytes)} MiB`)
gpu.destroy()
