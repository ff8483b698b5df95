// Convolution on a GPU, and its data gradient, as an implicit matrix product in tiles (see tile.ts): rows are output pixels,
// columns are output channels, and the sum runs over taps and input channels, read in place.
//
// Rows of images are read in runs. Forward, a row of taps and its channels are one run of kW * C neighbours in memory, whatever
// C is: three channels need no path of their own. The data gradient of stride s falls into s x s phases of pixels that the same
// taps reach (see forward.ts); there a run is the channels of one tap.

import { type Run, type Shape, type Tensor, images, sizeOf, wgsl } from '../op.ts'
import type { Steps } from './steps.ts'
import { gemmMoments, gemmTiled } from '../matmul/gemm-tiled.ts'
import { type Family, element, four, isWhole, put } from '../tiles/tile.ts'
import { momentsBinding, momentsShape } from '../tiles/epilogue-moments.ts'
import { type Tiled, runTiled, tiled } from '../tiles/plan.ts'

/** Which way, and which buffers can be bound as vec4s. */
interface Form {
  readonly back: boolean
  readonly x: boolean
  readonly w: boolean
  readonly y: boolean
  readonly moments: boolean
}

const family = ({ back, x, w, y, moments }: Form): Family => ({
  name: back ? wgsl`convDataGradientTiled` : moments ? wgsl`convForwardMomentsTiled` : wgsl`convForwardTiled`,
  along: { a: true, b: back },
  whole: y,
  moments,
  code: wgsl`
    struct Params {
      M: u32, N: u32, images: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, kH: u32, kW: u32,
      phasesH: u32, phasesW: u32, stepH: u32, stepW: u32, padH: u32, padW: u32, run: u32
    }
    @group(0) @binding(0) var<storage, read>       x: array<${element(x)}>; // [images, H, W, C]
    @group(0) @binding(1) var<storage, read>       w: array<${element(w)}>; // [kH, kW, C, N], or back [kH, kW, N, C]
    @group(0) @binding(2) var<storage, read_write> y: array<${element(y)}>; // [images, outH, outW, N]
    @group(0) @binding(${moments ? wgsl`4` : wgsl`3`}) var<uniform>             p: Params;
    ${moments ? momentsBinding(wgsl`3`) : wgsl``}
    ${four(wgsl`x`, x)}
    ${four(wgsl`w`, w)}
    ${put(y)}
    const toward = ${back ? wgsl`-1i` : wgsl`1i`}; // where the next tap reads
    struct Place { r: u32, s: u32, j: u32, k: u32 } // the run's tap, the element in it, and that of its slice
    struct RowA { h: i32, v: i32, at: u32 } // the image row, element of the row and element of x that tap (0, 0) reads
    alias RowB = u32;
    var<private> phase: vec2u = vec2u();
    var<private> corner0: vec2u = vec2u(); // the phase's first pixel
    var<private> size: vec2u = vec2u(); // its rows and columns
    var<private> reach: vec2u = vec2u(); // its runs

    fn phaseOf(z: u32) -> vec2u { return vec2u(z / p.phasesW, z % p.phasesW); }
    fn reachOf(z: u32) -> vec2u {
      if (toward == 1i) { return vec2u(p.kH, 1u); }
      let phases = vec2u(p.phasesH, p.phasesW);
      return (vec2u(p.kH, p.kW) + phases - 1u - phaseOf(z)) / phases;
    }
    fn enter(z: u32) {
      let phases = vec2u(p.phasesH, p.phasesW);
      phase = phaseOf(z);
      reach = reachOf(z);
      corner0 = (phase + phases - vec2u(p.padH, p.padW) % phases) % phases;
      size = (vec2u(p.outH, p.outW) + phases - 1u - corner0) / phases;
    }
    fn steps(z: u32) -> u32 {
      let runs = reachOf(z);
      return runs.x * runs.y * ((p.run + depth - 1u) / depth);
    }
    fn place(k: u32) -> Place { return Place(0u, 0u, k, k); }
    fn next(at: Place) -> Place {
      var place = at;
      place.j += depth;
      if (place.j - place.k >= p.run) {
        place.j = place.k;
        place.s += 1u;
        if (place.s == reach.y) {
          place.s = 0u;
          place.r += 1u;
        }
      }
      return place;
    }
    fn beside(at: Place) -> Place { return Place(at.r, at.s, at.j + 1u, at.k); }
    fn pixel(row: u32) -> vec3u {
      let line = row / size.y;
      let image = line / size.x;
      return vec3u(image, line - image * size.x, row - line * size.y);
    }
    fn rowA(row: u32) -> RowA {
      if (row >= p.images * size.x * size.y) { return RowA(-0x40000000i, 0i, 0u); }
      let o = pixel(row);
      let shift = (corner0 + vec2u(p.padH, p.padW) - phase) / vec2u(p.phasesH, p.phasesW);
      let h = i32(o.y * p.stepH) - toward * i32(shift.x);
      let v = (i32(o.z * p.stepW) - toward * i32(shift.y)) * i32(p.C);
      return RowA(h, v, u32((i32(o.x * p.H) + h) * i32(p.W * p.C) + v));
    }
    fn loadA(row: RowA, at: Place) -> vec4f {
      let line = i32(p.W * p.C);
      let along = toward * i32(at.s * p.C) + i32(at.j);
      let h = row.h + toward * i32(at.r);
      let v = row.v + along;
      let count = select(0i, min(i32(p.run) - i32(at.j), line - v), u32(h) < p.H); // a negative h is huge as u32
      return four_x(row.at + u32(toward * i32(at.r) * line + along), -v, count);
    }
    fn rowB(column: u32) -> RowB { return column; }
    fn loadB(column: RowB, at: Place) -> vec4f {
      if (bAlong) {
        let tap = (phase.x + at.r * p.phasesH) * p.kW + phase.y + at.s * p.phasesW;
        return four_w((tap * p.N + column) * p.C + at.j, 0i, select(0i, i32(p.run) - i32(at.j), column < p.N));
      }
      return four_w((at.r * p.run + at.j) * p.N + column, 0i, select(0i, i32(p.N) - i32(column), at.j < p.run));
    }
    fn finish(row: u32, column: u32, sums: vec4f) {
      if (row >= p.images * size.x * size.y || column >= p.N) { return; }
      let at = pixel(row);
      let o = corner0 + at.yz * vec2u(p.phasesH, p.phasesW);
      put(((at.x * p.outH + o.x) * p.outW + o.y) * p.N + column, p.N - column, sums);
    }
    fn direct() -> bool { return p.phasesH * p.phasesW == 1u; }
    fn start(z: u32, row: u32, column: u32) -> u32 { return (row * p.N + column) / 4u; }
  `,
})

const forms = new Map<string, Tiled>()

function formOf(form: Form): Tiled {
  const key = Object.values(form).join()
  const name = `convolve${form.back ? 'Back' : ''}${form.moments ? ' with moments' : ''}`
  const found = forms.get(key) ?? tiled(name, family(form))
  forms.set(key, found)
  return found
}

/** `convForward` for a GPU. */
export function convForwardTiled(run: Run, x: Tensor, w: Tensor, out: Shape, steps: Steps): Tensor {
  const product = asProduct(run, x, w, steps)
  if (product) return run.view(gemmTiled(run, ...product, {}), out)
  const [y] = forward(run, [x, w], steps, { out, makes: [out], moments: false })
  return y
}

/** `convForwardMoments` for a GPU. */
export function convForwardMomentsTiled(run: Run, x: Tensor, w: Tensor, out: Shape, steps: Steps) {
  const product = asProduct(run, x, w, steps)
  if (product) {
    const { y, moments } = gemmMoments(run, ...product)
    return { y: run.view(y, out), moments }
  }
  const [N, outH, outW, K] = images(out, 'conv2d: y')
  const makes = [out, momentsShape(N * outH * outW, K)] as const
  const [y, moments] = forward(run, [x, w], steps, { out, makes, moments: true })
  return { y, moments }
}

/** The factors of a convolution that is a matrix product; null if it is none. */
function asProduct(run: Run, x: Tensor, w: Tensor, steps: Steps): [Tensor, Tensor] | null {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [kH, kW, , K] = images(w.shape, 'conv2d: w')
  return isProduct(kH, kW, steps) ? [run.view(x, [N * H * W, C]), run.view(w, [C, K])] : null
}

function forward<const Makes extends readonly Shape[]>(
  run: Run,
  [x, w]: readonly [Tensor, Tensor],
  { stride, padding }: Steps,
  { out, makes, moments }: { readonly out: Shape; readonly makes: Makes; readonly moments: boolean },
): { [I in keyof Makes]: Tensor } {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW, K] = images(out, 'conv2d: y')
  const [kH, kW] = images(w.shape, 'conv2d: w')
  return runTiled(
    run,
    formOf({ back: false, x: C % 4 === 0, w: K % 4 === 0, y: isWhole(K, sizeOf(out)), moments }),
    { M: N * outH * outW, N: K, K: kH * kW * C, layers: 1 },
    {
      reads: [x, w],
      makes,
      params: {
        ...{ images: N, H, W, C, outH, outW, kH, kW, phasesH: 1, phasesW: 1, run: kW * C },
        ...{ stepH: stride[0], stepW: stride[1], padH: padding[0], padW: padding[1] },
      },
    },
  )
}

/** `convDataGradient` for a GPU. */
export function convDataGradientTiled(run: Run, dy: Tensor, w: Tensor, out: Shape, steps: Steps): Tensor {
  const [N, outH, outW, C] = images(out, 'conv2d: x')
  const [, H, W, K] = images(dy.shape, 'conv2d: dy')
  const [kH, kW] = images(w.shape, 'conv2d: w')
  if (isProduct(kH, kW, steps)) {
    const [left, right] = [run.view(dy, [N * H * W, K]), run.view(w, [C, K])]
    return run.view(gemmTiled(run, left, right, { transB: true }), out)
  }
  const [phasesH, phasesW] = steps.stride
  const pixels = N * Math.ceil(outH / phasesH) * Math.ceil(outW / phasesW)
  const [dx] = runTiled(
    run,
    formOf({ back: true, x: K % 4 === 0, w: K % 4 === 0, y: isWhole(C, sizeOf(out)), moments: false }),
    { M: pixels, N: C, K: kH * kW * K, layers: phasesH * phasesW },
    {
      reads: [dy, w],
      makes: [out],
      params: {
        ...{ images: N, H, W, C: K, outH, outW, kH, kW, phasesH, phasesW, run: K },
        ...{ stepH: 1, stepW: 1, padH: steps.padding[0], padW: steps.padding[1] },
      },
    },
  )
  return dx
}

/** Whether a convolution is a matrix product of pixels and the weight, with nothing to be found around it. */
export const isProduct = (kH: number, kW: number, { stride, padding }: Steps): boolean =>
  kH === 1 && kW === 1 && [...stride, ...padding].join() === '1,1,0,0'
