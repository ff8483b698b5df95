// The fragment load of a product's inner loop: eight numbers that every thread multiplies with
// numbers of its own.

import { type Kernel, type Run, type Wgsl, form, ownOf, wgsl } from '../op.ts'

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

/** The load of a device's own. */
export const fragmentForm = form<FragmentLoad>()

/** Declares Eight and `numberOf`. */
export const eight = wgsl`
  struct Eight { low: vec4f, high: vec4f }
  fn numberOf(all: Eight, i: u32) -> f32 { return select(all.low, all.high, i > 3u)[i % 4u]; }
`

// Every thread loads all eight, from addresses that the workgroup shares.
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

/** The kernel that `make` builds around the fragment load that suits the machine. Its threads must
 *  all stay to the end. */
export function byFragmentLoad(make: (load: FragmentLoad) => Kernel): (run: Run) => Kernel {
  const made = new Map<FragmentLoad, Kernel>()
  return (run) => {
    const load = ownOf(run, fragmentForm) ?? direct
    const program = made.get(load) ?? make(load)
    made.set(load, program)
    return program
  }
}

/** Threads of a workgroup. A software adapter runs a workgroup on one core: small ones spread the
 *  work better. */
export const threadsFor = (run: Run): number => (run.software ? 16 : 64)
