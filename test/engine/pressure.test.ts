// Tests the memory that the garbage collector is told of.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Pressure } from '../../engine/memory/pressure.ts'

test('storages of any size weigh a sixteenth of their bytes at least', () => {
  for (const bytes of [0, 4, 256, 1000, 4096, 64_000, 65_535, 65_536, 1 << 20]) {
    const pressure = new Pressure()
    const arrays = Array.from({ length: 300 }, () => pressure.of(bytes))
    const weight = [...new Set(arrays)].reduce((sum, array) => sum + (array?.byteLength ?? NaN), 0)
    assert.ok(weight >= (300 * bytes) / 16, `${bytes}: ${weight}`)
  }
})

test('small ones share an array, so that they cost no array each', () => {
  const pressure = new Pressure()
  assert.is(new Set(Array.from({ length: 1024 }, () => pressure.of(4))).size, 4)
  assert.is(new Set(Array.from({ length: 3 }, () => pressure.of(1 << 20))).size, 3)
})

test.run()
