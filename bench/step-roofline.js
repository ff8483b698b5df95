// What a step asks of a device, counted and not run: every dispatch of the captured step, as the
// device would get it, with its FLOPs and bytes, and the least time that they can take at rates
// that were measured. The difference from the measured time judges the kernels, and this model.
//
//   time = sum over dispatches of max(FLOPs / multiply-adds a second, bytes / copy) + launch

import { Gpu } from '../dist/node.js'
import { paperDevice, paperKindOf } from '../scripts/paper-device.js'
import { methods } from './step-methods.js'

const RECORDED = 4 // steps; the third is replayed

/** The dispatches of one step of a method, as `scheduleBy` says; `settings` are the method's. */
export const scheduleOf = (kind, method, { precision, activations, ...settings }) =>
  scheduleBy(kind, { precision, activations }, async (gpu) => {
    const { step, next } = await methods[method](gpu, settings)
    const given = await next?.()
    return () => step(given)
  })

/** The dispatches { name, flops, bytes, matrices } of one call, in order, copies among them. `kind`
 *  is a GPUDevice, or a name that `paperDevice` takes; `open(gpu)` resolves to the call. */
export async function scheduleBy(kind, options, open) {
  let seen = []
  const as = typeof kind === 'string' ? kind : paperKindOf(kind)
  const gpu = new Gpu(
    paperDevice(as, (command) => seen.push(command)),
    options,
  )
  const call = await open(gpu)
  for (let i = 0; i < RECORDED; i++) {
    seen = []
    call()
    await gpu.sync()
  }
  return seen.map((command) => ({
    name: command.entryPoint ?? 'copy',
    flops: command.params ? flopsOf(command) : 0,
    bytes: command.copied ? 2 * command.copied : bytesOf(command),
    matrices: command.code?.includes('subgroupMatrixMultiply') ?? false,
  }))
}

/** Multiply-adds, two FLOPs each, of the kernels that compute products, by their Params. */
const products = [
  [/^convForward.*Tiled$/, ({ M, N, kH, kW, C }) => M * N * kH * kW * C],
  [/^convDataGradient.*Tiled$/, (p) => p.images * p.H * p.W * p.kH * p.kW * p.C * p.N],
  [
    /^convWeightGradientTiled$/,
    ({ M, N, taps, stride, pixels }) => (M / stride) * taps * N * pixels,
  ],
  [/^convForward(Software|Generic)$/, convolution],
  [/^convWeightGradient(Software|Generic)$/, convolution],
  [/^gemm/, ({ M, N, K, batches }) => M * N * K * batches],
  [/^ntxentStatistics$/, ({ rows, columns, D }) => (rows * columns * D) / 2], // symmetric
  [/Statistics$/, ({ rows, columns, D }) => rows * columns * D],
  [/(Attend|WeightedSum)$/, ({ rows, columns, D }) => 2 * rows * columns * D],
]

/** Forward every output pixel has all taps; of the data gradient, which walks backwards, every
 *  input pixel. */
function convolution({ N, H, W, C, outH, outW, K, kH, kW, dir = 1 }) {
  const pixels = dir === 1 ? outH * outW : H * W
  return N * pixels * kH * kW * C * K
}

function flopsOf({ entryPoint, params }) {
  const [, count] = products.find(([names]) => names.test(entryPoint)) ?? []
  return count ? 2 * count(params) : 0
}

const sum = (bound) => bound.reduce((total, { bytes }) => total + bytes, 0)

/** Bytes of the kernels that move other than what they are bound with, once. */
const moved = [
  [/^collect/, (reads) => 2 * sum(reads)], // into a part of the flat buffer
  [/^(gatherForward|drawRows|takeImages|selectPosition)$/, (_, writes) => 2 * sum(writes)], // some rows
  [/^(enqueue|bankUpdate)$/, ([rows]) => 3 * rows.bytes],
  [/^(sgd|adam|lars|ema)/, (reads, writes) => sum(reads) + 2 * sum(writes)], // in place
]

/** Bytes read and written at least: each buffer once, though it be bound twice. */
function bytesOf({ entryPoint, bound }) {
  const same = (a) => (b) => a.buffer === b.buffer && a.offset === b.offset
  const own = bound.filter((one, i) => one.writes || bound.findIndex(same(one)) === i)
  const [reads, writes] = [own.filter((b) => !b.writes), own.filter((b) => b.writes)]
  const [, count] = moved.find(([names]) => names.test(entryPoint)) ?? []
  return count ? count(reads, writes) : sum(own)
}

/** Each dispatch with the least time that it takes, `floor`, in ms, at rates { fma, matrices } in
 *  GFLOP/s, { copy } in GB/s and { launch } in us. f16x3 multiplies three times on matrices. */
export function withFloors(schedule, { fma, matrices, copy, launch }, precision) {
  const times = precision === 'f16x3' ? 3 : 1
  return schedule.map((one) => {
    const rate = one.matrices && matrices > 0 ? matrices / times : fma
    const floor = Math.max(one.flops / rate, one.bytes / copy) / 1e6
    return { ...one, floor: floor + launch / 1e3 }
  })
}

/** FLOPs, bytes and dispatches of a step, and its time in ms by the model. */
export function estimateOf(timed) {
  const total = (what) => timed.reduce((all, one) => all + one[what], 0)
  return {
    ...{ flops: total('flops'), bytes: total('bytes') },
    ...{ commands: timed.length, ms: total('floor') },
  }
}

/** Kernels, the longest first, { name, count, ms, floor }: what was measured of their dispatches
 *  { name, ms } beside the model's time, undefined where these are not the model's dispatches. */
export function kernelsOf(measured, timed) {
  const own = timed.filter(({ name }) => name !== 'copy')
  const same =
    own.length === measured.length && own.every(({ name }, i) => name === measured[i].name)
  const kernels = new Map()
  for (const [i, { name, ms }] of measured.entries()) {
    const row = kernels.get(name) ?? { name, count: 0, ms: 0, floor: same ? 0 : undefined }
    const floor = same ? row.floor + own[i].floor : undefined
    kernels.set(name, { name, count: row.count + 1, ms: row.ms + ms, floor })
  }
  return [...kernels.values()].sort((a, b) => b.ms - a.ms)
}
