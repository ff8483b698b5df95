// Multiplies slices of a tiled product by subgroup matrices. Factors are staged as f16, in the
// order in which memory has them. Subgroups of 32 threads multiply 16 x 16 pieces of them. Sums are
// f32. In f16x3 each number is staged as two f16s and each piece takes three products
// (subgroup-matrix.ts).

import { type Wgsl, wgsl } from '../op.ts'
import { type Matrices, splitHalves } from '../wgsl/subgroup-matrix.ts'
import type { Mma, Stage } from './mainloop.ts'
import { subgroupMoments } from './epilogue-moments-subgroup.ts'
import { subgroupNormSums } from './epilogue-norm-sums.ts'
import { piecesCode, storeMoments, storeNormSums, storePieces } from './epilogue-pieces.ts'
import { type Loader, loadWidth } from './loader.ts'
import { type Literal, literals } from './literals.ts'

/** A tile of `subgroupsX` by `subgroupsY` subgroups, each with the sums of 16 `tall` rows and 16
 *  `wide` columns. */
export interface SubgroupTile {
  readonly tall: 2 | 4
  readonly wide: 2 | 4
  readonly subgroupsX: 1 | 2 | 4
  readonly subgroupsY: 2 | 4
}

/** k per slice. f16x3 stages two f16s a number, and half as many k. */
export const subgroupDepth = (exact: boolean) => (exact ? 16 : 32)

/** What the epilogue does with a chunk of rows. */
const chunks = {
  moments: { code: subgroupMoments, store: storeMoments },
  'norm sums': { code: subgroupNormSums, store: storeNormSums },
}

/** The mma of a tile for a loader. `exact`: f16x3. */
export function subgroupMma(
  by: Matrices,
  exact: boolean,
  { tall, wide, subgroupsX, subgroupsY }: SubgroupTile,
  { along, memory, columns = null }: Loader,
): Mma {
  return {
    head: by.head,
    thread: by.thread,
    shares: false,
    begin: wgsl`
    ${by.begin}
    let row0 = subgroup / subgroupsX * 16u * tall;
    let column0 = subgroup % subgroupsX * 16u * wide;
    var sums = array<array<Sums, wide>, tall>();
    ${exact ? wgsl`var smalls = array<array<Sums, wide>, tall>(); // 2048 times the sums of small products` : wgsl``}
  `,
    code: wgsl`
    const depth = ${literals[subgroupDepth(exact)]};
    const tall = ${literals[tall]};
    const wide = ${literals[wide]};
    const subgroupsX = ${literals[subgroupsX]};
    const subgroupsY = ${literals[subgroupsY]};
    const threads = 32u * subgroupsX * subgroupsY;
    const tileM = subgroupsY * 16u * tall;
    const tileN = subgroupsX * 16u * wide;
    ${slices(wgsl`A`, wgsl`a`, wgsl`tileM`, along.a, loadWidth(memory.a))}
    ${slices(wgsl`B`, wgsl`b`, wgsl`tileN`, along.b, loadWidth(memory.b))}
    const parts = ${exact ? wgsl`2u` : wgsl`1u`}; // high and low
    const bStart = aSize * parts;
    const stagedCount = (aSize + bSize) * parts;
    var<workgroup> staged: array<vec4<f16>, stagedCount>;
    const spilledCount = 256u * subgroupsX * subgroupsY;
    var<workgroup> spilled: array<f32, spilledCount>;
    ${by.factors}
    ${by.spill}
    ${memory.y === 'f32x4' && !exact ? by.store : wgsl``}
    ${exact ? splitHalves : wgsl``}
    fn left(start: u32, row: u32, k: u32) -> Left {
      ${
        along.a
          ? wgsl`return leftByRows(start + row * aStride + k / 4u, aStride);`
          : wgsl`return leftByColumns(start + k * aStride + row / 4u, aStride);`
      }
    }
    fn right(start: u32, column: u32, k: u32) -> Right {
      ${
        along.b
          ? wgsl`return rightByColumns(bStart + start + column * bStride + k / 4u, bStride);`
          : wgsl`return rightByRows(bStart + start + k * bStride + column / 4u, bStride);`
      }
    }
    ${piecesCode(exact)}
    ${columns ? chunks[columns].code(exact) : wgsl``}
  `,
    stage: {
      a: stage(wgsl`a`, wgsl`0u`, along.a, loadWidth(memory.a), exact),
      b: stage(wgsl`b`, wgsl`bStart`, along.b, loadWidth(memory.b), exact),
    },
    multiply: exact ? multiplySplit : multiplyWhole,
    end: columns
      ? chunks[columns].store(tall, wide, exact)
      : wgsl`
    ${memory.y === 'f32x4' && !exact ? storeWhole : wgsl``}
    ${storePieces(tall, wide, exact)}
  `,
  }
}

/** How the slice of a factor lies in workgroup memory, in lines as in its own: `aLine` loads to a
 *  line, `aApart` lines between a thread's neighbouring loads and its neighbour's. Lines have two
 *  vec4s of padding, and a thread takes fours of lines, so that threads use different banks. */
const slices = (S: Wgsl, s: Wgsl, rows: Wgsl, along: boolean, width: Literal): Wgsl => wgsl`
    const ${s}Line = ${along ? wgsl`depth` : rows} / ${literals[width]};
    const ${s}Stride = ${along ? wgsl`depth` : rows} / 4u + 2u;
    const ${s}Size = ${along ? rows : wgsl`depth`} * ${s}Stride;
    const ${s}Loads = ${rows} * depth / (${literals[width]} * threads);
    const ${s}Run = min(${s}Loads, 4u);
    fn apart${S}(i: u32) -> u32 { return i / ${s}Run * (threads / ${s}Line * ${s}Run) + i % ${s}Run; }
`

const stage = (s: Wgsl, start: Wgsl, along: boolean, width: Literal, exact: boolean): Stage => {
  const line = wgsl`thread / ${s}Line * ${s}Run`
  const place = wgsl`thread % ${s}Line * ${literals[width]}`
  return {
    where: null,
    first: along ? wgsl`vec2u(${line}, ${place})` : wgsl`vec2u(${place}, ${line})`,
    write: (next) => wgsl`
      for (var i = 0u; i < ${s}Loads; i++) {
        let at = ${start} + (thread / ${s}Line * ${s}Run + i / ${s}Run * (threads / ${s}Line * ${s}Run) + i % ${s}Run) * ${s}Stride + thread % ${s}Line * (${literals[width]} / 4u);
        ${
          exact
            ? wgsl`staged[at] = high(${next}[i]);
        staged[at + ${s}Size] = low(${next}[i]);`
            : width === 8
              ? wgsl`staged[at] = bitcast<vec4<f16>>(${next}[i].xy);
        staged[at + 1u] = bitcast<vec4<f16>>(${next}[i].zw);`
              : wgsl`staged[at] = vec4<f16>(${next}[i]);`
        }
      }`,
  }
}

const multiplyWhole = wgsl`
      for (var piece = 0u; piece < depth / 16u; piece++) {
        let k = piece * 16u;
        var rights = array<Right, wide>();
        for (var j = 0u; j < wide; j++) { rights[j] = right(0u, column0 + j * 16u, k); }
        for (var i = 0u; i < tall; i++) {
          let l = left(0u, row0 + i * 16u, k);
          for (var j = 0u; j < wide; j++) { sums[i][j] = multiplyAdd(l, rights[j], sums[i][j]); }
        }
      }
`

const multiplySplit = wgsl`
      for (var piece = 0u; piece < depth / 16u; piece++) {
        let k = piece * 16u;
        var rights = array<Right, wide>();
        var lows = array<Right, wide>();
        for (var j = 0u; j < wide; j++) {
          rights[j] = right(0u, column0 + j * 16u, k);
          lows[j] = right(bSize, column0 + j * 16u, k);
        }
        for (var i = 0u; i < tall; i++) {
          let l = left(0u, row0 + i * 16u, k);
          let low = left(aSize, row0 + i * 16u, k);
          for (var j = 0u; j < wide; j++) {
            sums[i][j] = multiplyAdd(l, rights[j], sums[i][j]);
            smalls[i][j] = multiplyAdd(low, rights[j], multiplyAdd(l, lows[j], smalls[i][j]));
          }
        }
      }
`

// A tile that lies in y whole, of sums that are y as they are.
const storeWhole = wgsl`
    if (storesSums() && tile.x + tileM <= p.M && tile.y + tileN <= p.N) {
      for (var i = 0u; i < tall; i++) {
        for (var j = 0u; j < wide; j++) {
          store(storeOffset(group.z, tile.x + row0 + i * 16u, tile.y + column0 + j * 16u), sums[i][j], p.N / 4u);
        }
      }
      return;
    }
`
