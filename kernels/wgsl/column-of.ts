// How a software adapter's subgroup of eight lanes shares what it has loaded of sixteen columns.

import { type Wgsl, wgsl } from '../op.ts'

/** Declares `columnOf(own, i)`: the four numbers of column i, of what each lane has loaded in
 *  `own`. 'along': a lane's fours are columns, its own and the eighth after it. 'across': its fours
 *  are four columns of one number, and of the second after it. */
export const columnOf: Record<'along' | 'across', Wgsl> = {
  along: wgsl`
  fn columnOf(own: mat2x4f, i: u32) -> vec4f { return subgroupShuffle(own[i / 8u], i % 8u); }`,
  across: wgsl`
  fn columnOf(own: mat2x4f, i: u32) -> vec4f {
    let low = own[0][i % 4u];
    let high = own[1][i % 4u];
    return vec4f(
      subgroupShuffle(low, i / 4u), subgroupShuffle(low, 4u + i / 4u),
      subgroupShuffle(high, i / 4u), subgroupShuffle(high, 4u + i / 4u),
    );
  }`,
}
