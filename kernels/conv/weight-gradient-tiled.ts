// The gradient of a convolution's weight on a GPU, as a matrix product in tiles (mainloop.ts):
//   dW[r, s, c, k] = sum over output pixels of x[its tap (r, s), c] dy[pixel, k]
// Rows are (r, s, c), columns are k. Split-K: workgroups share the pixels, and `sumSplits` adds
// their partial sums in a fixed order.

import { type Run, type Shape, type Tensor, images, sizeOf, wgsl } from '../op.ts'
import type { Steps } from './steps.ts'
import { isProduct } from './forward-tiled.ts'
import { gemmTiled } from '../matmul/gemm-tiled.ts'
import { sumSplits } from '../wgsl/sum-splits.ts'
import {
  type Loader,
  type Memory,
  element,
  load4,
  memoryOf,
  memoryOfY,
  store4,
} from '../tiles/loader.ts'
import { type TiledProduct, depthFor, planTiles, runTiled, splitsFor } from '../tiles/plan.ts'

// A row of taps reads kW * C neighbours of an image row, so four rows of dW are one load. Where kW
// * C is no multiple of four, empty rows fill up each row of taps.
const loader = (x: Memory, dy: Memory, y: Memory): Loader => ({
  name: wgsl`convWeightGradientTiled`,
  along: { a: false, b: false },
  y,
  code: wgsl`
    struct Params {
      M: u32, N: u32, pixels: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, taps: u32, stride: u32,
      strideH: u32, strideW: u32, padH: u32, padW: u32, slices: u32, nextN: u32, nextH: u32, nextW: u32
    }
    @group(0) @binding(0) var<storage, read>       x:  array<${element(x)}>; // [images, H, W, C]
    @group(0) @binding(1) var<storage, read>       dy: array<${element(dy)}>; // [pixels, N]
    @group(0) @binding(2) var<storage, read_write> y:  array<${element(y)}>; // dW [splits, kH * taps, N], taps = kW * C
    @group(0) @binding(3) var<uniform>             p:  Params;
    ${load4(wgsl`x`, x)}
    ${load4(wgsl`dy`, dy)}
    ${store4(y)}
    struct Coords { pixel: u32, n: u32, h: u32, w: u32 }
    struct RowA { h: i32, v: i32, j: u32 } // what pixel (0, 0) reads: image row, element of it; the element of the row of taps
    alias RowB = u32;
    var<private> splitIndex: u32 = 0u;

    fn prologue(z: u32) { splitIndex = z; }
    fn sliceCount(z: u32) -> u32 { return min(p.slices, (p.pixels + depth - 1u) / depth - z * p.slices); }
    fn coordsAt(k: u32) -> Coords {
      let pixel = splitIndex * p.slices * depth + k;
      let line = pixel / p.outW;
      let image = line / p.outH;
      return Coords(pixel, image, line - image * p.outH, pixel - line * p.outW);
    }
    fn nextSlice(at: Coords) -> Coords {
      return carry(Coords(at.pixel + depth, at.n + p.nextN, at.h + p.nextH, at.w + p.nextW));
    }
    fn nextK(at: Coords) -> Coords { return carry(Coords(at.pixel + 1u, at.n, at.h, at.w + 1u)); }
    fn carry(at: Coords) -> Coords {
      var coords = at;
      if (coords.w >= p.outW) {
        coords.w -= p.outW;
        coords.h += 1u;
      }
      if (coords.h >= p.outH) {
        coords.h -= p.outH;
        coords.n += 1u;
      }
      return coords;
    }
    fn rowA(row: u32) -> RowA {
      let r = row / p.stride;
      let j = row - r * p.stride;
      return RowA(select(-0x40000000i, i32(r) - i32(p.padH), row < p.M), i32(j) - i32(p.padW * p.C), j);
    }
    fn loadA(row: RowA, at: Coords) -> vec4f {
      let line = p.W * p.C;
      let h = i32(at.h * p.strideH) + row.h;
      let v = i32(at.w * p.strideW * p.C) + row.v;
      let inside = at.pixel < p.pixels && u32(h) < p.H; // as u32 a negative h is huge
      let count = select(0i, min(i32(p.taps) - i32(row.j), i32(line) - v), inside);
      return load4_x((at.n * p.H + u32(h)) * line + u32(v), -v, count);
    }
    fn rowB(column: u32) -> RowB { return column; }
    fn loadB(column: RowB, at: Coords) -> vec4f {
      return load4_dy(at.pixel * p.N + column, 0i, select(0i, i32(p.N) - i32(column), at.pixel < p.pixels));
    }
    fn epilogue(row: u32, column: u32, sums: vec4f) {
      let r = row / p.stride;
      let j = row - r * p.stride;
      if (row >= p.M || j >= p.taps || column >= p.N) { return; }
      let rows = p.M / p.stride * p.taps;
      store4((splitIndex * rows + r * p.taps + j) * p.N + column, p.N - column, sums);
    }
    fn storesSums() -> bool { return p.stride == p.taps; }
    fn storeOffset(z: u32, row: u32, column: u32) -> u32 { return ((z * p.M + row) * p.N + column) / 4u; }
  `,
})

const products = new Map<string, TiledProduct>()

function productFor(x: Memory, dy: Memory, y: Memory): TiledProduct {
  const key = `${x} ${dy} ${y}`
  const product = products.get(key) ?? planTiles('convWeightGradient', loader(x, dy, y))
  products.set(key, product)
  return product
}

/** `convWeightGradient` on a GPU. */
export function convWeightGradientTiled(
  run: Run,
  x: Tensor,
  dy: Tensor,
  out: Shape,
  steps: Steps,
): Tensor {
  const [N, H, W, C] = images(x.shape, 'conv2d: x')
  const [, outH, outW, K] = images(dy.shape, 'conv2d: dy')
  const [kH, kW] = images(out, 'conv2d: w')
  const pixels = N * outH * outW
  if (isProduct(kH, kW, steps)) {
    const [left, right] = [run.view(x, [pixels, C]), run.view(dy, [pixels, K])]
    return run.view(gemmTiled(run, left, right, { transA: true }), out)
  }
  const taps = kW * C
  const stride = Math.ceil(taps / 4) * 4
  const size = { M: kH * stride, N: K, K: pixels }
  const depth = depthFor(run)
  const all = Math.ceil(pixels / depth)
  const slices = Math.ceil(all / splitsFor({ ...size, layers: 1 }))
  const layers = Math.ceil(all / slices)
  const lines = Math.floor(depth / outW) // from a slice to the next: whole rows of pixels, then single ones
  const [partial] = runTiled(
    run,
    productFor(memoryOf(x, C), memoryOf(dy, K), memoryOfY(K, sizeOf(out))),
    { ...size, layers },
    {
      reads: [x, dy],
      makes: [[layers, ...out]],
      params: {
        ...{ pixels, H, W, C, outH, outW, taps, stride, slices },
        ...{ strideH: steps.stride[0], strideW: steps.stride[1] },
        ...{ padH: steps.padding[0], padW: steps.padding[1] },
        ...{ nextN: Math.floor(lines / outH), nextH: lines % outH, nextW: depth % outW },
      },
    },
  )
  return sumSplits(run, partial, out)
}
