// A step that throws has not happened: not for variables, and not for what counts its steps.

import * as assert from 'uvu/assert'
import type { Gpu } from '../../engine/gpu.ts'
import { findNaN } from '../../engine/debug/find-nan.ts'
import { Adam } from '../../engine/optim/optimizer.ts'
import { countUp } from '../../engine/counter.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refusesAsync } from '../fixtures/refusal.ts'

const test = gpuSuite('counters')

type Failing = 'nowhere' | 'schedule' | 'action' | 'after'

/** A training of two weights, whose step can fail in several places. */
function trainingOf(gpu: Gpu) {
  const w = gpu.variable([0.5, -1])
  const optimizer = new Adam({ w })
  const state = { step: 0 }
  const set: { failing: Failing; reads: boolean } = { failing: 'nowhere', reads: false }
  const failAt = (at: Failing) => {
    if (set.failing === at) throw new RangeError(at)
  }
  const body = () => {
    const loss = sum(mul(w, w))
    countUp(gpu, state, 'step')
    optimizer.step(gpu.backward(loss), () => {
      failAt('schedule')
      return 0.1
    })
    if (set.reads) void gpu.read(w)
    gpu.everyStep(() => failAt('action'))
    failAt('after')
    return loss
  }
  const now = async () => [optimizer.t, state.step, ...(await gpu.read(w))]
  return { body, set, now, optimizer, w }
}

/** The calls that go before one that is run so; the fourth call is the first rehearsal. */
const callsBefore = { eager: 1, recorded: 1, replayed: 4, rehearsed: 3 }

for (const how of ['eager', 'recorded', 'replayed', 'rehearsed'] as const)
  test(`a step that throws takes its counters back: ${how}`, async ({ gpu }) => {
    for (const failing of ['schedule', 'action', 'after'] as const) {
      if (how === 'replayed' && failing === 'after') continue // it runs no other JavaScript
      const [one, plain] = [trainingOf(gpu), trainingOf(gpu)]
      const captured = gpu.capture(one.body)
      const step = () => (how === 'eager' ? gpu.step(one.body) : captured.run())
      const both = () => {
        step()
        gpu.step(plain.body)
      }
      for (let t = 0; t < callsBefore[how]; t++) both()
      const was = await one.now()
      one.set.failing = failing
      for (let i = 0; i < 2; i++)
        assert.throws(step, (error: unknown) => String(error) === `RangeError: ${failing}`)
      assert.equal(await one.now(), was)
      one.set.failing = 'nowhere'
      for (let i = 0; i < 5; i++) both()
      assert.equal(await one.now(), await plain.now())
      if (how !== 'eager') assert.ok(captured.replays > 2, `${captured.replays} replays`)
    }
  })

test('what was submitted before a read in the step stays, and so does its count', async ({
  gpu,
}) => {
  const { body, set, now } = trainingOf(gpu)
  gpu.step(body)
  const [, , before] = await now()
  Object.assign(set, { reads: true, failing: 'after' })
  assert.throws(() => gpu.step(body), /after/)
  const [t, step, after] = await now()
  assert.equal([t, step], [2, 2])
  assert.is.not(after, before)
})

test('actions are undone once, the last one first, whoever looks', async ({ gpu }) => {
  const log: string[] = []
  const body = () => {
    for (const name of ['a', 'b'])
      gpu.everyStep(
        () => {},
        () => log.push(name),
      )
    gpu.everyStep(
      () => {
        throw new RangeError('c')
      },
      () => log.push('c'),
    )
  }
  assert.throws(() => gpu.step(body), /c/)
  assert.equal(log.splice(0), ['b', 'a'])
  await refusesAsync(() => findNaN(gpu, () => gpu.step(body)), 'c')
  assert.equal(log.splice(0), ['b', 'a'])
  gpu.everyStep(
    () => {},
    () => log.push('outside'),
  )
  const failing = () => {
    throw new RangeError('empty')
  }
  assert.throws(() => gpu.step(failing), /empty/)
  assert.equal(log, [])
})

test('the parameters that have a gradient are those of the last step that happened', async ({
  gpu,
}) => {
  const [a, b] = [gpu.variable([1]), gpu.variable([1])]
  const optimizer = new Adam({ a, b })
  const step = (both: boolean, fails = false) =>
    gpu.step(() => {
      const loss = sum(both ? add(a, b) : a)
      optimizer.step(gpu.backward(loss), () => 0.25)
      if (fails) throw new RangeError('fails')
    })
  step(true)
  assert.throws(() => step(false, true), /fails/)
  step(true)
  const [both, other] = [await gpu.read(a), await gpu.read(b)]
  assert.equal([...other], [...both])
  assert.ok(Math.abs((both[0] ?? NaN) - 0.5) < 1e-5)
})

test.run()
