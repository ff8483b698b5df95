// The races over all sizes, smallest first: who still takes part, who is left out and why.

import { race } from './race.js'
import { digits } from './numbers.js'
import { errorsOf, tolerances } from './verify.js'

const CHECKED = 2 ** 23 // bytes of logits up to which every contestant is held to the float64 reference
const CROWDED = 2 ** 28 // bytes of logits beyond which the contestants' memory may not fit beside each other's
const WRONG = 1e-3 // relative difference to the reference, or to the first contestant, beyond which one is called wrong

/** Results of every contestant at every size, and notes about who was left out and who is wrong. */
export async function raceAll(bench, entrants, { flags, device, progress }) {
  const runs = flags.runs ?? (device.software ? 5 : 9)
  const problems = bench.problems(flags, device)
  const results = []
  const notes = []
  let going = entrants
  progress.expect(problems.length * entrants.length * runs)
  for (const problem of problems) {
    const fit = going.filter((entrant) => {
      const reason = cannot(entrant, { bench, problem, device, flags, results })
      if (reason)
        notes.push(
          `${entrant.name} stops before ${bench.axis} = ${bench.sizeOf(problem)}: ${reason}`,
        )
      return !reason
    })
    progress.skip((entrants.length - fit.length) * runs)
    going = fit
    if (going.length === 0) continue
    progress.at(`${bench.axis} ${bench.sizeOf(problem)}`)
    const values = bench.logits(problem) <= CHECKED
    const heats = bench.logits(problem) > CROWDED ? going.map((entrant) => [entrant]) : [going]
    const raced = []
    for (const heat of heats)
      raced.push(
        ...(await race(heat, problem, { runs, patience: flags.patience, values, progress })),
      )
    judge(bench, problem, raced, notes)
    results.push(...raced)
    going = going.filter((entrant) => !raced.find((r) => r.entrant === entrant).error)
  }
  return { results, notes }
}

/** Why a contestant cannot or should not take part at this size; undefined if it may. */
function cannot(entrant, { bench, problem, device, flags, results }) {
  const mib = (bytes) => `${digits(bytes / 2 ** 20)} MiB`
  const [input, logits] = [bench.largestInput(problem), bench.logits(problem)]
  const [what, bytes] =
    entrant.needsLogits && logits > input ? ['logits', logits] : ['input', input]
  if (bytes > device.largest)
    return `its ${what} would take ${mib(bytes)}, and a buffer of this device holds ${mib(device.largest)}`
  const last = results.findLast((result) => result.entrant === entrant)
  if (!last) return undefined
  const growth = bench.work(problem).both / bench.work(last.problem).both
  const seconds = (last.ready.warm.both.wall * growth) / 1000
  return seconds > flags.limit
    ? `a call would take about ${digits(seconds)} s (--limit ${flags.limit})`
    : undefined
}

/** Compares what each contestant computed with the float64 reference, where that was asked for,
 *  else with the first. */
function judge(bench, problem, raced, notes) {
  const done = raced.filter(({ ready }) => ready)
  const references = new Map()
  for (const result of done) {
    const { entrant, ready } = result
    const own = { ...problem, ...entrant.problem }
    if (ready.gradients) {
      if (!references.has(own.variant)) references.set(own.variant, bench.reference(own))
      result.errors = errorsOf(ready, references.get(own.variant))
    } else {
      const peer = done.find((other) => other.entrant.problem?.variant === own.variant) ?? done[0]
      const relative = (a, b) => Math.abs(a - b) / Math.abs(b)
      result.errors = {
        loss: relative(ready.loss, peer.ready.loss),
        gradient: relative(ready.gradientNorm, peer.ready.gradientNorm),
        against: peer.entrant.name,
      }
    }
    const { loss, gradient, against = 'float64' } = result.errors
    const most = entrant.tolerance ?? Math.max(WRONG, tolerances[entrant.settings.dtype])
    result.wrong = !(loss <= most && gradient <= most)
    if (result.wrong)
      notes.push(
        `${entrant.name} differs at ${bench.axis} = ${bench.sizeOf(problem)}: loss by ${digits(loss)}, gradient by ${digits(gradient)} (relative, to ${against})`,
      )
  }
}
