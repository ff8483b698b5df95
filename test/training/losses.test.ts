// Tests how a training treats losses that are not finite, with and without loss scaling.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Losses } from '../../training/losses.ts'
import type { Progress } from '../../training/progress.ts'
import type { Metric } from '../../training/metrics.ts'
import type { RunFolder } from '../../run-folder/run-folder.ts'
import type { Prepared } from '../../training/prepare.ts'
import type { Tensor } from '../../kernels/op.ts'

const test = suite('losses')

/** Feeds losses to a training in which nothing else happens. */
async function fed(losses: readonly number[], { scaled }: { readonly scaled: boolean }) {
  const [metrics, notes]: [Metric[], string[]] = [[], []]
  const prepared = {
    gpu: { read: (loss: unknown) => Promise.resolve(Float32Array.of(Number(loss))) },
    config: { batch: 4 },
    stepsPerEpoch: 10,
    trainer: { schedule: () => 0.5, kept: { variables: scaled ? { 'scaler.scale': null } : {} } },
  } as unknown as Prepared // as much of it as is used
  const run = { append: (metric: Metric) => void metrics.push(metric) } as RunFolder // the same
  const progress = {
    update() {},
    note: (line: string) => void notes.push(line),
  } as unknown as Progress // the same
  const all = new Losses(prepared, run, progress, (what) => new Error(`${what}; go on`))
  let step = 0
  const told = async () => {
    for (const loss of losses) await all.add(++step, loss as unknown as Tensor) // read as above
    await all.drain()
  }
  const error = await told().then(
    () => null,
    (thrown: Error) => thrown.message,
  )
  return { metrics, notes, error, last: all.last }
}

test('end a training at the first that is not finite', async () => {
  const { metrics, error, last } = await fed([4, NaN, 3], { scaled: false })
  assert.is(error, 'the loss became NaN at step 2; go on')
  assert.equal(metrics, [{ step: 1, epoch: 0.1, loss: 4, lr: 0.5 }])
  assert.is(last, 4)
})

test('that are scaled are passed over, as their steps are', async () => {
  const { metrics, notes, error, last } = await fed([4, Infinity, 3], { scaled: true })
  assert.is(error, null)
  assert.equal(metrics[1], { step: 2, epoch: 0.2, skipped: true, lr: 0.5 })
  assert.equal(notes, [
    'step 2 was skipped: its loss was Infinity, and the scale of the loss is halved',
  ])
  assert.is(last, 3)
})

test('that are scaled end a training once the scale cannot help', async () => {
  const bad = Array.from({ length: 20 }, () => NaN)
  assert.is((await fed([...bad, 1, ...bad], { scaled: true })).error, null)
  const { error } = await fed([...bad, NaN], { scaled: true })
  assert.is(error, 'the loss was not finite 21 steps in a row, up to step 21; go on')
})

test.run()
