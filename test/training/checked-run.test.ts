// A training that a program has stored in a form of its own: what is whole passes as it is, and
// what nothing can go on from is refused in words.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type UncheckedRun, checkedRun } from '../../training/checked-run.ts'
import { keptRun, runConfig } from '../fixtures/kept-run.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = suite('checked runs')

/** A run as a program reads it back: all but its tensors from JSON. */
async function stored(): Promise<UncheckedRun> {
  const run = await keptRun([3, 6])
  const { tensors = new Map(), metadata = {} } = run.newest ?? {}
  return {
    config: JSON.parse(JSON.stringify(run.config)) as unknown,
    metrics: JSON.parse(JSON.stringify(await run.metrics())) as unknown,
    checkpoint: { tensors, metadata },
  }
}

test('a whole training passes as it is', async () => {
  const given = await stored()
  const { config, metrics, checkpoint } = checkedRun(given)
  assert.equal(config, runConfig)
  assert.equal(metrics, given.metrics)
  assert.is(checkpoint.step, 6)
  assert.is(checkpoint.tensors, given.checkpoint.tensors)
  assert.is(checkpoint.metadata, given.checkpoint.metadata)
})

test('what is damaged is refused with the place and the rule', async () => {
  const given = await stored()
  const { tensors, metadata } = given.checkpoint
  const refused = (change: object, message: string) =>
    refuses(() => checkedRun({ ...given, ...change }, 'mine'), message)
  refused(
    { metrics: [{ step: 1 }, { step: 2, loss: 'low' }] },
    'mine: metric 2: loss must be a number, got "low"; the file is damaged',
  )
  refused({ metrics: [null] }, 'mine: metric 1 is no object; the file is damaged')
  refused(
    { config: { ...runConfig, batch: 0 } },
    'mine: its configuration: 1 field is wrong; it was made by another version, or by hand\n' +
      '  batch: must be a whole number from 2 on, got 0',
  )
  refused(
    { checkpoint: { tensors, metadata: { ...metadata, step: '1.5' } } },
    'mine: its checkpoint: its step must be a whole number from 0 on, got "1.5"; the file is damaged',
  )
  const bad = new Map([...tensors, ['w', { shape: [1], data: Float32Array.of(NaN) }]])
  refused(
    { checkpoint: { tensors: bad, metadata } },
    'mine: its checkpoint: it holds values that are not finite, in w; nothing can go on from it',
  )
  const wider = { ...runConfig, model: { ...runConfig.model, width: 4 } }
  assert.throws(() => checkedRun({ ...given, config: wider }), /model.width 2 -> 4/)
})

test('wrong arguments are refused', async () => {
  const given = await stored()
  refuses(
    () => checkedRun({ ...given, metrics: 7 }),
    'checkedRun: metrics must be a list of metrics, got 7',
  )
  refuses(
    () => checkedRun({ config: given.config, metrics: [] } as unknown as UncheckedRun),
    'checkedRun: checkpoint is missing; it must be a safetensors file, as decodeSafetensors returns it',
  )
})

test.run()
