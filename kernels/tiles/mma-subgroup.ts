// Multiplies slices of a tiled product by subgroup matrices. Factors are staged as f16, in the
// order in which memory has them. Subgroups of 32 threads multiply 16 x 16 pieces of them. Sums are
// f32. In f16x3 each number is staged as two f16s and each piece takes three products
// (subgroup-matrix.ts).

import { wgsl } from '../op.ts'
import { type Matrices, split } from '../wgsl/subgroup-matrix.ts'
import type { Mma } from './mainloop.ts'
import { subgroupMoments } from './epilogue-moments.ts'
import { blocks } from './mma-registers.ts'

interface SubgroupForm {
  /** f16x3: two f16s a number. */
  readonly exact: boolean
  /** Sums of a subgroup: 16 `tall` rows, 32 columns. */
  readonly tall: 2 | 4
  /** Whether y is bound as vec4s. */
  readonly vec4Y: boolean
  /** Whether the moments of columns are stored too. */
  readonly moments?: boolean
}

/** k per slice. f16x3 stages two f16s a number, and half as many k. */
export const subgroupDepth = (exact: boolean) => (exact ? 16 : 32)

/** The mma of `subgroupsX` by `subgroupsY` subgroups, two pipeline constants that set the tile's
 *  size. */
export const subgroupMma = (
  by: Matrices,
  { exact, tall, vec4Y, moments = false }: SubgroupForm,
): Mma => ({
  head: by.head,
  thread: by.thread,
  begin: wgsl`
    ${by.begin}
    let row0 = subgroup / subgroupsX * 16u * tall;
    let column0 = subgroup % subgroupsX * 16u * wide;
    var sums = array<array<Sums, wide>, tall>();
  `,
  code: wgsl`
    const depth = ${exact ? wgsl`16u` : wgsl`32u`};
    const tall = ${tall === 2 ? wgsl`2u` : wgsl`4u`};
    const wide = 2u;
    override subgroupsX: u32 = 4u;
    override subgroupsY: u32 = 2u;
    override threads: u32 = 32u * subgroupsX * subgroupsY;
    override tileM: u32 = subgroupsY * 16u * tall;
    override tileN: u32 = subgroupsX * 16u * wide;
    // Rows of the staged slices have two vec4s of padding, so that threads use different banks.
    override aStride: u32 = select(tileM / 4u, depth / 4u, aAlong) + 2u;
    override bStride: u32 = select(tileN / 4u, depth / 4u, bAlong) + 2u;
    override aSize: u32 = select(depth, tileM, aAlong) * aStride;
    override bSize: u32 = select(depth, tileN, bAlong) * bStride;
    override bStart: u32 = aSize * parts;
    const parts = ${exact ? wgsl`2u` : wgsl`1u`}; // high and low
    // named, as naga requires of sizes with an override
    override stagedCount: u32 = (aSize + bSize) * parts;
    override spilledCount: u32 = 256u * subgroupsX * subgroupsY;
    var<workgroup> staged: array<vec4<f16>, stagedCount>;
    var<workgroup> spilled: array<f32, spilledCount>;
    ${by.factors}
    ${by.spill}
    ${vec4Y ? by.store : wgsl``}
    ${exact ? split : wgsl``}

    ${blocks}
    fn alongBlock(e: u32) -> vec2u { return vec2u(e / (depth / 4u), e % (depth / 4u)); }

    fn stage(at: u32, size: u32, numbers: vec4f) {
      ${
        exact
          ? wgsl`
      staged[at] = high(numbers);
      staged[at + size] = low(numbers);`
          : wgsl`staged[at] = vec4<f16>(numbers);`
      }
    }
    fn stageA(at: vec2u, numbers: array<vec4f, 4>) {
      let outer = select(at.y, at.x, aAlong) * 4u;
      let inner = select(at.x, at.y, aAlong);
      for (var i = 0u; i < 4u; i++) { stage((outer + i) * aStride + inner, aSize, numbers[i]); }
    }
    fn stageB(at: vec2u, numbers: array<vec4f, 4>) {
      let outer = select(at.y, at.x, bAlong) * 4u;
      let inner = select(at.x, at.y, bAlong);
      for (var i = 0u; i < 4u; i++) { stage(bStart + (outer + i) * bStride + inner, bSize, numbers[i]); }
    }
    fn left(start: u32, row: u32, k: u32) -> Left {
      if (aAlong) { return leftByRows(start + row * aStride + k / 4u, aStride); }
      return leftByColumns(start + k * aStride + row / 4u, aStride);
    }
    fn right(start: u32, column: u32, k: u32) -> Right {
      if (bAlong) { return rightByColumns(bStart + start + column * bStride + k / 4u, bStride); }
      return rightByRows(bStart + start + k * bStride + column / 4u, bStride);
    }
  `,
  multiply: wgsl`
      for (var piece = 0u; piece < depth / 16u; piece++) {
        let k = piece * 16u;
        var rights = array<Right, wide * parts>();
        for (var j = 0u; j < wide * parts; j++) {
          rights[j] = right(j / wide * bSize, column0 + j % wide * 16u, k);
        }
        for (var i = 0u; i < tall; i++) {
          let l = left(0u, row0 + i * 16u, k);
          ${
            exact
              ? wgsl`
          let small = left(aSize, row0 + i * 16u, k);
          for (var j = 0u; j < wide; j++) {
            sums[i][j] = multiplyAddSplit(l, small, rights[j], rights[j + wide], sums[i][j]);
          }`
              : wgsl`for (var j = 0u; j < wide; j++) { sums[i][j] = multiplyAdd(l, rights[j], sums[i][j]); }`
          }
        }
      }
  `,
  end: moments
    ? subgroupMoments
    : wgsl`
    ${vec4Y ? storeWhole : wgsl``}
    // Through workgroup memory, from which a thread can read single sums.
    let lane = thread % 32u;
    for (var i = 0u; i < tall; i++) {
      for (var j = 0u; j < wide; j++) {
        spill(subgroup * 256u, sums[i][j], 16u);
        workgroupBarrier();
        for (var part = 0u; part < 2u; part++) {
          let row = lane / 4u + part * 8u;
          let column = lane % 4u * 4u;
          let at = thread / 32u * 256u + row * 16u + column;
          epilogue(
            tile.x + thread / 32u / subgroupsX * 16u * tall + i * 16u + row,
            tile.y + thread / 32u % subgroupsX * 16u * wide + j * 16u + column,
            vec4f(spilled[at], spilled[at + 1u], spilled[at + 2u], spilled[at + 3u]),
          );
        }
        workgroupBarrier();
      }
    }
  `,
})

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
