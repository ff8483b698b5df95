// Tests the agreement of pictures: with themselves, with crops, with others.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GREY_SIDE, agreementOf, greyPicture } from '../../../evaluate/curate/agreement.ts'

/** Draws soft waves, of which a window from (x, y) with a side is taken. */
const drawn = (seed: number, [x0, y0, side]: readonly [number, number, number] = [0, 0, 1]) =>
  greyPicture(
    Uint8Array.from({ length: GREY_SIDE ** 2 }, (_, n) => {
      const x = x0 + (side * (n % GREY_SIDE)) / GREY_SIDE
      const y = y0 + (side * Math.floor(n / GREY_SIDE)) / GREY_SIDE
      const wave = Math.sin(seed + 9 * x + 4 * y) + Math.sin(3 * seed + 5 * y - 11 * x * y)
      return 128 + 60 * wave
    }),
  )

test('a picture agrees with itself, and with a crop of 5 % from any corner', () => {
  const picture = drawn(1)
  assert.ok(agreementOf(picture, picture) > 1 - 1e-9)
  for (const [x, y] of [
    [0, 0],
    [0.05, 0],
    [0.05, 0.05],
    [0.025, 0.025],
  ] as const) {
    const crop = drawn(1, [x, y, 0.95])
    assert.ok(agreementOf(picture, crop) > 0.99)
    assert.is(agreementOf(crop, picture), agreementOf(picture, crop))
  }
})

test('it does not agree with another picture, nor with one of one colour', () => {
  assert.ok(agreementOf(drawn(1), drawn(2)) < 0.9)
  assert.ok(agreementOf(drawn(1), drawn(1, [0, 0, 0.6])) < 0.975)
  const flat = greyPicture(new Uint8Array(GREY_SIDE ** 2).fill(200))
  assert.is(agreementOf(flat, flat), 0)
  assert.is(agreementOf(flat, drawn(1)), 0)
})

test.run()
