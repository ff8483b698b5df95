// Weight decay by a schedule, against float64.

import * as assert from 'uvu/assert'
import type { Variable } from '../../../kernels/op.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { LossScaler } from '../../../engine/optim/loss-scaler.ts'
import { type Schedule, constant, cosine } from '../../../engine/optim/schedule.ts'
import { close, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import {
  type MakeOptimizer,
  optimizerCases,
  readNamed,
  trainOptimizer,
} from '../../fixtures/optimizer-cases.ts'
import type { Group } from '../../fixtures/reference-optimizers.ts'

const test = gpuSuite('weight decay by a schedule')

const STEPS = 12
const decay = cosine(0.04, STEPS, 0.9) // rises, as in DINO
const own = 0.3 // the second parameter's

const treat = (name: string) => (name === 'b' ? { weightDecay: own } : {})
const { Sgd: _, 'Sgd with Nesterov momentum': __, ...cases } = optimizerCases

const sizes = { a: 66, b: 5 }
const gradientsAt = (t: number) => Object.values(sizes).map((n, i) => random(n, 9 * t + i + 50))

/** Trains, and returns the parameters and how many steps were replayed. */
async function train(
  gpu: Gpu,
  make: MakeOptimizer,
  weightDecay: Schedule | number,
  scaler?: LossScaler,
) {
  const parameters: Record<string, Variable> = Object.fromEntries(
    Object.entries(sizes).map(([name, n], i) => [name, gpu.variable(random(n, i + 1), [n, 1])]),
  )
  const optimizer = make(parameters, { weightDecay, treat })
  const given = { steps: STEPS, gradientsAt, lr: () => 0.1, scaler }
  const { replays } = await trainOptimizer(gpu, optimizer, given)
  return { parameters, replays }
}

for (const [name, { make, reference }] of Object.entries(cases)) {
  test(`${name} follows a schedule of its weight decay, replayed and scaled`, async ({ gpu }) => {
    const groups: Group[] = Object.values(sizes).map((n, i) => ({
      ...{ w: random(n, i + 1), state: {}, lr: 0.1, adapted: true },
      weightDecay: own,
    }))
    for (let t = 0; t < STEPS; t++)
      reference(
        groups.map((group, i) => (i === 0 ? { ...group, weightDecay: decay(t) } : group)),
        gradientsAt(t),
        t + 1,
      )
    const { parameters, replays } = await train(gpu, make, decay)
    assert.ok(replays > 5)
    const found = await readNamed(gpu, parameters)
    for (const [i, { w }] of groups.entries()) close(found[i] ?? [], w, 2e-5, `parameter ${i}`)

    const scaler = new LossScaler(gpu, { scale: 256 })
    const scaled = await train(gpu, make, decay, scaler)
    assert.equal(await readNamed(gpu, scaled.parameters), found)
  })

  test(`${name} takes a constant schedule for a number, to the bit`, async ({ gpu }) => {
    const [a, b] = [await train(gpu, make, 0.125), await train(gpu, make, constant(0.125))]
    assert.equal(await readNamed(gpu, a.parameters), await readNamed(gpu, b.parameters))
  })
}

test.run()
