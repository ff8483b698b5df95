// Weight decay by a schedule, against float64.

import * as assert from 'uvu/assert'
import type { Tensor, Variable } from '../../../kernels/op.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { Gradients } from '../../../engine/optim/gradients.ts'
import { LossScaler } from '../../../engine/optim/loss-scaler.ts'
import {
  type FlatOptimizer,
  type Named,
  Adam,
  AdamW,
  Lars,
  Sgd,
} from '../../../engine/optim/optimizer.ts'
import { type Schedule, constant, cosine } from '../../../engine/optim/schedule.ts'
import { close, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import {
  type Group,
  type ReferenceStep,
  adamReference,
  larsReference,
  sgdReference,
} from '../../fixtures/reference-optimizers.ts'

const test = gpuSuite('weight decay by a schedule')

const STEPS = 12
const decay = cosine(0.04, STEPS, 0.9) // rises, as in DINO
const own = 0.3 // the second parameter's

type Make = (parameters: Named, weightDecay: Schedule | number) => FlatOptimizer
const treat = (name: string) => (name === 'b' ? { weightDecay: own } : {})
const cases: Record<string, [Make, ReferenceStep]> = {
  Sgd: [
    (p, weightDecay) => new Sgd(p, { momentum: 0.9, weightDecay, treat }),
    sgdReference(0.9, false),
  ],
  Adam: [(p, weightDecay) => new Adam(p, { weightDecay, treat }), adamReference(false)],
  AdamW: [(p, weightDecay) => new AdamW(p, { weightDecay, treat }), adamReference(true)],
  Lars: [
    (p, weightDecay) => new Lars(p, { weightDecay, eta: 0.02, treat }),
    larsReference(0.9, 0.02, true),
  ],
  'Lars as PyTorch code has it': [
    (p, weightDecay) => new Lars(p, { weightDecay, eta: 0.02, classic: false, treat }),
    larsReference(0.9, 0.02, false),
  ],
}

const sizes = { a: 66, b: 5 }
const gradientsAt = (t: number) => Object.values(sizes).map((n, i) => random(n, 9 * t + i + 50))

/** Trains from step `from` on; returns the optimizer and how many steps were replayed. */
function train(gpu: Gpu, makeOptimizer: Make, weightDecay: Schedule | number, scaler?: LossScaler) {
  const parameters: Record<string, Variable> = Object.fromEntries(
    Object.entries(sizes).map(([name, n], i) => [name, gpu.variable(random(n, i + 1), [n, 1])]),
  )
  const optimizer = makeOptimizer(parameters, weightDecay)
  const captured = gpu.capture((a: Tensor, b: Tensor) => {
    const pairs: [Tensor, Tensor][] = [
      [parameters['a'] as Variable, a],
      [parameters['b'] as Variable, b],
    ]
    optimizer.step(new Gradients(pairs), () => 0.1, scaler)
    return a
  })
  for (let t = 0; t < STEPS; t++) {
    const [a, b] = gradientsAt(t).map((g) => ({
      values: Float32Array.from(g, (v) => v * (scaler ? 256 : 1)),
      shape: [g.length, 1],
    }))
    if (a && b) captured.run(a, b)
  }
  return { parameters, replays: captured.replays }
}

const read = (gpu: Gpu, named: Named) =>
  Promise.all(Object.values(named).map(async (variable) => [...(await gpu.read(variable))]))

for (const [name, [makeOptimizer, referenceStep]] of Object.entries(cases)) {
  test(`${name} follows a schedule of its weight decay, replayed and scaled`, async ({ gpu }) => {
    const groups: Group[] = Object.values(sizes).map((n, i) => ({
      ...{ w: random(n, i + 1), state: {}, lr: 0.1, adapted: true },
      weightDecay: own,
    }))
    for (let t = 0; t < STEPS; t++)
      referenceStep(
        groups.map((group, i) => (i === 0 ? { ...group, weightDecay: decay(t) } : group)),
        gradientsAt(t),
        t + 1,
      )
    const { parameters, replays } = train(gpu, makeOptimizer, decay)
    assert.ok(replays > 5)
    const found = await read(gpu, parameters)
    for (const [i, { w }] of groups.entries()) close(found[i] ?? [], w, 2e-5, `parameter ${i}`)

    const scaler = new LossScaler(gpu, { scale: 256 })
    const scaled = train(gpu, makeOptimizer, decay, scaler)
    assert.equal(await read(gpu, scaled.parameters), found)
  })

  test(`${name} takes a constant schedule for a number, to the bit`, async ({ gpu }) => {
    const [a, b] = [0.125, constant(0.125)].map((d) => train(gpu, makeOptimizer, d))
    assert.equal(await read(gpu, a?.parameters ?? {}), await read(gpu, b?.parameters ?? {}))
  })
}

test.run()
