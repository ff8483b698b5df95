// What was measured of one step, checked and printed.

import { LOSSES, TOLERANCES } from './peers/step-data.js'
import { table } from './step-profile.js'

/** Throws Error unless the losses are those that every library must report; where `known` is false
 *  they need only be finite. */
function verify({ library, losses }, known) {
  const wrong = losses.findIndex((loss, i) =>
    known ? !(Math.abs(loss - LOSSES[i]) <= TOLERANCES[i]) : !Number.isFinite(loss),
  )
  if (wrong >= 0)
    throw new Error(
      `${library}: loss ${wrong} is ${losses[wrong]}, should be ${known ? LOSSES[wrong] : 'finite'}`,
    )
}

const percent = (share) => `${(100 * share).toFixed(1)} %`
const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`

/** Checks and prints a library's result. `isCase` says whether its losses are known. Throws Error
 *  for wrong ones. */
export function report(measured, { flags, isCase }) {
  const { exact = true, flops, wallMs, kernels = [] } = measured
  const result = { ...measured, tflops: flops / wallMs / 1e9 }
  verify(result, isCase && exact)
  if (flags.json) {
    console.log(JSON.stringify(result))
    return
  }
  if (kernels.length > 0) console.log(table(kernels).join('\n'))
  const { library, adapter } = result
  const losses = result.losses.map((loss) => loss.toFixed(5)).join(', ')
  const lines = [
    `losses ${losses}${isCase && exact ? ', as they must be' : ''}`,
    ...timeLines(result, flags),
    ...workLines(result),
    ...memoryLines(result),
  ]
  console.log(`${library}${adapter ? ` on ${adapter}` : ''}\n  ${lines.join('\n  ')}`)
}

const known = (value, show) => (value === undefined ? [] : [show(value)])

function timeLines({ cpuMs, wallMs, scriptMs, scriptLeastMs, replayed, runs, idle }, flags) {
  const how = replayed ? 'replayed' : 'one by one'
  return [
    ...known(cpuMs, (ms) => `${ms.toFixed(0)} ms of CPU time a step, median of ${runs}`),
    `${wallMs.toFixed(1)} ms of wall time`,
    ...known(
      scriptMs,
      (ms) =>
        `${ms.toFixed(2)} ms of them in JavaScript (least ${scriptLeastMs.toFixed(2)}), ${how}, before the GPU is waited for`,
    ),
    ...known(idle, () =>
      idle
        ? `GPU idle ${percent(idle.share)} of ${idle.ms.toFixed(0)} ms, ${flags.idleSteps} steps in a row with losses read late`
        : 'GPU idle share unknown: the adapter has no timestamp-query',
    ),
  ]
}

function workLines({ flops, tflops, shares, estimate, modelShare }) {
  return [
    `${(flops / 1e9).toFixed(2)} GFLOP in products, ${tflops.toPrecision(3)} TFLOP/s`,
    ...known(
      shares,
      ({ fma, matrices, copy }) =>
        `${percent(fma)} of the multiply-adds that it can do at most, as measured here${matrices === null ? '' : `, ${percent(matrices)} of those on matrices`}, and ${percent(copy)} of the bytes that it can copy`,
    ),
    ...known(
      estimate,
      ({ bytes, ms }) =>
        `${mb(bytes)} moved at least; the roofline of its dispatches at those rates is ${ms.toFixed(1)} ms, ${percent(modelShare)} of the time`,
    ),
  ]
}

function memoryLines(result) {
  const { plannedBytes, viewsPerSecond, dispatches, peakBytes } = result
  return [
    ...known(plannedBytes, (bytes) => `${mb(bytes)} of temporaries`),
    ...known(viewsPerSecond, (rate) => `${rate.toFixed(1)} views/s`),
    ...known(
      dispatches,
      (n) =>
        `${n} dispatches, ${result.copies} copies, ${result.submits} submits, ${result.bindGroups} bind groups and ${result.buffersCreated} buffers created; ${mb(result.boundBytes)} bound`,
    ),
    ...known(peakBytes, (bytes) => `${mb(bytes)} of buffers at most`),
  ]
}
