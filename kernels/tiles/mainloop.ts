// The main loop of a matrix product in tiles, y = A B, for GPUs. A workgroup computes one tile of
// y. It walks along the sum, stages a slice of A's rows and of B's columns in workgroup memory, and
// multiplies what is staged while it loads the next slice. A `Loader` says what A, B and y are; an
// `Mma` multiplies slices, in registers (mma-registers.ts) or by subgroup matrices
// (mma-subgroup.ts).
//
// WebGPU adds bounds checks to WGSL. A compiler drops them where it can prove them superfluous. So
// sizes of tiles are constants of the text, loops count to constants in steps of one, and indices
// of workgroup memory are products of constants and remainders, written in the entry point.

import { type Wgsl, wgsl } from '../op.ts'
import type { Loader } from './loader.ts'

/** WGSL that multiplies staged slices and adds the products to the sums. */
export interface Mma {
  /** Opens the source. */
  readonly head: Wgsl
  /** Declares `depth`, k per slice; `tileM`, `tileN` and `threads`; the workgroup memory; `aLoads`
   *  and `bLoads`, loads of a thread and slice; and `apartA(i)` and `apartB(i)`, how far load i is
   *  behind the first: in rows or columns where loads lie along the sum, else in k. */
  readonly code: Wgsl
  /** Parameters of the entry point, `thread` among them. */
  readonly thread: Wgsl
  /** Opens the body of the entry point. */
  readonly begin: Wgsl
  /** What a thread stages of A and of B. */
  readonly stage: { readonly a: Stage; readonly b: Stage }
  /** Whether each thread stages one factor only. The loads of both then share registers. */
  readonly shares: boolean
  /** Multiplies the staged slices. */
  readonly multiply: Wgsl
  /** Stores the sums. */
  readonly end: Wgsl
}

/** WGSL of a thread's part in staging a factor. */
export interface Stage {
  /** Which threads stage it: a condition, or null for all. */
  readonly where: Wgsl | null
  /** Row or column and k of its first load: a vec2u. */
  readonly first: Wgsl
  /** Writes `next`, the array of its loads, to workgroup memory. */
  readonly write: (next: Wgsl) => Wgsl
}

const when = (condition: Wgsl | null, then: Wgsl): Wgsl =>
  condition ? wgsl`if (${condition}) { ${then} }` : then

/** The statements that load a slice, and that stage it. */
function staging({ stage: { a, b }, shares }: Mma) {
  const [aNext, bNext] = shares ? [wgsl`next`, wgsl`next`] : [wgsl`aNext`, wgsl`bNext`]
  return {
    declare: shares
      ? wgsl`var next = array<LoadA, aLoads>();`
      : wgsl`var aNext = array<LoadA, aLoads>();
    var bNext = array<LoadB, bLoads>();`,
    fetch: wgsl`${when(a.where, wgsl`for (var i = 0u; i < aLoads; i++) { ${aNext}[i] = loadA(aSide, i); }`)}
      ${when(b.where, wgsl`for (var i = 0u; i < bLoads; i++) { ${bNext}[i] = loadB(bSide, i); }`)}`,
    write: wgsl`${when(a.where, a.write(aNext))}
      ${when(b.where, b.write(bNext))}`,
  }
}

/** The whole WGSL of a tiled product. */
export function tileSource({ name, code }: Loader, mma: Mma): Wgsl {
  const { declare, fetch, write } = staging(mma)
  return wgsl`
  ${mma.head}
  ${code}
  ${mma.code}

  // Row and column where a tile begins. Tiles are numbered in bands of eight rows of tiles, so that
  // workgroups that run at the same time share rows and columns in the cache.
  fn tileOrigin(index: u32) -> vec2u {
    let down = (p.M + tileM - 1u) / tileM;
    let across = (p.N + tileN - 1u) / tileN;
    let band = index / (8u * across);
    let height = min(8u, max(down, band * 8u + 1u) - band * 8u);
    let inside = index - band * 8u * across;
    let column = inside / height;
    return vec2u((band * 8u + inside - column * height) * tileM, column * tileN);
  }

  @compute @workgroup_size(threads)
  fn ${name}(${mma.thread}, @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {
    ${mma.begin}
    let tile = tileOrigin(group.y * groups.x + group.x);
    if (tile.x >= p.M) { return; } // the dispatch may have more tiles than needed
    prologue(group.z);
    let aFirst = ${mma.stage.a.first};
    let bFirst = ${mma.stage.b.first};
    var aSide = beginA(tile.x + aFirst.x, aFirst.y);
    var bSide = beginB(tile.y + bFirst.x, bFirst.y);
    ${declare}
    let count = sliceCount(group.z);
    if (count > 0u) {
      ${fetch}
    }
    for (var step = 0u; step < count; step++) {
      ${write}
      workgroupBarrier();
      if (step + 1u < count) {
        aSide = nextA(aSide);
        bSide = nextB(bSide);
        ${fetch}
      }
      ${mma.multiply}
      workgroupBarrier();
    }
    ${mma.end}
  }
`
}
