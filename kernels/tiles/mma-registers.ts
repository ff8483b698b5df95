// Multiplies slices of a tiled product in registers: 8 x 8 sums per thread, or 4 x 4 in small
// tiles. Factors are staged as f32: rounded to f16 they would take half the workgroup memory, but
// each would have to be converted again before every product.
//
// A thread stages blocks of 4 x 4 numbers, which it turns where memory has them the other way.

import { type Wgsl, wgsl } from '../op.ts'
import type { Arithmetic, Tile } from './arithmetic.ts'
import type { Mma, Stage } from './mainloop.ts'
import { registerMoments } from './epilogue-moments.ts'
import { literals } from './literals.ts'
import type { Loader } from './loader.ts'

/** A tile of `threadsX` by `threadsY` threads, each with 4 `fours` rows and columns. */
interface RegisterTile {
  readonly fours: 1 | 2
  readonly threadsX: 8 | 16
  readonly threadsY: 8 | 16
}

const DEPTH = 16 // k per slice

/** The mma of a tile for a loader. */
function registersMma(
  { fours, threadsX, threadsY }: RegisterTile,
  { along, columns = null }: Loader,
): Mma {
  const [aBlocks, bBlocks] = [threadsY * fours * 4, threadsX * fours * 4]
  const threads = threadsX * threadsY
  if (columns === 'norm sums') throw new Error('tiles: sums in registers have no such epilogue')
  const moments = columns === 'moments'
  return {
    head: wgsl``,
    thread: wgsl`@builtin(local_invocation_index) thread: u32`,
    shares: aBlocks + bBlocks <= threads,
    begin: wgsl`
    let x = thread % threadsX;
    let y0 = thread / threadsX;
    var sums = array<array<vec4f, fours>, 4u * fours>();
  `,
    code: wgsl`
    const depth = 16u;
    const fours = ${literals[fours]};
    const threadsX = ${literals[threadsX]};
    const threadsY = ${literals[threadsY]};
    const threads = threadsX * threadsY;
    const tileM = threadsY * 4u * fours;
    const tileN = threadsX * 4u * fours;
    const aBlocks = tileM * depth / 16u;
    const bBlocks = tileN * depth / 16u;
    const aLoads = 4u;
    const bLoads = 4u;
    fn apartA(i: u32) -> u32 { return i; }
    fn apartB(i: u32) -> u32 { return i; }
    const bStart = depth * tileM / 4u;
    const stagedCount = bStart + depth * tileN / 4u;
    var<workgroup> staged: array<vec4f, stagedCount>; // A's slice [depth, tileM], B's [depth, tileN]

    ${moments ? registerMoments.memory : wgsl``}
  `,
    stage: {
      a: stage(
        wgsl`a`,
        wgsl`tileM`,
        wgsl`0u`,
        along.a,
        aBlocks < threads ? wgsl`thread < aBlocks` : null,
      ),
      b: stage(
        wgsl`b`,
        wgsl`tileN`,
        wgsl`bStart`,
        along.b,
        bBlocks < threads ? wgsl`thread >= threads - bBlocks` : null,
      ),
    },
    multiply,
    end: wgsl`
    for (var row = 0u; row < 4u * fours; row++) {
      for (var i = 0u; i < fours; i++) {
        epilogue(tile.x + y0 * 4u * fours + row, tile.y + (x + i * threadsX) * 4u, sums[row][i]);
      }
    }
    ${moments ? registerMoments.end : wgsl``}
  `,
  }
}

/** The block of thread e is number `outer` of the fours of rows or columns, and `inner` of those of
 *  k. Along the sum, eight blocks of rows go to eight threads: stores go to different banks, and a
 *  warp's loads fill cache lines. */
function stage(s: Wgsl, rows: Wgsl, start: Wgsl, along: boolean, where: Wgsl | null): Stage {
  const e = wgsl`thread % ${s}Blocks`
  const outer = along ? wgsl`(${e} % 8u + ${e} / (2u * depth) * 8u)` : wgsl`${e} % (${rows} / 4u)`
  const inner = along ? wgsl`${e} / 8u % (depth / 4u)` : wgsl`${e} / (${rows} / 4u)`
  return {
    where,
    first: wgsl`vec2u(${outer} * 4u, ${inner} * 4u)`,
    write: (next) => wgsl`
        let ${s}Block = ${along ? wgsl`transpose(mat4x4f(${next}[0], ${next}[1], ${next}[2], ${next}[3]))` : next};
        for (var i = 0u; i < 4u; i++) { staged[${start} + (${inner} * 4u + i) * (${rows} / 4u) + ${outer}] = ${s}Block[i]; }
      `,
  }
}

// A thread's fours of columns lie threadsX fours apart, so that neighbours read neighbouring vec4s.
// Compilers unroll the inner loop over two k.
const multiply = wgsl`
      for (var pair = 0u; pair < depth / 2u; pair++) {
        for (var one = 0u; one < 2u; one++) {
          let k = pair * 2u + one;
          var left = array<vec4f, fours>();
          var right = array<vec4f, fours>();
          for (var i = 0u; i < fours; i++) {
            left[i] = staged[k * (tileM / 4u) + y0 * fours + i];
            right[i] = staged[bStart + k * (tileN / 4u) + x + i * threadsX];
          }
          for (var row = 0u; row < 4u * fours; row++) {
            let value = vec4f(left[row / 4u][row % 4u]);
            for (var i = 0u; i < fours; i++) { sums[row][i] = fma(value, right[i], sums[row][i]); }
          }
        }
      }
`

function tileOf(
  resident: number,
  fours: RegisterTile['fours'],
  threadsX: RegisterTile['threadsX'],
  threadsY: RegisterTile['threadsY'],
): Tile {
  const [M, N] = [threadsY * 4 * fours, threadsX * 4 * fours]
  return {
    ...{ M, N, resident, threads: threadsX * threadsY, bytes: (M + N) * DEPTH * 4 },
    mma: (loader) => registersMma({ fours, threadsX, threadsY }, loader),
  }
}

/** Products in registers. No tile has more blocks of 4 x 4 to stage than threads. */
export const inRegisters: Arithmetic = {
  name: '',
  tiles: [
    tileOf(2, 2, 16, 16),
    tileOf(3, 2, 8, 16),
    tileOf(3, 2, 16, 8),
    tileOf(6, 2, 8, 8),
    tileOf(10, 1, 8, 8),
  ],
  depth: DEPTH,
  partialWorth: 40,
  finish: (of) => of,
}
