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
   *  - `loadFragment(at) -> array<f32, 8>`: number i is
   *    `factors[at + stride * min(first + i, count - 1)]`. */
  readonly fragment: Wgsl
}

const direct: FragmentLoad = {
  head: wgsl`const lane = 0u;`,
  thread: wgsl`@builtin(local_invocation_index) thread: u32`,
  fragment: wgsl`
    var<private> offsets: array<u32, 8> = array<u32, 8>();
    fn selectFragment(lane: u32, first: u32, count: u32, stride: u32) {
      for (var i = 0u; i < 8u; i++) { offsets[i] = min(first + i, count - 1u) * stride; }
    }
    fn loadFragment(at: u32) -> array<f32, 8> {
      var numbers = array<f32, 8>();
      for (var i = 0u; i < 8u; i++) { numbers[i] = factors[at + offsets[i]]; }
      return numbers;
    }
  `,
}

const broadcast: FragmentLoad = {
  head: wgsl`enable subgroups;`,
  thread: wgsl`@builtin(local_invocation_index) thread: u32, @builtin(subgroup_invocation_id) lane: u32`,
  fragment: wgsl`
    var<private> offset: u32 = 0u;
    fn selectFragment(lane: u32, first: u32, count: u32, stride: u32) {
      offset = min(first + lane % 8u, count - 1u) * stride;
    }
    fn loadFragment(at: u32) -> array<f32, 8> {
      let own = factors[at + offset];
      return array<f32, 8>(
        subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u),
        subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u),
        subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u),
        subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u),
      );
    }
  `,
}

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
