// The passes over the pixels, given the images and a row of parameters per image. With B bytes of
// images and O bytes of output: grayMeans reads B, colour reads B and writes O, and each blur pass
// reads and writes the blurred images' part of O.
//
// Contrast blends with the mean grey of the whole image at that point of the order. So a first
// pass crops and adjusts up to there, in up to 256 ordered partial sums per image, and the second
// pass starts anew. That is cheaper than storing the cropped image in between, and gives the same
// bits in whatever order the workgroups run.

import { blurred } from './blur.ts'
import { cropped } from './crop.ts'
import { augmentationStruct } from './parameters.ts'
import type { Normalization } from './recipes.ts'
import { notANumber } from '../wgsl/nan.ts'
import {
  type Op,
  type Run,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  elementwise,
  flatIndex,
  kernel,
  op,
  show,
  wgsl,
} from '../op.ts'
import { checkTensor } from '../options.ts'

// torchvision.transforms.functional_tensor: _blend, adjust_*, rgb_to_grayscale (its weights sum to
// 0.9999). It takes unitClamp from `cropped`.
const adjusted = wgsl`
  ${notANumber}
  const CONTRAST = 2u;
  fn gray(c: vec3f) -> f32 { return 0.2989 * c.r + 0.587 * c.g + 0.114 * c.b; }
  fn blend(c: vec3f, other: f32, ratio: f32) -> vec3f {
    return unitClamp(ratio * c + (1 - ratio) * other);
  }
  fn turned(c: vec3f, turn: f32) -> vec3f {
    let sum = c.r + c.g + c.b;
    if (notANumber(sum)) { return vec3f(sum); } // which max and min may hide
    let v = max(c.r, max(c.g, c.b));
    let chroma = v - min(c.r, min(c.g, c.b));
    if (chroma == 0) { return c; }
    let s = chroma / v;
    let d = (v - c) / chroma;
    var sector = 4 + d.g - d.r;
    if (v == c.r) { sector = d.b - d.g; } else if (v == c.g) { sector = 2 + d.r - d.b; }
    let h = fract(fract(sector / 6 + 1) + turn) * 6;
    let f = h - floor(h);
    let rest = unitClamp(v * (1 - s * vec3f(1, f, 1 - f))); // p, q, t
    switch (u32(h) % 6u) {
      case 0u: { return vec3f(v, rest.z, rest.x); }
      case 1u: { return vec3f(rest.y, v, rest.x); }
      case 2u: { return vec3f(rest.x, v, rest.z); }
      case 3u: { return vec3f(rest.x, rest.y, v); }
      case 4u: { return vec3f(rest.z, rest.x, v); }
      default: { return vec3f(v, rest.x, rest.y); }
    }
  }
  fn adjusted(c: vec3f, kind: u32, factor: f32, mean: f32) -> vec3f {
    switch (kind) {
      case 1u: { return blend(c, 0, factor); }
      case 2u: { return blend(c, mean, factor); }
      case 3u: { return blend(c, gray(c), factor); }
      case 4u: { return turned(c, factor); }
      default: { return c; }
    }
  }
`

const grayMeansKernel = kernel`
  struct Params { N: u32, H: u32, W: u32, h: u32, w: u32, bytes: u32, parts: u32 }
  ${augmentationStruct}
  @group(0) @binding(0) var<storage, read>       images: array<u32>;          // [N, H, W, 3] f32, or u8 four to a word
  @group(0) @binding(1) var<storage, read>       chosen: array<Augmentation>; // [N]
  @group(0) @binding(2) var<storage, read_write> sums:   array<f32>;          // [N, parts]
  @group(0) @binding(3) var<uniform>             p:      Params;
  ${flatIndex}
  ${cropped}
  ${adjusted}
  @compute @workgroup_size(64)
  fn grayMeans(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let at = flat(id, groups);
    if (at >= p.N * p.parts) { return; }
    let n = at / p.parts;
    let a = chosen[n];
    var turn = 0u; // contrast's
    while (turn < 4u && u32(a.order[turn]) != CONTRAST) { turn++; }
    var sum = 0.0;
    if (turn < 4u) {
      for (var i = at % p.parts; i < p.h * p.w; i += p.parts) {
        var c = cropped(n, a, i);
        for (var slot = 0u; slot < turn; slot++) {
          let kind = u32(a.order[slot]);
          if (kind != 0u) { c = adjusted(c, kind, a.factor[kind - 1u], 0); }
        }
        sum += gray(c);
      }
    }
    sums[at] = sum;
  }
`

const colourKernel = kernel`
  struct Params {
    N: u32, H: u32, W: u32, h: u32, w: u32, bytes: u32, parts: u32, blur: u32,
    meanR: f32, meanG: f32, meanB: f32, stdR: f32, stdG: f32, stdB: f32
  }
  ${augmentationStruct}
  @group(0) @binding(0) var<storage, read>       images: array<u32>;          // [N, H, W, 3] f32, or u8 four to a word
  @group(0) @binding(1) var<storage, read>       chosen: array<Augmentation>; // [N]
  @group(0) @binding(2) var<storage, read>       sums:   array<vec4f>;        // [N, parts / 4]
  @group(0) @binding(3) var<storage, read_write> out:    array<f32>;          // [N, h, w, 3]
  @group(0) @binding(4) var<uniform>             p:      Params;
  ${flatIndex}
  ${cropped}
  ${adjusted}
  fn grayMean(n: u32) -> f32 {
    var sum = vec4f(0);
    for (var i = 0u; i < p.parts / 4u; i++) { sum += sums[n * (p.parts / 4u) + i]; }
    return (sum.x + sum.y + sum.z + sum.w) / f32(p.h * p.w);
  }
  @compute @workgroup_size(64)
  fn colour(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let at = flat(id, groups);
    if (at >= p.N * p.h * p.w) { return; }
    let n = at / (p.h * p.w);
    let a = chosen[n];
    var c = cropped(n, a, at % (p.h * p.w));
    for (var slot = 0u; slot < 4u; slot++) {
      let kind = u32(a.order[slot]);
      if (kind == 0u) { continue; }
      var mean = 0.0;
      if (kind == CONTRAST) { mean = grayMean(n); }
      c = adjusted(c, kind, a.factor[kind - 1u], mean);
    }
    if (a.grayscale != 0) { c = vec3f(gray(c)); }
    if (p.blur == 0u) { c = (c - vec3f(p.meanR, p.meanG, p.meanB)) / vec3f(p.stdR, p.stdG, p.stdB); }
    out[3u * at] = c.r;
    out[3u * at + 1u] = c.g;
    out[3u * at + 2u] = c.b;
  }
`

/** Parameters of the passes besides each image's row. */
export interface Passes {
  readonly shape: Shape
  /** True if any image's contrast may be adjusted. */
  readonly contrast: boolean
  /** Width of the blur kernel, 0 if no image is blurred. */
  readonly blur: number
  /** True resamples images bicubically. */
  readonly cubic?: boolean
  readonly normalize?: Normalization | undefined
}

/** Augments images [N, H, W, 3] by their rows [N, 16] -> [N, h, w, 3]. Two to four dispatches. */
export function transform(
  run: Run,
  images: Tensor,
  chosen: Tensor,
  { shape, contrast, blur, cubic = false, normalize }: Passes,
) {
  const [N, H, W] = [dim(images.shape, 0), dim(images.shape, 1), dim(images.shape, 2)]
  const [h, w] = [dim(shape, 1), dim(shape, 2)]
  const parts = contrast ? 4 * Math.ceil(Math.min(256, Math.sqrt(h * w)) / 4) : 0
  const sizes = { N, H, W, h, w, bytes: Number(images.dtype === 'u8'), parts }
  // Without contrast the kernel reads no sums, but the binding needs a tensor.
  const [sums] = contrast
    ? run(grayMeansKernel, {
        reads: [images, chosen],
        makes: [[N, parts]],
        params: sizes,
        constants: { cubic: Number(cubic) },
        groups: elementwise(N * parts),
      })
    : [chosen]
  const statistics = byChannel(normalize)
  const [coloured] = run(colourKernel, {
    reads: [images, chosen, sums],
    makes: [shape],
    params: { ...sizes, ...statistics, blur: Number(blur > 0) },
    constants: { cubic: Number(cubic) },
    groups: elementwise(N * h * w),
  })
  return blur > 0 ? blurred(run, coloured, chosen, blur, statistics) : coloured
}

function byChannel({ mean, std }: Normalization = { mean: [0, 0, 0], std: [1, 1, 1] }) {
  const [meanR, meanG, meanB] = mean
  const [stdR, stdG, stdB] = std
  return { meanR, meanG, meanB, stdR, stdG, stdB }
}

const MOST_BRIGHT = 1.5 // more than any rounding or resampling makes of 1

/** Makes an op of images callable for u8 and for f32. */
export function imagesOp<A extends object>(def: Op<[images: Tensor], [Tensor], A>) {
  const onFloats = op(def)
  const onBytes = op({ ...def, accepts: ['u8'] })
  return (attrs: A, images: Tensor): Tensor => {
    const name = 'name' in attrs ? String(attrs.name) : def.name
    checkTensor(name, 'images', images)
    if (images.dtype === 'i32')
      throw new ShapeError(
        `${def.name}: images must be u8, or f32 in [0, 1], got i32 ${show(images.shape)}; give them as a Uint8Array`,
      )
    const largest = images.gpu.largest?.(images) ?? 0
    if (largest > MOST_BRIGHT)
      throw new RangeError(
        `${name}: f32 images must be in [0, 1], got a value of ${largest}; divide them by 255, or give them as a Uint8Array`,
      )
    return images.dtype === 'u8' ? onBytes(attrs, images) : onFloats(attrs, images)
  }
}
