// Multiplies slices of a tiled product in registers: 8 x 8 sums per thread, or 4 x 4 in small
// tiles. Factors are staged as f32. On a device with f16 and no subgroup matrices, precision f16
// stages them as f16, which halves the traffic of workgroup memory. Products and sums are always
// f32.

import { type Wgsl, wgsl } from '../op.ts'
import type { Mma } from './mainloop.ts'
import { registerMoments } from './epilogue-moments.ts'

/** k per slice. */
export const REGISTERS_DEPTH = 16

/** The mma of threads with 4 `fours` rows and columns each. The pipeline constants `threadsX` and
 *  `threadsY` set the tile's size. `f16`: factors are staged as f16. */
export const registersMma = (f16: boolean, fours: 1 | 2, moments = false): Mma => ({
  head: f16 ? wgsl`enable f16;` : wgsl``,
  thread: wgsl`@builtin(local_invocation_index) thread: u32`,
  begin: wgsl`
    let x = thread % threadsX;
    let y0 = thread / threadsX;
    var sums = array<array<vec4f, fours>, 4u * fours>();
  `,
  code: wgsl`
    alias Staged = ${f16 ? wgsl`vec4<f16>` : wgsl`vec4f`};
    const depth = 16u;
    const fours = ${fours === 1 ? wgsl`1u` : wgsl`2u`};
    override threadsX: u32 = 16u;
    override threadsY: u32 = 16u;
    override threads: u32 = threadsX * threadsY;
    override tileM: u32 = threadsY * 4u * fours;
    override tileN: u32 = threadsX * 4u * fours;
    override bStart: u32 = depth * tileM / 4u;
    override stagedCount: u32 = bStart + depth * tileN / 4u; // named, as naga requires of sizes with an override
    var<workgroup> staged: array<Staged, stagedCount>; // A's slice [depth, tileM], B's [depth, tileN]

    ${moments ? registerMoments.memory(f16) : wgsl``}

    ${blocks}
    // Eight rows to eight threads: stores go to different banks, and a warp's loads fill cache
    // lines.
    fn alongBlock(e: u32) -> vec2u { return vec2u(e % 8u + e / (2u * depth) * 8u, e / 8u % (depth / 4u)); }

    fn oriented(numbers: array<vec4f, 4>, along: bool) -> mat4x4f {
      let block = mat4x4f(numbers[0], numbers[1], numbers[2], numbers[3]);
      if (along) { return transpose(block); }
      return block;
    }
    fn stageA(at: vec2u, numbers: array<vec4f, 4>) {
      let block = oriented(numbers, aAlong);
      for (var i = 0u; i < 4u; i++) { staged[(at.y * 4u + i) * (tileM / 4u) + at.x] = Staged(block[i]); }
    }
    fn stageB(at: vec2u, numbers: array<vec4f, 4>) {
      let block = oriented(numbers, bAlong);
      for (var i = 0u; i < 4u; i++) { staged[bStart + (at.y * 4u + i) * (tileN / 4u) + at.x] = Staged(block[i]); }
    }
  `,
  // A thread's fours of columns lie threadsX fours apart, so that neighbours read neighbouring
  // vec4s.
  multiply: wgsl`
      for (var k = 0u; k < depth; k++) {
        var left = array<vec4f, fours>();
        var right = array<vec4f, fours>();
        for (var i = 0u; i < fours; i++) {
          left[i] = vec4f(staged[k * (tileM / 4u) + y0 * fours + i]);
          right[i] = vec4f(staged[bStart + k * (tileN / 4u) + x + i * threadsX]);
        }
        for (var row = 0u; row < 4u * fours; row++) {
          let value = vec4f(left[row / 4u][row % 4u]);
          for (var i = 0u; i < fours; i++) { sums[row][i] = fma(value, right[i], sums[row][i]); }
        }
      }
  `,
  end: wgsl`
    for (var row = 0u; row < 4u * fours; row++) {
      for (var i = 0u; i < fours; i++) {
        epilogue(tile.x + y0 * 4u * fours + row, tile.y + (x + i * threadsX) * 4u, sums[row][i]);
      }
    }
    ${moments ? registerMoments.end : wgsl``}
  `,
})

/** The block of each factor that thread e stages: numbers of its four of rows or columns, and of
 *  k. */
export const blocks: Wgsl = wgsl`
    fn blockA(e: u32) -> vec2u {
      if (aAlong) { return alongBlock(e); }
      return vec2u(e % (tileM / 4u), e / (tileM / 4u));
    }
    fn blockB(e: u32) -> vec2u {
      if (bAlong) { return alongBlock(e); }
      return vec2u(e % (tileN / 4u), e / (tileN / 4u));
    }
`
