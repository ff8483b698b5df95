// Tests the agreement of pictures: with themselves, with crops, with others.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  GREY_SIDE,
  type GreyPicture,
  agreementOf,
  greyPicture,
} from '../../../evaluate/curate/agreement.ts'

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
  const own = agreementOf(picture, picture)
  assert.ok(own.value > 1 - 1e-9 && own.detail > 1 - 1e-9)
  for (const [x, y] of [
    [0, 0],
    [0.05, 0],
    [0.05, 0.05],
    [0.025, 0.025],
  ] as const) {
    const crop = drawn(1, [x, y, 0.95])
    const { value, detail } = agreementOf(picture, crop)
    assert.ok(value > 0.99 && detail > 0.9, `${value}, ${detail}`)
    const back = agreementOf(crop, picture)
    assert.equal([back.value, back.detail], [value, detail])
  }
})

test('a picture that was compared before agrees as a new one does, to the bit', () => {
  const values = (a: GreyPicture, b: GreyPicture) => {
    const { value, detail } = agreementOf(a, b)
    return [value, detail]
  }
  const [one, crop, other] = [drawn(1), drawn(1, [0.05, 0, 0.95]), drawn(2)]
  agreementOf(one, other)
  agreementOf(other, crop)
  assert.equal(values(one, crop), values(drawn(1), drawn(1, [0.05, 0, 0.95])))
  assert.equal(values(other, one), values(drawn(2), drawn(1)))
})

test('it does not agree with another picture, nor with one of one colour', () => {
  assert.ok(agreementOf(drawn(1), drawn(2)).value < 0.9)
  assert.ok(agreementOf(drawn(1), drawn(1, [0, 0, 0.6])).value < 0.975)
  const flat = greyPicture(new Uint8Array(GREY_SIDE ** 2).fill(200))
  for (const other of [flat, drawn(1)]) {
    const { value, detail } = agreementOf(flat, other)
    assert.equal([value, detail], [0, 0])
  }
})

test('pictures of one kind agree in the large, and not in detail', () => {
  const marked = (at: number) =>
    greyPicture(
      Uint8Array.from({ length: GREY_SIDE ** 2 }, (_, n) => {
        const [x, y] = [n % GREY_SIDE, Math.floor(n / GREY_SIDE)]
        const spot = Math.hypot(x - at, y - 20) < 4 || Math.hypot(x - 10, y - at) < 3 ? 25 : 0
        return 40 + 80 * Math.sin((3 * x) / GREY_SIDE) ** 2 + (60 * y) / GREY_SIDE + spot
      }),
    )
  const { value, detail } = agreementOf(marked(12), marked(34))
  assert.ok(value > 0.97 && detail < 0.7, `${value}, ${detail}`)
})

test('the aligned pixels are those of the window and of the whole', () => {
  const pixels = Uint8Array.from({ length: 20 ** 2 }, (_, n) => (n * 37 + (n % 20) ** 3) % 251)
  const one = greyPicture(pixels)
  for (const aligned of agreementOf(one, one).aligned(20))
    for (const [n, v] of aligned.entries()) assert.ok(Math.abs(v - (pixels[n] ?? 0)) < 1e-6)
})

test.run()
