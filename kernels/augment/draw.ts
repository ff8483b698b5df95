// Draws what happens to each image, one thread per image. Sample s of view v at step t uses
// Threefry with the key threefry([seed, stream], [t, v]) and the counter [s, draw]. So a draw is a
// pure function of (seed, step, view, sample, draw), however the batch is cut.

import {
  blurSize,
  checkImages,
  checkKernel,
  checkRecipe,
  checkSampling,
  fixedBox,
  outputSize,
} from './check.ts'
import { ROW, augmentationStruct } from './parameters.ts'
import { type Recipe, defaults } from './recipes.ts'
import {
  type Run,
  type Scalar,
  type Shape,
  type Tensor,
  type Wgsl,
  ShapeError,
  derive,
  elementwise,
  flatIndex,
  kernel,
  show,
  wgsl,
} from '../op.ts'
import { streamKey, threefry } from '../wgsl/threefry.ts'

/** What the random draws of an augmentation depend on, besides the number of each image: the same
 *  fields give the same draws. Each is a whole number from 0 to below 2^32. */
export interface Sampling {
  /** Seed of all draws. */
  readonly seed: number
  /** Number of the step; in a captured step, `() => state.step`. */
  readonly step: Scalar
  /** Number of the view: 0 and 1 for the two views of a batch. */
  readonly view: number
  /** Number of the first image in its batch, where the images are a part of one; 0 by default. */
  readonly offset?: number
}

const STREAM = 0x617567 // 'aug': keeps these draws apart from other uses of the seed

// Like torchvision's RandomResizedCrop.get_params: ten attempts at a box, then a fixed one.
// round() is to even, as Python's. The draws: i for attempt i of the crop, 10 for its position, 11
// flip and grey, 12 jitter and its order, 13 and 14 factors, 15 blur, 16 and 17 translation. A
// flip that views share is view 0's. `extentOf(n)` is how much of [H, W] image n fills, from its
// corner on.
const drawing = (name: Wgsl, bound: Wgsl) => kernel`
  struct Params {
    N: u32, key0: u32, key1: u32, flip0: u32, flip1: u32, offset: u32, H: f32, W: f32, attempts: u32,
    scaleLow: f32, scaleHigh: f32, logRatioLow: f32, logRatioHigh: f32,
    top: f32, left: f32, height: f32, width: f32, open: f32, translate: f32, pixels: f32, flip: f32, jitter: f32,
    brightness: f32, contrast: f32, saturation: f32, hue: f32, grayscale: f32, blur: f32, sigmaLow: f32, sigmaHigh: f32,
    ratioLow: f32, ratioHigh: f32
  }
  ${augmentationStruct}
  ${bound}
  ${flatIndex}
  ${threefry}
  fn uniforms(sample: u32, draw: u32) -> vec2f {
    let bits = threefry(vec2u(p.key0, p.key1), vec2u(sample, draw));
    return vec2f(uniform01(bits.x), uniform01(bits.y));
  }
  fn between(low: f32, high: f32, u: f32) -> f32 { return low + (high - low) * u; }
  fn box(sample: u32, extent: vec2f) -> vec4f {
    if (uniforms(sample, 16u).x < p.translate) {
      let room = 2 * p.pixels + 1;
      let shift = min(floor(uniforms(sample, 17u) * room), vec2f(room - 1)) - p.pixels;
      return vec4f(shift, p.height, p.width);
    }
    for (var i = 0u; i < p.attempts; i++) {
      let u = uniforms(sample, i);
      let area = between(p.scaleLow, p.scaleHigh, u.x) * extent.x * extent.y;
      let ratio = exp(between(p.logRatioLow, p.logRatioHigh, u.y));
      let size = round(sqrt(vec2f(area / ratio, area * ratio))); // height, width
      let room = extent - size;
      if (all(size > vec2f(0)) && all(room >= vec2f(0))) {
        return vec4f(min(floor(uniforms(sample, 10u) * (room + 1)), room), size);
      }
    }
    return fallback(extent);
  }
  fn shuffled(u: f32) -> vec4f { // Fisher-Yates, its three choices read off one of 24 numbers
    var order = vec4f(1, 2, 3, 4);
    var code = min(u32(u * 24), 23u);
    for (var last = 3u; last > 0u; last--) {
      let pick = code % (last + 1u);
      code /= last + 1u;
      let kept = order[last];
      order[last] = order[pick];
      order[pick] = kept;
    }
    return order;
  }
  @compute @workgroup_size(64)
  fn ${name}(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = flat(id, groups);
    if (n >= p.N) { return; }
    let sample = p.offset + n;
    let range = vec4f(p.brightness, p.contrast, p.saturation, p.hue);
    let coin = uniforms(sample, 11u);
    let flip = uniform01(threefry(vec2u(p.flip0, p.flip1), vec2u(sample, 11u)).x);
    let jitter = uniforms(sample, 12u);
    let blur = uniforms(sample, 15u);
    let u = vec4f(uniforms(sample, 13u), uniforms(sample, 14u));
    let low = vec4f(max(vec3f(0), 1 - range.xyz), -range.w);
    let high = vec4f(1 + range.xyz, range.w);
    var order = vec4f(0);
    if (jitter.x < p.jitter) {
      order = shuffled(jitter.y);
      for (var i = 0u; i < 4u; i++) { // an adjustment without range is not made, as in torchvision
        if (range[u32(order[i]) - 1u] == 0) { order[i] = 0; }
      }
    }
    let at = box(sample, extentOf(n));
    drawn[n] = Augmentation(
      at.x, at.y, at.z, at.w,
      p.open, select(0.0, 1.0, flip < p.flip), select(0.0, 1.0, coin.y < p.grayscale),
      select(0.0, between(p.sigmaLow, p.sigmaHigh, blur.y), blur.x < p.blur),
      order, low + (high - low) * u,
    );
  }
`

const drawKernel = drawing(
  wgsl`draw`,
  wgsl`
  @group(0) @binding(0) var<storage, read_write> drawn: array<Augmentation>; // [N]
  @group(0) @binding(1) var<uniform>             p:     Params;
  fn extentOf(n: u32) -> vec2f { return vec2f(p.H, p.W); }
  fn fallback(extent: vec2f) -> vec4f { return vec4f(p.top, p.left, p.height, p.width); }
`,
)

const drawWithinKernel = drawing(
  wgsl`drawWithin`,
  wgsl`
  @group(0) @binding(0) var<storage, read>       extents: array<vec2f>;        // [N], height and width
  @group(0) @binding(1) var<storage, read_write> drawn:   array<Augmentation>; // [N]
  @group(0) @binding(2) var<uniform>             p:       Params;
  fn extentOf(n: u32) -> vec2f { return extents[n]; }
  fn fallback(extent: vec2f) -> vec4f { // the largest middle box within the ratios
    let ratio = extent.y / extent.x;
    var size = extent;
    if (ratio < p.ratioLow) { size.x = round(extent.y / p.ratioLow); }
    if (ratio > p.ratioHigh) { size.y = round(extent.x * p.ratioHigh); }
    return vec4f(floor((extent - size) / 2), size);
  }
`,
)

/** Returns the output's shape. Throws for images or a recipe that cannot be used. */
export function augmentShape(recipe: Recipe, images: Shape): Shape {
  checkRecipe(recipe)
  const [N, H, W] = checkImages('augment', images)
  const size = outputSize(recipe, [H, W])
  fixedBox(recipe, [H, W])
  const { translate } = recipe
  if (translate && translate.pixels >= Math.min(H, W))
    throw new ShapeError(
      `augment: translate.pixels must be fewer than the image has, got ${translate.pixels} for ${H} x ${W}`,
    )
  if (recipe.blur) checkKernel('augment', blurSize(recipe, size), size)
  return [N, ...size, 3]
}

/** Throws unless `extents` is [N, 2] for images [N, H, W, 3] and the recipe crops. Nothing else is
 *  defined within an extent. */
export function checkExtents(recipe: Recipe, images: Shape, extents: Shape) {
  const [N] = checkImages('augment', images)
  if (extents.length !== 2 || extents[0] !== N || extents[1] !== 2)
    throw new ShapeError(
      `augment: extents must be [${N}, 2], height and width of each image, got ${show(extents)}`,
    )
  if (!recipe.crop)
    throw new Error(
      'augment: extents need a recipe with crop, got one without; leave them out, or add crop',
    )
}

/** Draws the table [N, 16] of what happens to each of the images [N, H, W, 3]. Each image fills its
 *  `extents` [N, 2], or all. */
export function draw(
  run: Run,
  images: Tensor,
  recipe: Recipe,
  sampling: Sampling,
  extents: Tensor | null = null,
): Tensor {
  const [N, H, W] = checkImages('augment', images.shape)
  const { seed, step, view, offset = 0 } = sampling
  const { crop, translate, flip = 0, sharedFlip = false, grayscale = 0, jitter, blur } = recipe
  const checked = derive(step, (t) => {
    checkSampling({ seed, step: t, view, offset })
    return t
  })
  const [key0, key1] = streamKey(seed, STREAM, checked, { of: view })
  const [flip0, flip1] = streamKey(seed, STREAM, checked, { of: sharedFlip ? 0 : view })
  const { p = 1, brightness = 0, contrast = 0, saturation = 0, hue = 0 } = jitter ?? { p: 0 }
  const [scaleLow, scaleHigh] = crop?.scale ?? defaults.scale
  const [ratioLow, ratioHigh] = crop?.ratio ?? defaults.ratio
  const [sigmaLow, sigmaHigh] = blur?.sigma ?? defaults.sigma
  const { open = false, ...box } = fixedBox(recipe, [H, W])
  const params = {
    ...{ N, key0, key1, flip0, flip1, offset, H, W, attempts: crop ? 10 : 0, scaleLow, scaleHigh },
    ...{ logRatioLow: Math.log(ratioLow), logRatioHigh: Math.log(ratioHigh) },
    ...{ ...box, open: Number(open), flip },
    ...{ jitter: p, brightness, contrast, saturation, hue },
    ...{ translate: translate ? (translate.p ?? 1) : 0, pixels: translate?.pixels ?? 0 },
    ...{ grayscale, blur: blur ? (blur.p ?? 1) : 0, sigmaLow, sigmaHigh },
    ...{ ratioLow, ratioHigh },
  }
  const task = { makes: [[N, ROW]], params, groups: elementwise(N) } as const
  const [drawn] = extents
    ? run(drawWithinKernel, { ...task, reads: [extents] })
    : run(drawKernel, task)
  return drawn
}
