// Threefry-2x32, 20 rounds (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405): a
// counter-based random generator of add, rotate and xor alone, so WGSL and TypeScript give the same
// bits. Draw n of a stream is a pure function of (key, n). Nothing is consumed in order, so
// resuming, reordering or resizing a batch changes no other draw.

import { type Scalar, derive, wgsl } from '../op.ts'
import { checkValue, describe } from '../options.ts'
import { seedRule } from '../seeds.ts'

/** `threefry(key, counter) -> vec2u` and `uniform01(bits) -> f32 in [0, 1)` for WGSL. */
export const threefry = wgsl`
  fn threefry(key: vec2u, counter: vec2u) -> vec2u {
    const R = array<u32, 8>(13u, 15u, 26u, 6u, 17u, 29u, 16u, 24u);
    let ks = array<u32, 3>(key.x, key.y, 0x1BD11BDAu ^ key.x ^ key.y);
    var x = counter + key;
    for (var block = 0u; block < 5u; block++) {
      for (var round = 0u; round < 4u; round++) {
        let r = R[(block % 2u) * 4u + round];
        x.x += x.y;
        x.y = ((x.y << r) | (x.y >> (32u - r))) ^ x.x;
      }
      x += vec2u(ks[(block + 1u) % 3u], ks[(block + 2u) % 3u] + block + 1u);
    }
    return x;
  }
  fn uniform01(bits: u32) -> f32 { return f32(bits >> 8u) * 0x1p-24; }
`

/** Computes 64 random bits, two u32, from a key and a counter of two u32 each, by Threefry-2x32 of
 *  20 rounds (https://doi.org/10.1145/2063384.2063405). The same arguments give the same bits,
 *  those of WGSL's `threefry`. Numbers count modulo 2^32. Throws TypeError unless both are two
 *  whole numbers. */
export function threefry2x32(
  key: readonly [number, number],
  counter: readonly [number, number],
): [number, number] {
  if (!isPair(key)) throw noPair('key', key)
  if (!isPair(counter)) throw noPair('counter', counter)
  const bits = new Uint32Array(2)
  threefryInto(bits, key, counter[0], counter[1])
  return [bits[0] ?? 0, bits[1] ?? 0]
}

/** Whether a value is two whole numbers. Written out, as it is asked twice a draw. */
const isPair = (v: unknown): boolean =>
  Array.isArray(v) && v.length === 2 && Number.isSafeInteger(v[0]) && Number.isSafeInteger(v[1])

/** The error for a value that should be two whole numbers. */
function noPair(name: string, value: unknown): TypeError {
  const isList = Array.isArray(value) && value.length < 5
  const got = isList ? `[${value.map(describe).join(', ')}]` : describe(value)
  const hasStep = isList && value.some((v) => typeof v === 'function')
  const remedy = hasStep ? '; call a step that is a function, as in step()' : ''
  return new TypeError(
    `threefry2x32: ${name} must be two whole numbers, as in [seed, 0], got ${got}${remedy}`,
  )
}

/** `threefry2x32` for millions of draws: fills `bits` with the two u32 of each of the counters
 *  [c0, c1], [c0 + 1, c1] ... */
export function threefryInto(
  bits: Uint32Array,
  [k0, k1]: readonly [number, number],
  c0: number,
  c1: number,
) {
  const k2 = 0x1bd11bda ^ k0 ^ k1
  for (let i = 0; i < bits.length; i += 2) {
    let ka = k1 | 0 // these three are what the next blocks add
    let kb = k2 | 0
    let kc = k0 | 0
    let x = (c0 + (i >>> 1) + k0) | 0
    let y = (c1 + k1) | 0
    for (let block = 1; block <= 5; block++) {
      const odd = block % 2 === 1
      const r0 = odd ? 13 : 17
      const r1 = odd ? 15 : 29
      const r2 = odd ? 26 : 16
      const r3 = odd ? 6 : 24
      x = (x + y) | 0 // written out: a call costs as much as all of this
      y = ((y << r0) | (y >>> (32 - r0))) ^ x
      x = (x + y) | 0
      y = ((y << r1) | (y >>> (32 - r1))) ^ x
      x = (x + y) | 0
      y = ((y << r2) | (y >>> (32 - r2))) ^ x
      x = (x + y) | 0
      y = ((y << r3) | (y >>> (32 - r3))) ^ x
      x = (x + ka) | 0
      y = (y + kb + block) | 0
      const next = ka
      ka = kb
      kb = kc
      kc = next
    }
    bits[i] = x
    bits[i + 1] = y
  }
}

/** Computes a stream's number, a u32, from its name (FNV-1a), so that the draws of one name depend
 *  on no other name. */
export function streamOf(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** The key of a step's draws, two u32: a pure function of (seed, stream, step, of). `stream`
 *  separates the uses of a seed, `of` the views of a step. Throws TypeError, whose message begins
 *  with `owner`, for a step that is no whole number from 0 to below 2^32, also in a replay. */
export function streamKey(
  seed: number,
  stream: number,
  step: Scalar,
  { of = 0, owner = 'draws' }: { readonly of?: number; readonly owner?: string } = {},
): [key0: Scalar, key1: Scalar] {
  const word = (i: 0 | 1) =>
    derive(step, (t) => {
      checkValue(owner, 'step', t, seedRule)
      return threefry2x32([seed, stream], [t, of])[i]
    })
  return [word(0), word(1)]
}

/** Makes a float in [0, 1) of a u32 of random bits: the upper 24 of them over 2^24, as WGSL's
 *  `uniform01` does. */
export const uniform01 = (bits: number) => (bits >>> 8) * 2 ** -24
