// The WGSL of a convolution and of its data gradient as a product in tiles: rows are pixels of y,
// columns are its channels, and k counts taps and x's channels, (r, s, c), which are read in place.
//
// A tap reads x at a distance from what the first tap reads that is the same for all pixels. So a
// thread finds the element of the first tap before the loop, for each of its rows, and a bit for
// each tap, set where it lies in the image. In the loop a load takes one test and one addition.

import { wgsl } from '../op.ts'
import { type Loader, type BufferFormat, element, loadUnit, store4 } from '../tiles/loader.ts'
import { finishSnippet } from '../tiles/finish.ts'
import { type FinishKind, finishName, readsOther } from '../wgsl/finish.ts'
import { matrixSide } from '../tiles/matrix-side.ts'
import { momentsBinding } from '../tiles/epilogue-moments.ts'
import { ownTaps, rowsByBits, rowsByPlace, sharedTaps } from './window-taps.ts'

/** The direction, and how buffers are bound. */
export interface WindowForm {
  readonly back: boolean
  readonly x: BufferFormat
  readonly w: BufferFormat
  readonly y: BufferFormat
  readonly moments: boolean
  /** The last step; none with moments. */
  readonly finish: FinishKind
  /** Whether the taps fit in one u32, MAX_BITS at most. */
  readonly bits: boolean
  /** Whether x's channels are a multiple of WHOLE: then every slice lies in one tap. */
  readonly whole: boolean
}

const numbers = [wgsl`2`, wgsl`3`, wgsl`4`, wgsl`5`]

/** The loader of a convolution, or `back`, of its data gradient. */
export const windowLoader = (form: WindowForm): Loader => {
  const { back, x, w, y, moments, finish } = form
  const made = readsOther(finish) ? numbers.slice(1) : numbers // bindings from y on
  const [ofY = wgsl``, next = wgsl``, last = wgsl``] = made
  return {
    name: back
      ? wgsl`convDataGradient${finishName(finish)}Tiled`
      : moments
        ? wgsl`convForwardMomentsTiled`
        : wgsl`convForward${finishName(finish)}Tiled`,
    along: { a: true, b: back },
    memory: { a: x, b: w, y },
    moments,
    code: wgsl`
    struct Params {
      M: u32, N: u32, images: u32, H: u32, W: u32, C: u32, outH: u32, outW: u32, kH: u32, kW: u32,
      phasesH: u32, phasesW: u32, stepH: u32, stepW: u32, padH: u32, padW: u32
    }
    @group(0) @binding(0) var<storage, read>       x: array<${element(x)}>; // [images, H, W, C]
    @group(0) @binding(1) var<storage, read>       w: array<${element(w)}>; // [kH, kW, C, N], or back [kH, kW, N, C]
    @group(0) @binding(${ofY}) var<storage, read_write> y: array<${element(y)}>; // [images, outH, outW, N]
    @group(0) @binding(${moments ? last : next}) var<uniform>             p: Params;
    ${moments ? momentsBinding(next) : wgsl``}
    ${store4(y)}
    ${finishSnippet(finish, wgsl`2`, y)}
    ${back ? phases(finish) : wholeImage(finish)}
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

// Forward: all pixels of y have the same taps.
const wholeImage = (finish: FinishKind) => wgsl`
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
      let at = row * p.N + column;
      store4(at, p.N - column, finish(at, p.N - column, sums));
    }
    fn storesSums() -> bool { return ${finish ? wgsl`false` : wgsl`true`}; }
    fn storeOffset(z: u32, row: u32, column: u32) -> u32 { return (row * p.N + column) / 4u; }
`

// Back: the pixels of y are in phases, of which each has taps of its own.
const phases = (finish: FinishKind) => wgsl`
    const toward = -1i; // from a tap's input to the next
    var<private> phase: vec2u = vec2u();
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
    fn epilogue(row: u32, column: u32, sums: vec4f) {
      if (row >= pixels() || column >= p.N) { return; }
      let own = pixel(row);
      let o = firstPixel + own.yz * vec2u(p.phasesH, p.phasesW);
      let at = ((own.x * p.outH + o.x) * p.outW + o.y) * p.N + column;
      store4(at, p.N - column, finish(at, p.N - column, sums));
    }
    fn storesSums() -> bool { return ${finish ? wgsl`false` : wgsl`p.phasesH * p.phasesW == 1u`}; }
    fn storeOffset(z: u32, row: u32, column: u32) -> u32 { return (row * p.N + column) / 4u; }
`
