// kindred doctor: the GPU, its features and limits, and advice.

import { release } from 'node:os'
import { relu } from '../kernels/elementwise/relu.ts'
import { openGpu } from '../engine/node.ts'
import { isRobust } from '../engine/robustness.ts'
import type { GpuFlags } from './gpu-options.ts'
import { jsonLine } from './output.ts'
import { precisions } from '../methods/settings/words.ts'
import { effectOf } from './precision.ts'
import { kindredVersion } from './version.ts'
import { wrapped } from './wrapped.ts'

const MIB = 2 ** 20

interface Report {
  readonly kindred: string
  readonly node: string
  readonly adapter: string
  readonly vendor: string
  readonly architecture: string
  readonly software: boolean
  readonly works: boolean
  readonly largestTensorBytes: number
  readonly f16: boolean
  readonly subgroups: boolean
  readonly timestamps: boolean
  readonly tensorCores: boolean
  /** Whether kernels are compiled with WebGPU's checks of indices. */
  readonly robustness: boolean
  /** Effect of each precision on this adapter. */
  readonly precision: Readonly<Record<string, string>>
}

/** Prints the adapter, its limits and optional features, runs one kernel, and returns the exit
 *  code: 1 without a GPU. */
export async function doctor({
  json = false,
  ...choice
}: GpuFlags & { readonly json?: boolean }): Promise<number> {
  const gpu = await openGpu(choice)
  const { adapterInfo: info, limits, features } = gpu.device
  const [, minus = NaN, plus = NaN] = await gpu.read(relu(gpu.tensor([0, -1, 2], [3])))
  const works = minus === 0 && plus === 2
  const report: Report = {
    kindred: kindredVersion(),
    node: process.version,
    adapter: info.description || info.device || info.architecture,
    vendor: info.vendor,
    architecture: info.architecture,
    software: gpu.software,
    works,
    largestTensorBytes: limits.maxStorageBufferBindingSize,
    f16: features.has('shader-f16'),
    subgroups: features.has('subgroups'),
    timestamps: features.has('timestamp-query'),
    tensorCores: gpu.run.matrices,
    robustness: isRobust(gpu.device),
    precision: Object.fromEntries(precisions.map((p) => [p, effectOf(p, gpu.run)])),
  }
  gpu.destroy()
  const columns = Math.min(80, process.stdout.columns ?? 80)
  console.log(json ? jsonLine(report) : wrapped(table(report), columns))
  return works ? 0 : 1
}

function table(report: Report): string {
  const { adapter, software, works } = report
  const yes = (has: boolean) => (has ? 'yes' : 'no')
  const rows = [
    [
      'kindred',
      `${report.kindred}, Node ${report.node}, ${process.platform} ${release()} ${process.arch}`,
    ],
    ['adapter', adapter],
    [
      'kind',
      software
        ? 'CPU (software Vulkan): for trying things and for tests'
        : `GPU (${report.vendor})`,
    ],
    [
      'a kernel runs',
      works ? 'yes, and its result is right' : 'its RESULT IS WRONG: update the driver',
    ],
    ['largest tensor', `${Math.floor(report.largestTensorBytes / MIB)} MiB`],
    ['16-bit floats', yes(report.f16)],
    ['subgroups', yes(report.subgroups)],
    ['timestamps', yes(report.timestamps)],
    ['tensor cores', yes(report.tensorCores)],
    ['indices checked', yes(report.robustness)],
    ...Object.entries(report.precision).map(([name, effect]) => [`precision ${name}`, effect]),
  ]
  const lines = rows.map(([what = '', value = '']) => `${what.padEnd(16)}${value}`)
  const advice = software
    ? '\nNo GPU was found, so the CPU computes. ' +
      'If this machine has a GPU, install its Vulkan driver and run this again.'
    : ''
  return lines.join('\n') + advice
}
