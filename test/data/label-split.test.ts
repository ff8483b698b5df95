// Tests which few labels are chosen.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { labelSplit } from '../../data/label-split.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = suite('labelSplit')
const labels = Int32Array.from({ length: 1000 }, (_, i) => (i % 11 === 10 ? -1 : (i * 7) % 5))

/** Counts the chosen images of each class. */
const counts = (chosen: ArrayLike<number>) =>
  [0, 1, 2, 3, 4].map((c) => Array.from(chosen).filter((i) => labels[i] === c).length)

test('takes the same share of each class, at least one, and nothing without a label', () => {
  const own = [0, 1, 2, 3, 4].map((c) => labels.filter((label) => label === c).length)
  for (const fraction of [0.001, 0.01, 0.1, 0.5, 1]) {
    const { chosen, others } = labelSplit(labels, { fraction })
    assert.equal(
      counts(chosen),
      own.map((n) => Math.max(1, Math.round(fraction * n))),
    )
    const all = [...chosen, ...others].sort((a, b) => a - b)
    assert.equal(
      all,
      [...labels.keys()].filter((i) => labels[i] !== -1),
    )
    assert.equal(
      [...chosen],
      [...chosen].sort((a, b) => a - b),
    )
  }
  assert.equal(counts(labelSplit(labels, { perClass: 7 }).chosen), [7, 7, 7, 7, 7])
})

test('chooses by the seed alone, and a smaller split is part of a larger one', () => {
  const of = (perClass: number, seed: number) => [...labelSplit(labels, { perClass, seed }).chosen]
  assert.equal(of(9, 3), of(9, 3))
  assert.not.equal(of(9, 3), of(9, 4))
  const larger = new Set(of(40, 3))
  assert.ok(of(9, 3).every((i) => larger.has(i)))
  // draws are uniform: over many seeds, each image of a class is chosen about as often
  const times = new Float64Array(20)
  const twenty = new Int32Array(20)
  for (let seed = 0; seed < 2000; seed++)
    for (const i of labelSplit(twenty, { perClass: 5, seed }).chosen) times[i] = (times[i] ?? 0) + 1
  assert.ok(
    times.every((n) => Math.abs(n - 500) < 100),
    String(times),
  ) // 5 standard deviations
})

test('refuses what it cannot choose, with value, rule and remedy', () => {
  refuses(
    () => labelSplit([0, 0, 1], { perClass: 2 }),
    'labelSplit: perClass must be at most the images of each class, got 2 and class 1 has 1',
  )
  refuses(
    () => labelSplit([0, 1], {}),
    'labelSplit: give fraction or perClass, one of them, got undefined and undefined',
  )
  refuses(
    () => labelSplit([0, 1], { fraction: 0.5, perClass: 1 }),
    'labelSplit: give fraction or perClass, one of them, got 0.5 and 1',
  )
  refuses(
    () => labelSplit([0, 1.5], { perClass: 1 }),
    'labelSplit: labels must be whole numbers from -1 to 65535, got 1.5 at 1',
  )
  refuses(
    () => labelSplit([-1, -1], { perClass: 1 }),
    'labelSplit: there must be a label from 0 on, got none in 2; name labelled images',
  )
  for (const fraction of [0, -1, 1.1, NaN])
    assert.throws(() => labelSplit([0, 1], { fraction }), /fraction must be a number above 0/)
})

test.run()
