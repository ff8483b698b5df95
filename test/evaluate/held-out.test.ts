// Tests which images are held out.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { folds, parted } from '../../evaluate/held-out.ts'

// 10 of class 0, 7 of class 1, 3 of class 2, 1 of class 3
const labels = [...Array(10).fill(0), ...Array(7).fill(1), 2, 2, 2, 3] as number[]
const count = (places: readonly number[]) =>
  [0, 1, 2, 3].map((label) => places.filter((i) => labels[i] === label).length)

test('one in five of each class is held out, one at least, none of a class of one', () => {
  for (const seed of [0, 1, 7]) {
    const { fit, held } = parted(labels, seed)
    assert.equal(count(held), [2, 1, 1, 0])
    assert.equal(
      [...fit, ...held].sort((a, b) => a - b),
      [...labels.keys()],
    )
  }
  assert.not.equal(parted(labels, 0), parted(labels, 1))
})

test('five ways hold out each image once at most, and the first is that of parted', () => {
  const ways = folds(labels, 3, 1000)
  assert.is(ways.length, 5)
  assert.equal(ways[0], parted(labels, 3))
  for (const { fit, held } of ways) {
    assert.is(fit.length + held.length, labels.length)
    assert.not.ok(held.some((i) => fit.includes(i)))
  }
  const all = ways.flatMap(({ held }) => held)
  assert.is(new Set(all).size, all.length)
  assert.equal(count(all), [10, 5, 3, 0])
})

test('no more ways than it takes to hold out enough images', () => {
  assert.is(folds(labels, 3, 4).length, 1)
  assert.is(folds(labels, 3, 5).length, 2)
  assert.equal(folds([0, 1, 2], 0, 10), [], 'classes of one image have none to hold out')
})

test.run()
