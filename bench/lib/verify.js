// Kindred's losses against the float64 reference, before anything is timed.

import { startChild } from './children.js'
import { worstError } from './statistics.js'

/** What rounding may leave: of the loss relative to 1 + |loss|, of a gradient relative to its
 *  largest element. */
export const tolerances = { f32: 1e-5, f16x3: 1e-5, f16: 5e-3 }

/** The tolerance at a temperature: logits are cosines over it, and so is what rounding leaves of
 *  them. */
const toleranceOf = (dtype, temperature) => tolerances[dtype] * Math.max(1, 0.05 / temperature)

/** Errors of an answer that holds the gradients: {loss, gradient}. */
export function errorsOf({ loss, gradients }, expected) {
  const got = gradients.map((text) => {
    const { buffer, byteOffset, byteLength } = Buffer.from(text, 'base64')
    return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength))
  })
  return {
    loss: Math.abs(loss - expected.loss) / (1 + Math.abs(expected.loss)),
    gradient: Math.max(...expected.gradients.map((g, i) => worstError(got[i], g))),
  }
}

/** Checks each entrant on each problem and returns {name, problem, loss, gradient, passed} of
 *  each. */
export async function verify(entrants, problems, { patience, reference, progress }) {
  const checks = []
  for (const { name, settings, problem: own, ...entrant } of entrants) {
    const child = startChild(entrant, patience)
    try {
      for (const problem of problems.map((p) => ({ ...p, ...own }))) {
        progress.doing(`verifying ${name}`)
        const answer = await child.ask({ do: 'check', problem, settings }).catch((cause) => {
          throw new Error(`${name}: ${cause.message}`, { cause })
        })
        const errors = errorsOf(answer, reference(problem))
        const most = toleranceOf(settings.dtype, problem.temperature ?? 1)
        const within = (error) => error <= most // NaN is not
        checks.push({
          name,
          problem,
          ...errors,
          passed: within(errors.loss) && within(errors.gradient),
        })
        progress.step(`verifying ${name}`)
      }
    } finally {
      await child.end()
    }
  }
  return checks
}
