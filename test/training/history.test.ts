// Tests the record of a run's settings, then and now.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  changesBetween,
  changesSince,
  describeChanges,
  extended,
  lowerRate,
  settingsMetadata,
  unused,
} from '../../training/history.ts'
import { configOf } from '../../training/config.ts'
import { goingOn } from '../../cli/resume.ts'

const test = suite('history')

test('knows what has changed since a checkpoint, and nothing of places and of order', () => {
  const config = { b: 1, a: { c: [1, 2], d: null }, data: 'x', about: { node: 1 } }
  const metadata = settingsMetadata(config)
  assert.equal(
    changesSince(metadata, { a: { d: null, c: [1, 2] }, b: 1, data: 'y', history: [] }),
    {},
  )
  const changes = changesSince(metadata, { ...config, b: 2, a: { c: [1, 3], e: 'new' } })
  assert.equal(changes, {
    b: { from: 1, to: 2 },
    'a.c': { from: [1, 2], to: [1, 3] },
    'a.e': { from: null, to: 'new' },
  })
  assert.is(describeChanges(changes), 'a.c [1,2] -> [1,3], b 1 -> 2, a.e null -> "new"')
  assert.equal(changesSince({ step: '3' }, config), {})
  assert.equal(changesBetween({ v: [{ a: 1 }] }, { v: [{ a: 2 }] }), {
    'v.0.a': { from: 1, to: 2 },
  })
})

test('does not take for a change what an older version left out', () => {
  const saved = settingsMetadata({ epochs: 5 })
  const now = { epochs: 5, precision: 'f32', activations: 'f32', loss: 'nt-xent' }
  assert.equal(changesSince(saved, now), {})
  assert.equal(changesSince(saved, { ...now, loss: 'dcl' }), {
    loss: { from: null, to: 'dcl' },
  })
})

test('keeps a change once', () => {
  const change = { step: 3, changes: { lr: { from: 1, to: 2 } } }
  assert.equal(extended([], change), [change])
  assert.equal(extended([change], { ...change }), [change])
  assert.equal(extended([change], { ...change, step: 4 }).length, 2)
})

test('forgets what no step has used, but not where the images were', () => {
  const lr = { from: 0.1, to: 0.2 }
  const data = { from: 'a', to: 'b' }
  const [first, second] = [
    { step: 2, changes: { lr } },
    { step: 4, changes: { lr, data } },
  ]
  assert.equal(unused([first, second], 4), [first, { step: 4, changes: { data } }])
  assert.equal(unused([first, { step: 6, changes: { lr } }], 4), [first])
})

test('advises a rate that has worked, or a tenth', () => {
  const change = (step: number, from: number, to: number) => ({
    step,
    changes: { 'schedule.lr': { from, to } },
  })
  assert.is(lowerRate(1e20, []), 1e19)
  assert.is(lowerRate(0.37, []), 0.037)
  assert.is(lowerRate(100, [change(8, 0.1, 100)]), 0.1)
  assert.is(lowerRate(100, [change(0, 0.1, 100)]), 10, 'no step was made at 0.1')
  assert.is(lowerRate(100, [change(8, 0.1, 50), change(8, 50, 100)]), 0.1, 'nor one at 50')
  assert.is(lowerRate(0.05, [change(8, 0.1, 0.05)]), 0.005)
})

test('a run goes on with another rate or length, and no other setting', () => {
  const config = configOf(
    'moco',
    { data: 'procedural', preset: 'moco-v1-cifar10', batch: 64 },
    false,
  )
  assert.equal(goingOn(config, {}, 'r'), config)
  const longer = goingOn(config, { epochs: 300, lr: 0.5 }, 'r')
  assert.equal(longer, {
    ...config,
    epochs: 300,
    schedule: { ...config.schedule, lr: 0.5, firstEpoch: 0 },
  })
  assert.equal(goingOn(config, { epochs: config.epochs }, 'r'), config)
})

test.run()
