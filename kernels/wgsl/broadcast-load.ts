// Loads on a software adapter. It runs threads as lanes of SIMD code and loads lane by lane, with a
// bounds check each time. So eight lanes of a subgroup load one number each, or a vector, and
// broadcast it to each other.

import { wgsl } from '../op.ts'
import { type FragmentLoad, eight } from './fragment-load.ts'

/** One number of a fragment a lane. */
export const broadcast: FragmentLoad = {
  head: wgsl`enable subgroups;`,
  thread: wgsl`@builtin(local_invocation_index) thread: u32, @builtin(subgroup_invocation_id) lane: u32`,
  fragment: wgsl`
    ${eight}
    var<private> offset: u32 = 0u;
    fn selectFragment(lane: u32, first: u32, count: u32, stride: u32) {
      offset = min(first + lane % 8u, count - 1u) * stride;
    }
    fn loadFragment(at: u32) -> Eight {
      let own = factors[at + offset];
      return Eight(
        vec4f(
          subgroupShuffle(own, 0u), subgroupShuffle(own, 1u),
          subgroupShuffle(own, 2u), subgroupShuffle(own, 3u),
        ),
        vec4f(
          subgroupShuffle(own, 4u), subgroupShuffle(own, 5u),
          subgroupShuffle(own, 6u), subgroupShuffle(own, 7u),
        ),
      );
    }
  `,
}

/** Fours that eight lanes load for each other.
 *  - `spreadRows(own)`: the vectors of lanes 0 to 7;
 *  - `spreadColumns(own)`: where lane 2 i + h holds columns 4 h to 4 h + 3 of row i of a 4 x 8
 *    matrix, that matrix's columns. */
export const spreadFours = wgsl`
  fn spreadRows(own: vec4f) -> array<vec4f, 8> {
    return array<vec4f, 8>(
      subgroupShuffle(own, 0u), subgroupShuffle(own, 1u),
      subgroupShuffle(own, 2u), subgroupShuffle(own, 3u),
      subgroupShuffle(own, 4u), subgroupShuffle(own, 5u),
      subgroupShuffle(own, 6u), subgroupShuffle(own, 7u),
    );
  }
  fn spreadColumns(own: vec4f) -> array<vec4f, 8> {
    let rows = spreadRows(own);
    var columns = array<vec4f, 8>();
    for (var i = 0u; i < 4u; i++) {
      columns[i] = vec4f(rows[0][i], rows[2][i], rows[4][i], rows[6][i]);
      columns[4u + i] = vec4f(rows[1][i], rows[3][i], rows[5][i], rows[7][i]);
    }
    return columns;
  }
`
