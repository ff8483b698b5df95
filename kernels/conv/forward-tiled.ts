// Convolution on a GPU, and its data gradient, as an implicit matrix product in tiles
// (mainloop.ts): rows are output pixels, columns are output channels, and the sum runs over taps
// and input channels, which are read in place.
//
// Rows of images are read in runs. Forward, a row of taps with its channels is one run of kW * C
// neighbours in memory, for any C, three included. The data gradient of stride s splits into s x s
// phases of pixels with the same taps (input-walk.ts); there a run is the channels of one tap.

import { type Make, type Run, type Tensor, images, sizeOf, wgsl } from '../op.ts'
import type { Steps } from './steps.ts'
import { gemmMoments, gemmTiled } from '../matmul/gemm-tiled.ts'
import {
  type Loader,
  type Memory,
  element,
  load4,
  memoryOf,
  memoryOfY,
  store4,
} from '../tiles/loader.ts'
import { momentsBinding, momentsShape } from '../tiles/epilogue-moments.ts'
import { type TiledProduct, planTiles, runTiled } from '../tiles/plan.ts'
import type { Image } from '../wgsl/storage.ts'

/** The direction, and how buffers are bound. */
interface Form {
  readonly back: boolean
  readonly x: Memory
  readonly w: Memory
  readonly y: Memory
  readonly moments: boolean
}

const loader = ({ back, x, w, y, moments }: Form): Loader => ({
  name: back
    ? wgsl`convDataGradientTiled`
    : moments
      ? wgsl`convForwardMomentsTiled`
      : wgsl`convForwardTiled`,
  along: { a: true, b: back },
  y,
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
    ${load4(wgsl`x`, x)}
    ${load4(wgsl`w`, w)}
    ${store4(y)}
    const toward = ${back ? wgsl`-1i` : wgsl`1i`}; // from a tap's input to the next
    struct Coords { r: u32, s: u32, j: u32, k: u32 } // the run's tap, the element of the run, and of its first slice
    struct RowA { h: i32, v: i32, at: u32 } // what tap (0, 0) reads: image row, element of the row, element of x
    alias RowB = u32;
    var<private> phase: vec2u = vec2u();
    var<private> firstPixel: vec2u = vec2u(); // of the phase
    var<private> size: vec2u = vec2u(); // its rows and columns
    var<private> reach: vec2u = vec2u(); // its runs

    fn phaseOf(z: u32) -> vec2u { return vec2u(z / p.phasesW, z % p.phasesW); }
    fn reachOf(z: u32) -> vec2u {
      if (toward == 1i) { return vec2u(p.kH, 1u); }
      let phases = vec2u(p.phasesH, p.phasesW);
      return (vec2u(p.kH, p.kW) + phases - 1u - phaseOf(z)) / phases;
    }
    fn prologue(z: u32) {
      let phases = vec2u(p.phasesH, p.phasesW);
      phase = phaseOf(z);
      reach = reachOf(z);
      firstPixel = (phase + phases - vec2u(p.padH, p.padW) % phases) % phases;
      size = (vec2u(p.outH, p.outW) + phases - 1u - firstPixel) / phases;
    }
    fn sliceCount(z: u32) -> u32 {
      let runs = reachOf(z);
      return runs.x * runs.y * ((p.run + depth - 1u) / depth);
    }
    fn coordsAt(k: u32) -> Coords { return Coords(0u, 0u, k, k); }
    fn nextSlice(at: Coords) -> Coords {
      var coords = at;
      coords.j += depth;
      if (coords.j - coords.k >= p.run) {
        coords.j = coords.k;
        coords.s += 1u;
        if (coords.s == reach.y) {
          coords.s = 0u;
          coords.r += 1u;
        }
      }
      return coords;
    }
    fn nextK(at: Coords) -> Coords { return Coords(at.r, at.s, at.j + 1u, at.k); }
    fn pixel(row: u32) -> vec3u {
      let line = row / size.y;
      let image = line / size.x;
      return vec3u(image, line - image * size.x, row - line * size.y);
    }
    fn rowA(row: u32) -> RowA {
      if (row >= p.images * size.x * size.y) { return RowA(-0x40000000i, 0i, 0u); }
      let o = pixel(row);
      let shift = (firstPixel + vec2u(p.padH, p.padW) - phase) / vec2u(p.phasesH, p.phasesW);
      let h = i32(o.y * p.stepH) - toward * i32(shift.x);
      let v = (i32(o.z * p.stepW) - toward * i32(shift.y)) * i32(p.C);
      return RowA(h, v, u32((i32(o.x * p.H) + h) * i32(p.W * p.C) + v));
    }
    fn loadA(row: RowA, at: Coords) -> vec4f {
      let line = i32(p.W * p.C);
      let along = toward * i32(at.s * p.C) + i32(at.j);
      let h = row.h + toward * i32(at.r);
      let v = row.v + along;
      let count = select(0i, min(i32(p.run) - i32(at.j), line - v), u32(h) < p.H); // as u32 a negative h is huge
      return load4_x(row.at + u32(toward * i32(at.r) * line + along), -v, count);
    }
    fn rowB(column: u32) -> RowB { return column; }
    fn loadB(column: RowB, at: Coords) -> vec4f {
      if (bAlong) {
        let tap = (phase.x + at.r * p.phasesH) * p.kW + phase.y + at.s * p.phasesW;
        return load4_w((tap * p.N + column) * p.C + at.j, 0i, select(0i, i32(p.run) - i32(at.j), column < p.N));
      }
      return load4_w((at.r * p.run + at.j) * p.N + column, 0i, select(0i, i32(p.N) - i32(column), at.j < p.run));
    }
    fn epilogue(row: u32, column: u32, sums: vec4f) {
      if (row >= p.images * size.x * size.y || column >= p.N) { return; }
      let at = pixel(row);
      let o = firstPixel + at.yz * vec2u(p.phasesH, p.phasesW);
      store4(((at.x * p.outH + o.x) * p.outW + o.y) * p.N + column, p.N - column, sums);
    }
    fn storesSums() -> bool { return p.phasesH * p.phasesW == 1u; }
    fn storeOffset(z: u32, row: u32, column: u32) -> u32 { return (row * p.N + column) / 4u; }
  `,
})

const products = new Map<string, TiledProduct>()

function productFor(form: Form): TiledProduct {
  const key = Object.values(form).join()
  const name = `convolve${form.back ? 'Back' : ''}${form.moments ? ' with moments' : ''}`
  const product = products.get(key) ?? planTiles(name, loader(form))
  products.set(key, product)
  return product
}

/** `convForward` on a GPU. A 1 x 1 convolution at stride 1 is a plain matrix product. */
export function convForwardTiled(run: Run, x: Tensor, w: Tensor, out: Image, steps: Steps): Tensor {
  const product = asProduct(run, x, w, steps)
  if (product) return run.view(gemmTiled(run, ...product, { dtype: out.dtype }), out.shape)
  const [y] = forward(run, [x, w], steps, { out, makes: [out], moments: false })
  return y
}

/** `convForwardMoments` on a GPU. */
export function convForwardMomentsTiled(run: Run, x: Tensor, w: Tensor, out: Image, steps: Steps) {
  const product = asProduct(run, x, w, steps)
  if (product) {
    const { y, moments } = gemmMoments(run, ...product, out.dtype)
    return { y: run.view(y, out.shape), moments }
  }
  const [N, outH, outW, K] = images(out.shape, 'conv2d: y')
  const makes = [out, momentsShape(N * outH * outW, K)] as const
  const [y, moments] = forward(run, [x, w], steps, { out, makes, moments: true })
  return { y, moments }
}

/** The factors of a convolution that is a plain matrix product; null if it is not one. */
function asProduct(run: Run, x: Tensor, w: Tensor, steps: Steps): [Tensor, Tensor] | null {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [kH, kW, , K] = images(w.shape, 'conv2d: w')
  return isProduct(kH, kW, steps) ? [run.view(x, [N * H * W, C]), run.view(w, [C, K])] : null
}

function forward<const Makes extends readonly Make[]>(
  run: Run,
  [x, w]: readonly [Tensor, Tensor],
  { stride, padding }: Steps,
  {
    out,
    makes,
    moments,
  }: { readonly out: Image; readonly makes: Makes; readonly moments: boolean },
): { [I in keyof Makes]: Tensor } {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW, K] = images(out.shape, 'conv2d: y')
  const [kH, kW] = images(w.shape, 'conv2d: w')
  return runTiled(
    run,
    productFor({
      back: false,
      x: memoryOf(x, C),
      w: memoryOf(w, K),
      y: memoryOfY(K, sizeOf(out.shape), out.dtype),
      moments,
    }),
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

/** `convDataGradient` on a GPU. */
export function convDataGradientTiled(
  run: Run,
  dy: Tensor,
  w: Tensor,
  { shape, dtype }: Image,
  steps: Steps,
): Tensor {
  const [N, outH, outW, C] = images(shape, 'conv2d: x')
  const [, H, W, K] = images(dy.shape, 'conv2d: dy')
  const [kH, kW] = images(w.shape, 'conv2d: w')
  if (isProduct(kH, kW, steps)) {
    const [left, right] = [run.view(dy, [N * H * W, K]), run.view(w, [C, K])]
    return run.view(gemmTiled(run, left, right, { transB: true, dtype }), shape)
  }
  const [phasesH, phasesW] = steps.stride
  const pixels = N * Math.ceil(outH / phasesH) * Math.ceil(outW / phasesW)
  const [dx] = runTiled(
    run,
    productFor({
      back: true,
      x: memoryOf(dy, K),
      w: memoryOf(w, K),
      y: memoryOfY(C, sizeOf(shape), dtype),
      moments: false,
    }),
    { M: pixels, N: C, K: kH * kW * K, layers: phasesH * phasesW },
    {
      reads: [dy, w],
      makes: [{ shape, dtype }],
      params: {
        ...{ images: N, H, W, C: K, outH, outW, kH, kW, phasesH, phasesW, run: K },
        ...{ stepH: 1, stepW: 1, padH: steps.padding[0], padW: steps.padding[1] },
      },
    },
  )
  return dx
}

/** Whether a convolution is the plain product of pixels and the weight: 1 x 1, stride 1, no
 *  padding. */
export const isProduct = (kH: number, kW: number, { stride, padding }: Steps): boolean =>
  kH === 1 && kW === 1 && [...stride, ...padding].join() === '1,1,0,0'
