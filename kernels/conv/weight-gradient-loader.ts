// The WGSL of a weight gradient as a product in tiles:
//   dW[r, s, c, k] = sum over output pixels of x[its tap (r, s), c] dy[pixel, k]
// Rows are (r, s, c), columns are k. A row of taps reads kW * C neighbours of an image row, so
// neighbouring rows of dW are one load. Where kW * C is no multiple of four, empty rows fill up
// each row of taps.
//
// What a load reads of x moves from slice to slice by constants, with carries from one row of
// pixels to the next, and from one image to the next.

import { type Wgsl, wgsl } from '../op.ts'
import {
  type Loader,
  type BufferFormat,
  element,
  loadSnippet,
  loadUnit,
  loaded,
  store4,
} from '../tiles/loader.ts'
import { matrixSide } from '../tiles/matrix-side.ts'

/** How buffers are bound, and what is known of the sizes. */
export interface WeightForm {
  readonly x: BufferFormat
  readonly dy: BufferFormat
  readonly y: BufferFormat
  /** Whether the pixels are a multiple of every mma's k per slice. */
  readonly whole: boolean
  /** Whether a slice has whole rows of pixels. A load then keeps its column. */
  readonly lines: boolean
}

/** The loader of a weight gradient. */
export const weightLoader = ({ x, dy, y, whole, lines }: WeightForm): Loader => ({
  name: wgsl`convWeightGradientTiled`,
  along: { a: false, b: false },
  memory: { a: x, b: dy, y },
  code: wgsl`
    struct Params {
      M: u32, N: u32, pixels: u32, H: u32, line: u32, outH: u32, outW: u32, taps: u32, stride: u32, slices: u32,
      stepH: i32, stepV: i32, padH: i32, padV: i32, spanH: i32, spanV: i32, nextH: i32, nextV: i32,
      toSlice: i32, toLine: i32, toImage: i32, count: i32
    }
    @group(0) @binding(0) var<storage, read>       x:  array<${element(x)}>; // [images, H, W, C], line = W * C
    @group(0) @binding(1) var<storage, read>       dy: array<${element(dy)}>; // [pixels, N]
    @group(0) @binding(2) var<storage, read_write> y:  array<${element(y)}>; // dW [splits, kH * taps, N], taps = kW * C
    @group(0) @binding(3) var<uniform>             p:  Params;
    ${store4(y)}
    var<private> splitIndex: u32 = 0u;

    fn prologue(z: u32) { splitIndex = z; }
    fn sliceCount(z: u32) -> u32 { return min(p.slices, (p.pixels + depth - 1u) / depth - z * p.slices); }
    ${sideA(x, whole, lines)}
    ${matrixSide('B', wgsl`dy`, dy, false, {
      ...{ stride: wgsl`p.N`, rows: wgsl`p.N`, sum: wgsl`p.pixels`, whole },
      first: wgsl`splitIndex * p.slices * depth`,
    })}
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

const sideA = (x: BufferFormat, whole: boolean, lines: boolean): Wgsl => {
  const unit = loadUnit(x)
  const clamped = whole && x !== 'f32' // rows beyond the last stand for the last: their sums are not stored
  const fixed = lines && x !== 'f32'
  return wgsl`
    ${loadSnippet(wgsl`x`, x)}
    alias LoadA = ${loaded(x)};
    // What the tap reads at an output pixel: image row, element of that, and its place in x, in
    // loads.
    struct Place { h: i32, v: i32, at: i32 }
    // Also: where h and v carry over; loads of x; elements of the row of taps from the first on.
    struct SideA { places: array<Place, aLoads>, endH: i32, endV: i32, count: i32, left: i32 }
    fn beginA(index: u32, k: u32) -> SideA {
      let row = ${clamped ? wgsl`min(index, p.M - ${unit})` : wgsl`index`};
      let r = row / p.stride;
      let j = row - r * p.stride;
      let tapH = i32(r) - p.padH;
      let tapV = i32(j) - p.padV;
      var places = array<Place, aLoads>();
      for (var i = 0u; i < aLoads; i++) {
        let pixel = splitIndex * p.slices * depth + k + apartA(i);
        let line = pixel / p.outW;
        let image = line / p.outH;
        let h = i32(line - image * p.outH) * p.stepH + tapH;
        let v = i32(pixel - line * p.outW) * p.stepV + tapV;
        let first = (i32(image * p.H) + h) * i32(p.line / ${unit}) - i32(u32(p.padV) / ${unit});
        let at = first + i32(u32(v + p.padV) / ${unit});
        ${
          fixed
            ? wgsl`places[i] = Place(select(-0x40000000i, h, u32(v) < p.line), 0i, at); // v stays as it is`
            : wgsl`places[i] = Place(h, v, at);`
        }
      }
      return SideA(places, p.spanH + tapH, p.spanV + tapV, select(0, p.count, row < p.M), i32(p.taps) - i32(j));
    }
    fn nextA(side: SideA) -> SideA {
      var next = side;
      for (var i = 0u; i < aLoads; i++) {
        var place = next.places[i];
        place = Place(place.h + p.nextH, place.v${lines ? wgsl`` : wgsl` + p.nextV`}, place.at + p.toSlice);
        ${
          lines
            ? wgsl``
            : wgsl`if (place.v >= next.endV) { place = Place(place.h + p.stepH, place.v - p.spanV, place.at + p.toLine); }`
        }
        if (place.h >= next.endH) { place = Place(place.h - p.spanH, place.v, place.at + p.toImage); }
        next.places[i] = place;
      }
      return next;
    }
    fn loadA(side: SideA, i: u32) -> LoadA {
      let place = side.places[i];
      // as u32 a negative number is huge
      ${
        x === 'f32'
          ? wgsl`let exists = u32(place.h) < p.H && place.at - place.v < side.count;
      return load_x(u32(place.at), -place.v, select(0, min(side.left, i32(p.line) - place.v), exists));`
          : wgsl`return load_x(u32(place.at), u32(place.h) < p.H${fixed ? wgsl`` : wgsl` && u32(place.v) < p.line`}${clamped ? wgsl`` : wgsl` && place.at < side.count`});`
      }
    }
  `
}
