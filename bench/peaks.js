// What this device can do at most, measured: `node bench/peaks.js [--json]` prints the adapter, its
// precisions and limits, and the rates of multiply-adds, of subgroup matrices, of a copy, and what
// one more dispatch costs.

import { Command } from 'commander'
import { environment } from './lib/environment.js'
import { digits } from './lib/numbers.js'
import { count } from './lib/options.js'
import { peaks } from './lib/peaks.js'
import { openGpu } from '../dist/node.js'

const flags = new Command('peaks')
  .description('Measure what this device can do at most.')
  .option('--runs <n>', 'timed batches', count, 5)
  .option('--adapter <name>', "part of the GPU's name")
  .option('--json', 'print the results as JSON and nothing else')
  .parse()
  .opts()

const gpu = await openGpu(flags.adapter ? { adapter: flags.adapter } : {})
const { software } = gpu
const { vendor, architecture, device, description } = gpu.device.adapterInfo
const most = await peaks(gpu, { software, runs: flags.runs })
await gpu.check()
const { f16, matrices } = gpu.run
const found = {
  adapter: device || description || architecture,
  ...{ vendor, architecture, driver: description, software },
  precisions: f16 ? ['f32', 'f16x3', 'f16'] : ['f32'],
  matrices,
  timestamps: gpu.device.features.has('timestamp-query'),
  largestBinding: gpu.device.limits.maxStorageBufferBindingSize,
  most,
  environment: environment(),
}
gpu.destroy()
if (flags.json) console.log(JSON.stringify(found))
else
  console.log(
    `${found.adapter} (${found.driver})
  ${digits(most.fma)} GFLOP/s of multiply-adds in registers, ${digits(most.matrices)} of subgroup matrices
  ${digits(most.copy)} GB/s of a copy, read and written
  ${digits(most.launch)} us for one more dispatch of a replayed step
  precisions ${found.precisions.join(', ')}; ${digits(found.largestBinding / 2 ** 20)} MiB in one binding`,
  )
