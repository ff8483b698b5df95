// The fragment load of a product's inner loop: eight numbers that every thread multiplies with
// numbers of its own.
//
// A software adapter runs threads as lanes of SIMD code and loads lane by lane, with a bounds check
// each time. There eight lanes of a subgroup load one number each and broadcast it to each other.
// Any other adapter loads all eight in every thread, from addresses that the workgroup shares.

import { type Kernel, type Run, type Wgsl, wgsl } from '../op.ts'

/** WGSL of one way to load a fragment. */
export interface FragmentLoad {
  /** Opens the source. */
  readonly head: Wgsl
  /** Parameters of the entry point: `thread`, its number in the workgroup, and `lane`, its number
   *  in the subgroup, where that matters. */
  readonly thread: Wgsl
  /** - `selectFragment(lane, first, count, stride)`, called once: chooses the addresses;
   *  - `loadFragment(at) -> Eight`, in two vectors `low` and `high`: number i, `numberOf(all, i)`,
   *    is `factors[at + stride * min(first + i, count - 1)]`. */
  readonly fragment: Wgsl
}

const eight = wgsl`
  struct Eight { low: vec4f, high: vec4f }
  fn numberOf(all: Eight, i: u32) -> f32 { return select(all.low, all.high, i > 3u)[i % 4u]; }
`

const direct: FragmentLoad = {
  head: wgsl`const lane = 0u;`,
  thread: wgsl`@builtin(local_invocation_index) thread: u32`,
  fragment: wgsl`
    ${eight}
    var<private> lowest: vec4u = vec4u();
    var<private> highest: vec4u = vec4u();
    fn selectFragment(lane: u32, first: u32, count: u32, stride: u32) {
      lowest = min(first + vec4u(0u, 1u, 2u, 3u), vec4u(count - 1u)) * stride;
      highest = min(first + vec4u(4u, 5u, 6u, 7u), vec4u(count - 1u)) * stride;
    }
    fn loadFour(at: vec4u) -> vec4f {
      return vec4f(factors[at.x], factors[at.y], factors[at.z], factors[at.w]);
    }
    fn loadFragment(at: u32) -> Eight { return Eight(loadFour(at + lowest), loadFour(at + highest)); }
  `,
}

const broadcast: FragmentLoad = {
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

/** Whether eight lanes of a subgroup should load for each other. */
export const broadcasts = (run: Run): boolean => run.software && run.subgroupSize >= 8

/** The kernel that `make` builds around the fragment load that suits the machine. Its threads must
 *  all stay to the end. */
export function byFragmentLoad(make: (load: FragmentLoad) => Kernel): (run: Run) => Kernel {
  const [everyThread, lanes] = [make(direct), make(broadcast)]
  return (run) => (broadcasts(run) ? lanes : everyThread)
}

/** Threads of a workgroup. A software adapter runs a workgroup on one core: small ones spread the
 *  work better. */
export const threadsFor = (run: Run): number => (run.software ? 16 : 64)
