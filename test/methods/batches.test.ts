// Tests that methods compute the gradients of their optimizer's parameters, and no others.

import * as assert from 'uvu/assert'
import type { Tensor } from '../../kernels/op.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import { indexSelect } from '../../kernels/shape/gather.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { type Named, type Optimizer, Sgd } from '../../engine/optim/optimizer.ts'
import { constant } from '../../engine/optim/schedule.ts'
import { endToEnd } from '../../methods/end-to-end.ts'
import { simclr } from '../../methods/simclr.ts'
import { type Tower, parametersOf } from '../../models/tower.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { network } from '../fixtures/small-network.ts'

const test = gpuSuite('batches')

const batch = {
  pixels: Uint8Array.from({ length: 4 * 8 * 8 * 3 }, (_, i) => (i * 89) % 256),
  shape: [4, 8, 8, 3],
}

interface How {
  readonly method: 'simclr' | 'endToEnd'
  readonly chunk: number | null
  /** The parameters that the optimizer is given. */
  readonly pick: (parameters: Named) => Named
  /** Whether methods are told what the optimizer updates. */
  readonly isTold?: boolean
  readonly change?: (tower: Tower) => Tower
}

/** Dispatches of one step, its loss, and the parameters after it. */
async function stepOf(
  gpu: Gpu,
  { method, chunk, pick, isTold = true, change = (tower) => tower }: How,
) {
  const tower = change(network(gpu, false))
  const parameters = parametersOf(tower)
  const sgd = new Sgd(pick(parameters))
  const { state, offsets } = sgd
  const untold: Optimizer = { t: 0, state, offsets, step: (...given) => sgd.step(...given) }
  const optimizer = isTold ? sgd : untold
  const frozen = Object.fromEntries(
    Object.entries(parameters).filter(([name]) => !(name in sgd.parameters)),
  )
  const settings = {
    optimizer,
    frozen,
    schedule: constant(0.1),
    views: cifarRecipe(8),
    temperature: 0.5,
    chunk,
  }
  const { step } =
    method === 'simclr'
      ? simclr(gpu, { ...settings, ...tower, batchNorm: 'joint', capture: false })
      : endToEnd(gpu, { ...settings, query: tower, key: tower, capture: false })
  await gpu.sync()
  const before = gpu.stats().dispatches
  const loss = await gpu.item(step(batch))
  const dispatches = gpu.stats().dispatches - before
  const values = await Promise.all(Object.values(parameters).map((v) => gpu.read(v)))
  return { dispatches, result: [loss, ...values.flatMap((v) => [...v])] }
}

const everything = (parameters: Named) => parameters
const headOnly = (parameters: Named): Named =>
  Object.fromEntries(Object.entries(parameters).filter(([name]) => name.startsWith('g')))

for (const method of ['simclr', 'endToEnd'] as const)
  for (const chunk of [null, 2]) {
    const how = { method, chunk }
    test(`${method}, chunk ${chunk}: an optimizer of all parameters changes nothing`, async ({
      gpu,
    }) => {
      const told = await stepOf(gpu, { ...how, pick: everything })
      assert.equal(told, await stepOf(gpu, { ...how, pick: everything, isTold: false }))
    })

    test(`${method}, chunk ${chunk}: what the optimizer lacks costs nothing`, async ({ gpu }) => {
      const some = (parameters: Named): Named =>
        Object.fromEntries(Object.entries(parameters).filter(([name]) => !name.startsWith('conv0')))
      for (const pick of [some, headOnly]) {
        const told = await stepOf(gpu, { ...how, pick })
        const untold = await stepOf(gpu, { ...how, pick, isTold: false })
        assert.equal(told.result, untold.result)
        assert.ok(
          told.dispatches < untold.dispatches,
          `${told.dispatches} and ${untold.dispatches}`,
        )
      }
    })

    test(`${method}, chunk ${chunk}: a set that the network reads from gets no gradient`, async ({
      gpu,
    }) => {
      const set = gpu.variable(new Float32Array(1000 * 8), [1000, 8])
      const change = ({ encoder, head }: Tower): Tower => {
        const forward = (x: Tensor, mode: Parameters<typeof encoder.forward>[1]) => {
          const h = encoder.forward(x, mode)
          return add(h, indexSelect(set, 0, [...Array(h.shape[0]).keys()]))
        }
        return { encoder: { ...encoder, forward }, head }
      }
      const told = await stepOf(gpu, { ...how, pick: everything, change })
      const untold = await stepOf(gpu, { ...how, pick: everything, change, isTold: false })
      assert.equal(told.result, untold.result)
      assert.ok(told.dispatches < untold.dispatches, `${told.dispatches} and ${untold.dispatches}`)
    })
  }

test.run()
