// Threefry-2x32, 20 rounds (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405): a
// counter-based random generator of add, rotate and xor alone, so WGSL and TypeScript give the same
// bits. Draw n of a stream is a pure function of (key, n). Nothing is consumed in order, so
// resuming, reordering or resizing a batch changes no other draw.

import { type Scalar, derive, wgsl } from '../op.ts'

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

const R = [13, 15, 26, 6, 17, 29, 16, 24] as const

/** Computes 64 random bits, two u32, from a key and a counter of two u32 each, by Threefry-2x32 of
 *  20 rounds (https://doi.org/10.1145/2063384.2063405). The same arguments give the same bits,
 *  those of WGSL's `threefry`. Throws TypeError unless both are arrays. */
export function threefry2x32(
  key: readonly [number, number],
  counter: readonly [number, number],
): [number, number] {
  if (!Array.isArray(key) || !Array.isArray(counter))
    throw new TypeError('threefry2x32: key and counter must be two numbers each')
  const [k0, k1] = key
  const [c0, c1] = counter
  const ks = [k0 | 0, k1 | 0, 0x1bd11bda ^ k0 ^ k1] as const
  let x = (c0 + k0) | 0
  let y = (c1 + k1) | 0
  for (let block = 0; block < 5; block++) {
    for (let round = 0; round < 4; round++) {
      const r = R[((block % 2) * 4 + round) as 0] // within the table by construction
      x = (x + y) | 0
      y = ((y << r) | (y >>> (32 - r))) ^ x
    }
    x = (x + ks[((block + 1) % 3) as 0]) | 0
    y = (y + ks[((block + 2) % 3) as 0] + block + 1) | 0
  }
  return [x >>> 0, y >>> 0]
}

/** Computes a stream's number, a u32, from its name (FNV-1a), so that the draws of one name depend
 *  on no other name. */
export function streamOf(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** The key of a step's draws, two u32: a pure function of (seed, stream, step, of). `stream`
 *  separates the uses of a seed, `of` the views of a step. */
export function streamKey(
  seed: number,
  stream: number,
  step: Scalar,
  of = 0,
): [key0: Scalar, key1: Scalar] {
  const word = (i: 0 | 1) => derive(step, (t) => threefry2x32([seed, stream], [t, of])[i])
  return [word(0), word(1)]
}

/** Makes a float in [0, 1) of a u32 of random bits: the upper 24 of them over 2^24, as WGSL's
 *  `uniform01` does. */
export const uniform01 = (bits: number) => (bits >>> 8) * 2 ** -24
