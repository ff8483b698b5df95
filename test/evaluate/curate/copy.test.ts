// Tests what counts as a copy of a small picture, and the residual that decides.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { agreementOf, greyPicture } from '../../../evaluate/curate/agreement.ts'
import { copyAgreement } from '../../../evaluate/curate/copy.ts'
import { residualOf } from '../../../evaluate/curate/residual.ts'

const LEAST = 0.975

interface Drawing {
  readonly stripes?: number
  /** x and y of the corner, and the side. */
  readonly window?: readonly [number, number, number]
  readonly noise?: number
}

/** Draws a garment-like shape with fine stripes, seen through a window, plus noise. */
function drawn(side: number, { stripes = 20, window = [0, 0, 1], noise = 0 }: Drawing): Uint8Array {
  return Uint8Array.from({ length: side ** 2 }, (_, n) => {
    const [x, y] = [n % side, Math.floor(n / side)].map((at) => (window[2] * (at + 0.5)) / side)
    const [u, v] = [window[0] + (x ?? 0), window[1] + (y ?? 0)]
    const body = 1 / (1 + Math.exp(-60 * (0.3 - Math.abs(u - 0.5) - 0.1 * v)))
    const fine = 14 * Math.sin(stripes * u + 9 * v) * Math.cos(13 * v - u)
    const drift = noise * Math.sin(12.9898 * n * n) // as a codec leaves
    return Math.round(Math.min(255, Math.max(0, 20 + body * (150 + fine) + drift)))
  })
}

const copies = (a: Uint8Array, b: Uint8Array) =>
  copyAgreement(greyPicture(a), greyPicture(b), LEAST) !== null

test('noise of a codec, a crop of 5 % and another size make copies of 28 pixels', () => {
  const own = drawn(28, {})
  assert.ok(copies(own, own))
  assert.ok(copies(own, drawn(28, { noise: 3 })))
  for (const window of [
    [0.05, 0.05, 0.95],
    [0, 0, 0.95],
    [0.025, 0.025, 0.95],
  ] as const) {
    const crop = drawn(27, { window })
    assert.ok(copies(own, crop) && copies(crop, own), window.join())
  }
  assert.ok(copies(own, drawn(56, {})))
})

test('the same shape with other stripes agrees in the large, and is no copy', () => {
  const own = drawn(28, {})
  const other = drawn(28, { stripes: 31 })
  assert.ok(agreementOf(greyPicture(own), greyPicture(other)).value > LEAST)
  assert.not.ok(copies(own, other))
  assert.not.ok(copies(drawn(28, { window: [0.05, 0, 0.95] }), other))
  assert.not.ok(copies(own, drawn(28, { noise: 18 })))
})

test('pictures below 8 pixels are copies only if they are equal', () => {
  const near = (side: number) => copies(drawn(side, {}), drawn(side, { noise: 1 }))
  assert.not.ok(near(7))
  assert.ok(near(8))
  assert.ok(copies(drawn(7, {}), drawn(7, {})))
})

test('equal pixels agree by 1 where correlation tells nothing, and others do not', () => {
  const flat = (side: number, grey = 9) => new Uint8Array(side ** 2).fill(grey)
  const board = (side: number, own: (x: number, y: number) => number) =>
    Uint8Array.from({ length: side ** 2 }, (_, n) => own(n % side, Math.floor(n / side)))
  const value = (a: Uint8Array, b: Uint8Array) =>
    copyAgreement(greyPicture(a), greyPicture(b), LEAST)
  for (const side of [1, 7, 8, 17, 31, 32, 33, 34, 47, 48])
    for (const picture of [
      flat(side, 0),
      flat(side),
      board(side, (x, y) => ((x + y) % 2) * 255),
      board(side, (x) => (x % 2) * 255),
      board(side, (x) => (x % 3) * 100),
    ])
      assert.is(value(picture, picture.slice()), 1, `side ${side}`)
  assert.is(value(flat(28), flat(48)), 1)
  assert.is(value(flat(28), flat(48, 10)), null)
  assert.is(value(flat(32), flat(32, 10)), null)
  const spot = flat(32)
  spot[500] = 10
  assert.is(value(flat(32), spot), null)
  assert.is(value(spot, flat(48)), null)
  const odd = board(32, (x, y) => ((x + y) % 2) * 255)
  assert.is(
    value(
      odd,
      board(32, (x, y) => ((x + y + 1) % 2) * 255),
    ),
    null,
  )
})

test('a shift by a part of a pixel, a gain and smoothing leave next to nothing', () => {
  const side = 28
  const wave = (move: number, gain: number) =>
    Float64Array.from({ length: side ** 2 }, (_, n) => {
      const [x, y] = [(n % side) + move, Math.floor(n / side)]
      return (
        100 + gain * (Math.sin(0.5 * x) * Math.cos(0.4 * y) + 0.5 * Math.sin(0.3 * (x + 2 * y)))
      )
    })
  const moved = residualOf(wave(0.2, 40), wave(0, 50), side)
  assert.ok(moved.share < 0.05, String(moved.share))
  const same = residualOf(wave(0, 40), wave(0, 60), side)
  assert.ok(same.rms < 1e-9 && same.share < 1e-9)
  const other = residualOf(wave(0, 40), wave(9, 40), side)
  assert.ok(other.share > 0.5, String(other.share))
})

test('what is left is in grey levels: noise that no term explains keeps its size', () => {
  const side = 32
  const zero = new Float64Array(side ** 2)
  const board = Float64Array.from(zero, (_, n) => 10 * Math.sin(0.9 * (n % side)))
  const { rms, share } = residualOf(zero, board, side)
  assert.is(share, 1)
  assert.ok(rms > 2 && rms < 10 / Math.SQRT2, String(rms))
  assert.equal(residualOf(zero, zero, side), { rms: 0, share: 1 })
})

test.run()
