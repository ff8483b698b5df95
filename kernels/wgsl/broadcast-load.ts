// Eight numbers that all threads of a tile need: the inner loop of matrix products and convolutions multiplies them with
// numbers of each thread's own. On a GPU every thread loads them, from addresses that the whole workgroup shares, which
// its caches serve at once. A CPU adapter runs threads as lanes of SIMD code and loads lane by lane, checking bounds
// each time (Mesa's lavapipe knows no shared address), so there each of eight neighbours loads one number and
// broadcasts it. That takes subgroups of at least eight.

import { type Kernel, type Run, type Wgsl, wgsl } from '../op.ts'

/** WGSL of one way to share: `head` opens the source; `lane` is the entry point's parameter `lane`, the thread's number
 *  in its workgroup, and what else is needed; `eight(at)` gives the numbers
 *  `factors[at + stride * min(first + i, count - 1)]`, i < 8, after `share(neighbor, first, count, stride)`. */
export interface Sharing {
  readonly head: Wgsl
  readonly lane: Wgsl
  readonly eight: Wgsl
}

const loaded: Sharing = {
  head: wgsl`const neighbor = 0u;`,
  lane: wgsl`@builtin(local_invocation_index) lane: u32`,
  eight: wgsl`
    var<private> offsets: array<u32, 8> = array<u32, 8>();
    fn share(neighbor: u32, first: u32, count: u32, stride: u32) {
      for (var i = 0u; i < 8u; i++) { offsets[i] = min(first + i, count - 1u) * stride; }
    }
    fn eight(at: u32) -> array<f32, 8> {
      var numbers = array<f32, 8>();
      for (var i = 0u; i < 8u; i++) { numbers[i] = factors[at + offsets[i]]; }
      return numbers;
    }
  `,
}

const broadcast: Sharing = {
  head: wgsl`enable subgroups;`,
  lane: wgsl`@builtin(local_invocation_index) lane: u32, @builtin(subgroup_invocation_id) neighbor: u32`,
  eight: wgsl`
    var<private> offset: u32 = 0u;
    fn share(neighbor: u32, first: u32, count: u32, stride: u32) {
      offset = min(first + neighbor % 8u, count - 1u) * stride;
    }
    fn eight(at: u32) -> array<f32, 8> {
      let own = factors[at + offset];
      return array<f32, 8>(
        subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u), subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u),
        subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u), subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u),
      );
    }
  `,
}

/** The kernel that `make` builds around the way to share that suits the machine. Its threads must all stay to the end. */
export function sharing(make: (by: Sharing) => Kernel): (run: Run) => Kernel {
  const [onGpu, onCpu] = [make(loaded), make(broadcast)]
  return (run) => (run.software && run.subgroupSize >= 8 ? onCpu : onGpu)
}

/** Threads of a workgroup: a CPU adapter runs a workgroup on one core, so there small ones spread the work better. */
export const threadsFor = (run: Run): number => (run.software ? 16 : 64)
