// The WGSL of a convolution and of its data gradient as a product in tiles: rows are pixels of y,
// columns are its channels, and k counts taps and x's channels, (r, s, c), which are read in place.
//
// A tap reads x at a distance from what the first tap reads that is the same for all pixels. So a
// thread finds the element of the first tap before the loop, for each of its rows, and a bit for
// each tap, set where it lies in the image. In the loop a load takes one test and one addition.

import { wgsl } from '../op.ts'
import {
  type BufferFormat,
  type Columns,
  type Loader,
  columnsName,
  element,
  loadUnit,
  store4,
} from '../tiles/loader.ts'
import { finishSnippet } from '../tiles/finish.ts'
import { type FinishKind, finishName, readsOther } from '../wgsl/finish.ts'
import { type TiledProduct, planTiles } from '../tiles/plan.ts'
import { matrixSide } from '../tiles/matrix-side.ts'
import { momentsBinding } from '../tiles/epilogue-moments.ts'
import { ownTaps, rowsByBits, rowsByPlace, sharedTaps } from './window-taps.ts'

/** The direction, and how buffers are bound. */
export interface WindowForm {
  readonly back: boolean
  readonly x: BufferFormat
  readonly w: BufferFormat
  readonly y: BufferFormat
  /** What is stored of y's columns, too; of the data gradient the sums of a batch norm. */
  readonly columns: Columns
  /** Whether a bias is added. Never `back`. */
  readonly biased: boolean
  /** The last step. At most one of `columns`, `biased` and `finish` is set. */
  readonly finish: FinishKind
  /** Whether the taps fit in one u32, MAX_BITS at most. */
  readonly bits: boolean
  /** Whether x's channels are a multiple of WHOLE: then every slice lies in one tap. */
  readonly whole: boolean
}

/** The loader of a convolution, or `back`, of its data gradient. */
const windowLoader = (form: WindowForm): Loader => {
  const { back, x, w, y, biased, finish } = form
  const { name, more, first, made, params } = outputs(form)
  return {
    name,
    along: { a: true, b: back },
    memory: { a: x, b: w, y },
    columns: more,
    code: wgsl`
    struct Params {
      M: u32, N: u32, images: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, kH: u32, kW: u32,
      phasesH: u32, phasesW: u32, stepH: u32, stepW: u32, padH: u32, padW: u32${more === 'norm sums' ? wgsl`, interleave: u32` : wgsl``}
    }
    @group(0) @binding(0) var<storage, read>       x: array<${element(x)}>; // [images, H, W, C]
    @group(0) @binding(1) var<storage, read>       w: array<${element(w)}>; // [kH, kW, C, N], or back [kH, kW, N, C]
    ${biased ? wgsl`@group(0) @binding(2) var<storage, read>       bias: array<f32>; // [N]` : wgsl``}
    @group(0) @binding(${first}) var<storage, read_write> y: array<${element(y)}>; // [images, outH, outW, N]
    @group(0) @binding(${params}) var<uniform>             p: Params;
    ${store4(y)}
    ${made}
    ${finish ? finishSnippet(finish, wgsl`2`, y) : wgsl``}
    ${back ? phases(finish) : wholeImage(form)}
    // Where the first tap reads, given image, row and column.
    fn placeOf(o: vec3i) -> i32 { return ((o.x * i32(p.H) + o.y) * i32(p.W) + o.z) * i32(p.C / ${loadUnit(x)}); }
    ${form.bits ? rowsByBits : rowsByPlace}
    ${form.whole ? sharedTaps(x, w, back) : ownTaps(x, w, back)}
    ${
      back
        ? wgsl``
        : matrixSide('B', wgsl`w`, w, false, {
            ...{ stride: wgsl`p.N`, rows: wgsl`p.N` },
            ...{ sum: wgsl`p.kH * p.kW * p.C`, whole: form.whole },
          })
    }
  `,
  }
}

/** The entry point, and the bindings of y, of what is stored of its columns, and of Params. */
function outputs({ back, columns, biased, finish }: WindowForm) {
  if (columns === null) {
    const [first, params] = biased || readsOther(finish) ? [wgsl`3`, wgsl`4`] : [wgsl`2`, wgsl`3`]
    const product = back ? wgsl`convDataGradient` : wgsl`convForward`
    const name = wgsl`${product}${finishName(finish)}Tiled`
    return { name, more: null, first, made: wgsl``, params }
  }
  if (columns === 'moments') {
    const made = momentsBinding(wgsl`3`)
    const name = wgsl`convForwardMomentsTiled`
    return { name, more: columns, first: wgsl`2`, made, params: wgsl`4` }
  }
  const name = wgsl`convDataGradientNormTiled`
  return {
    name,
    more: 'norm sums' as const,
    first: wgsl`6`,
    made: columns.bindings,
    params: wgsl`8`,
  }
}

const products = new Map<string, TiledProduct>()

/** The product of a form, assembled on first use. */
export function windowProduct(form: WindowForm): TiledProduct {
  const key = Object.values({ ...form, columns: columnsName(form.columns) }).join()
  const { back, columns, finish } = form
  const beside = columns === null ? '' : columns === 'moments' ? ' with moments' : ' with norm sums'
  const name = `convolve${back ? 'Back' : ''}${beside}${finish ? `, ${finish}` : ''}`
  const product = products.get(key) ?? planTiles(name, windowLoader(form))
  products.set(key, product)
  return product
}

// Forward: all pixels of y have the same taps.
const wholeImage = ({ biased, finish }: WindowForm) => wgsl`
    const toward = 1i; // from a tap's input to the next
    var<private> reach: vec2u = vec2u(); // taps
    fn prologue(z: u32) {
      reach = vec2u(p.kH, p.kW);
    }
    fn sliceCount(z: u32) -> u32 { return (p.kH * p.kW * p.C + depth - 1u) / depth; }
    fn pixels() -> u32 { return p.M; }
    // Image, and row and column of x, of the first tap.
    fn origin(row: u32) -> vec3i {
      let line = row / p.outW;
      let image = line / p.outH;
      let o = vec2u(line - image * p.outH, row - line * p.outW);
      return vec3i(i32(image), vec2i(o * vec2u(p.stepH, p.stepW)) - vec2i(vec2u(p.padH, p.padW)));
    }
    fn epilogue(row: u32, column: u32, sums: vec4f) {
      if (row >= p.M || column >= p.N) { return; }
      var numbers = sums;
      ${biased ? wgsl`for (var i = 0u; i < 4u; i++) { numbers[i] += bias[min(column + i, p.N - 1u)]; }` : wgsl``}
      let at = row * p.N + column;
      store4(at, p.N - column, ${finish ? wgsl`finish(at, p.N - column, numbers)` : wgsl`numbers`});
    }
    fn storesSums() -> bool { return ${biased || finish ? wgsl`false` : wgsl`true`}; }
    fn storeOffset(z: u32, row: u32, column: u32) -> u32 { return (row * p.N + column) / 4u; }
`

// Back: the pixels of y are in phases, of which each has taps of its own.
const phases = (finish: FinishKind) => wgsl`
    const toward = -1i; // from a tap's input to the next
    var<private> phase: vec2u = vec2u();
    var<private> phaseNumber: u32 = 0u;
    var<private> reach: vec2u = vec2u(); // taps of the phase
    var<private> firstPixel: vec2u = vec2u(); // of the phase
    var<private> size: vec2u = vec2u(); // its rows and columns
    fn reachOf(z: u32) -> vec2u {
      let phases = vec2u(p.phasesH, p.phasesW);
      return (vec2u(p.kH, p.kW) + phases - 1u - vec2u(z / p.phasesW, z % p.phasesW)) / phases;
    }
    fn prologue(z: u32) {
      let phases = vec2u(p.phasesH, p.phasesW);
      phase = vec2u(z / p.phasesW, z % p.phasesW);
      phaseNumber = z;
      reach = reachOf(z);
      firstPixel = (phase + phases - vec2u(p.padH, p.padW) % phases) % phases;
      size = (vec2u(p.outH, p.outW) + phases - 1u - firstPixel) / phases;
    }
    fn sliceCount(z: u32) -> u32 {
      let taps = reachOf(z);
      return (taps.x * taps.y * p.C + depth - 1u) / depth;
    }
    fn pixels() -> u32 { return p.images * size.x * size.y; }
    fn pixel(row: u32) -> vec3u {
      let line = row / size.y;
      let image = line / size.x;
      return vec3u(image, line - image * size.x, row - line * size.y);
    }
    // Image, and row and column of x, of the first tap.
    fn origin(row: u32) -> vec3i {
      let o = pixel(row);
      let shift = (firstPixel + vec2u(p.padH, p.padW) - phase) / vec2u(p.phasesH, p.phasesW);
      return vec3i(i32(o.x), vec2i(o.yz + shift));
    }
    fn exists(row: u32, column: u32) -> bool { return row < pixels() && column < p.N; }
    fn placeInY(row: u32, column: u32) -> u32 {
      let at = pixel(row);
      let o = firstPixel + at.yz * vec2u(p.phasesH, p.phasesW);
      return ((at.x * p.outH + o.x) * p.outW + o.y) * p.N + column;
    }
    fn placeOf4(row: u32, column: u32) -> u32 { return placeInY(row, column) / 4u; }
    fn chunkOf(row: u32) -> u32 { return phaseNumber * ((p.M + 63u) / 64u) + row / 64u; }
    fn chunkCount() -> u32 { return p.phasesH * p.phasesW * ((p.M + 63u) / 64u); }
    fn epilogue(row: u32, column: u32, sums: vec4f) {
      if (!exists(row, column)) { return; }
      let at = placeInY(row, column);
      store4(at, p.N - column, ${finish ? wgsl`finish(at, p.N - column, sums)` : wgsl`sums`});
    }
    fn storesSums() -> bool { return ${finish ? wgsl`false` : wgsl`p.phasesH * p.phasesW == 1u`}; }
    fn storeOffset(z: u32, row: u32, column: u32) -> u32 { return (row * p.N + column) / 4u; }
`
