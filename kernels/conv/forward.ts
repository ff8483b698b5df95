// Convolution as an implicit matrix product: rows are output pixels, columns are output channels, and the sum runs over
// taps and input channels, read in place. The data gradient is the same kernel with other numbers: a stride of s splits
// the input's pixels into s x s phases, and within a phase the taps that reach a pixel are the same for all of them, so
// no product with an inserted zero is ever computed. With q phases, the outputs of phase f are o = first + i q, their
// taps are r = f + t q, and they read the input at i step + dir (t - shift):
//   forward:       q = 1,      step = stride, dir = +1, shift = padding
//   data gradient: q = stride, step = 1,      dir = -1, shift = (first + padding - f) / stride
// Each thread sums 4 pixels x 8 channels in registers, without barriers; on a CPU adapter 16 where the channels allow it.

import { type Run, type Shape, type Tensor, elementwise, images, kernel, sizeOf } from '../op.ts'
import type { Pair, Steps } from './steps.ts'
import { CPU_CHANNELS, convolveCpuKernel, suitsCpu } from './forward-software.ts'
import { convolveWalk } from './input-walk.ts'
import { convolveBackTiled, convolveMomentsTiled, convolveTiled } from './forward-tiled.ts'
import { sharing, threadsFor } from '../wgsl/broadcast-load.ts'

const PIXELS = 4 // per thread
const CHANNELS = 8

const convolveKernel = sharing(
  ({ head, lane, eight }) => kernel`
  ${head}
  ${convolveWalk}
  @group(0) @binding(0) var<storage, read>       x:      array<f32>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read>       factors: array<f32>; // the weight [kH, kW, C, K], by strides
  @group(0) @binding(2) var<storage, read_write> y:      array<f32>; // [N, outH, outW, K]
  @group(0) @binding(3) var<uniform>             p:      Params;
  override threads: u32 = 64u;
  ${eight}

  @compute @workgroup_size(threads)
  fn convolve(
    ${lane},
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    let phase = phaseOf(group.z);
    let tile = group.y * groups.x + group.x;
    let blocks = (p.K + 7u) / 8u;
    let band = tile / blocks;
    let k = (tile - band * blocks) * 8u;
    share(neighbor, k, p.K, p.outStride);
    let start = (band * threads + lane) * 4u;
    let count = p.N * phase.size.x * phase.size.y;
    var at = fourPixels(start, phase.size); // n, and the row and column within the phase

    var sums = array<array<f32, 8>, 4>();
    for (var r = 0u; r < phase.reach.x; r++) {
      for (var s = 0u; s < phase.reach.y; s += taps) {
        // What the four pixels read at the leftmost of these taps, then what the last reads at the others.
        var base = array<u32, 6>();
        var inside = array<bool, 6>();
        for (var q = 0u; q < 3u + taps; q++) {
          let source = sourceOf(at[min(q, 3u)], q, r, s, phase.shift);
          inside[q] = source.inside;
          base[q] = source.base;
        }
        let tap = (phase.at.x + r * p.phasesH) * p.kW + phase.at.y + s * p.phasesW;
        for (var c = 0u; c < p.C; c++) {
          var values = array<f32, 6>();
          for (var q = 0u; q < 3u + taps; q++) { values[q] = select(0.0, x[base[q] + c], inside[q]); }
          for (var t = 0u; t < taps; t++) {
            let weights = eight((tap + select(t, taps - 1u - t, p.dir < 0)) * p.tapStride + c * p.inStride);
            for (var j = 0u; j < 4u; j++) {
              for (var i = 0u; i < 8u; i++) { sums[j][i] = fma(values[j + t], weights[i], sums[j][i]); }
            }
          }
        }
      }
    }

    for (var j = 0u; j < 4u; j++) {
      if (start + j < count) {
        let o = phase.first + at[j].yz * vec2u(p.phasesH, p.phasesW);
        let to = ((at[j].x * p.outH + o.x) * p.outW + o.y) * p.K;
        // Channels past the last repeat it, and are stored there once more.
        for (var i = 0u; i < 8u; i++) { y[to + min(k + i, p.K - 1u)] = sums[j][i]; }
      }
    }
  }
`,
)

export type { Pair, Steps }

/** Convolution of x [N, H, W, C] with w [kH, kW, C, K], without bias, of shape `out` [N, outH, outW, K]. */
export function convolve(run: Run, x: Tensor, w: Tensor, out: Shape, steps: Steps): Tensor {
  if (!run.software && sizeOf(x.shape) * sizeOf(out) > 0) return convolveTiled(run, x, w, out, steps)
  const { stride, padding } = steps
  const [, , C, K] = images(w.shape, 'conv2d: w')
  return dispatch(run, x, w, out, {
    ...{ phasesH: 1, phasesW: 1, stepH: stride[0], stepW: stride[1] },
    ...{ padH: padding[0], padW: padding[1], dir: 1 },
    ...{ tapStride: C * K, inStride: K, outStride: 1 },
  })
}

/** `convolve`, and the moments of its channels (see epilogue-moments.ts) where they cost little: on a GPU, to which reading y
 *  once more is dear. */
export function convolveMoments(
  run: Run,
  x: Tensor,
  w: Tensor,
  out: Shape,
  steps: Steps,
): { y: Tensor; moments: Tensor | null } {
  if (run.software || sizeOf(x.shape) * sizeOf(out) === 0)
    return { y: convolve(run, x, w, out, steps), moments: null }
  return convolveMomentsTiled(run, x, w, out, steps)
}

/** Gradient of `convolve` with respect to x, which has the shape `out`, from dy and w. */
export function convolveBack(run: Run, dy: Tensor, w: Tensor, out: Shape, steps: Steps): Tensor {
  if (!run.software && sizeOf(dy.shape) * sizeOf(out) > 0) return convolveBackTiled(run, dy, w, out, steps)
  const { stride, padding } = steps
  const [, , C, K] = images(w.shape, 'conv2d: w')
  return dispatch(run, dy, w, out, {
    ...{ phasesH: stride[0], phasesW: stride[1], stepH: 1, stepW: 1 },
    ...{ padH: padding[0], padW: padding[1], dir: -1 },
    ...{ tapStride: C * K, inStride: 1, outStride: K },
  })
}

type Walk = 'phasesH' | 'phasesW' | 'stepH' | 'stepW' | 'padH' | 'padW' | 'dir'
type Strides = 'tapStride' | 'inStride' | 'outStride'

function dispatch(run: Run, x: Tensor, w: Tensor, out: Shape, steps: Record<Walk | Strides, number>): Tensor {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW, K] = images(out, 'conv2d: y')
  const [kH, kW] = images(w.shape, 'conv2d: w')
  const { phasesH, phasesW, stepW } = steps
  const pixels = N * Math.ceil(outH / phasesH) * Math.ceil(outW / phasesW)
  const threads = threadsFor(run)
  const onCpu = suitsCpu(run, C, K)
  const tiles = Math.ceil(pixels / PIXELS / threads) * Math.ceil(K / (onCpu ? CPU_CHANNELS : CHANNELS))
  const shared = kW === 3 && stepW === 1 && phasesW === 1 && outW % 4 === 0
  const transposed = onCpu ? { transposed: Number(steps.outStride > 1) } : {}
  const [y] = run(onCpu ? convolveCpuKernel : convolveKernel(run), {
    reads: [x, w],
    makes: [out],
    params: { N, H, W, C, outH, outW, K, kH, kW, ...steps },
    constants: { threads, taps: shared ? 3 : 1, ...transposed },
    groups: [...elementwise(tiles * 64), phasesH * phasesW],
  })
  return y
}
