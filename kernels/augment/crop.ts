// Reads a pixel of an augmented image: the crop, the flip and the resampling.

import { wgsl } from '../op.ts'
import { unitClamp } from '../wgsl/nan.ts'
import { reflectIndex } from '../wgsl/reflect.ts'

/** WGSL of `cropped(n, a, i)`: pixel i of image n, cropped by its row `a`. Resampled like
 *  torch.nn.functional.interpolate(mode='bilinear', align_corners=False) of the box, without
 *  antialias, or bicubically where `cubic` is true. */
export const cropped = wgsl`
  ${unitClamp}
  fn pixel(n: u32, y: u32, x: u32) -> vec3f {
    let at = ((n * p.H + y) * p.W + x) * 3u;
    if (p.bytes == 0u) {
      return vec3f(bitcast<f32>(images[at]), bitcast<f32>(images[at + 1u]), bitcast<f32>(images[at + 2u]));
    }
    let shift = (at & 3u) * 8u; // three bytes, perhaps from two words
    let word = (images[at >> 2u] >> shift) | (images[(at + 2u) >> 2u] << ((32u - shift) & 31u));
    return vec3f(f32(word & 255u), f32((word >> 8u) & 255u), f32((word >> 16u) & 255u)) / 255;
  }
  ${reflectIndex}
  // A translated image reaches beyond its own edges.
  fn mirror(at: i32, size: u32) -> u32 { return u32(reflectIndex(at, i32(size))); }
  struct Taps { near: u32, far: u32, weight: f32 } // weight of the far one
  fn taps(i: u32, count: u32, start: f32, extent: f32, source: u32, open: bool) -> Taps {
    let origin = select(i32(start), 0, open);
    let last = select(u32(extent), source, open) - 1u;
    // Exact where nothing is resized.
    let scale = select(extent / f32(count), 1.0, extent == f32(count));
    let at = max(select(0.0, start, open) + (f32(i) + 0.5) * scale - 0.5, 0.0);
    let near = min(u32(at), last);
    // A pixel of weight 0 is not read, since it might be NaN.
    let far = select(min(near + 1u, last), near, at == f32(near));
    return Taps(mirror(origin + i32(near), source), mirror(origin + i32(far), source), at - f32(near));
  }
  // Pillow's bicubic: Keys' kernel with a = -1/2, scaled by the distance of the result's pixels.
  override cubic: bool = false;
  fn keys(x: f32) -> f32 {
    let d = abs(x);
    if (d < 1) { return (1.5 * d - 2.5) * d * d + 1; }
    return select(0.0, ((-0.5 * d + 2.5) * d - 4) * d + 2, d < 2);
  }
  struct Span { first: i32, end: i32, origin: i32, center: f32, reach: f32 }
  fn span(i: u32, count: u32, start: f32, extent: f32, source: u32, open: bool) -> Span {
    let scale = select(extent / f32(count), 1.0, extent == f32(count));
    let center = select(0.0, start, open) + (f32(i) + 0.5) * scale;
    let reach = max(scale, 1.0);
    let size = select(i32(extent), i32(source), open);
    let first = max(i32(floor(center - 2 * reach + 0.5)), 0);
    let end = min(i32(floor(center + 2 * reach + 0.5)), size);
    return Span(first, end, select(i32(start), 0, open), center - 0.5, reach);
  }
  fn cubicallyCropped(n: u32, a: Augmentation, i: u32, j: u32) -> vec3f {
    let down = span(i, p.h, a.top, a.height, p.H, a.open != 0);
    let right = span(j, p.w, a.left, a.width, p.W, a.open != 0);
    var sum = vec3f(0);
    var total = 0.0;
    for (var y = down.first; y < down.end; y++) {
      let above = keys((f32(y) - down.center) / down.reach);
      for (var x = right.first; x < right.end; x++) {
        let weight = above * keys((f32(x) - right.center) / right.reach);
        sum += weight * pixel(n, mirror(down.origin + y, p.H), mirror(right.origin + x, p.W));
        total += weight;
      }
    }
    return unitClamp(sum / total);
  }
  fn cropped(n: u32, a: Augmentation, i: u32) -> vec3f {
    let x = select(i % p.w, p.w - 1u - i % p.w, a.flip != 0);
    if (cubic) { return cubicallyCropped(n, a, i / p.w, x); }
    let down = taps(i / p.w, p.h, a.top, a.height, p.H, a.open != 0);
    let right = taps(x, p.w, a.left, a.width, p.W, a.open != 0);
    let above = mix(pixel(n, down.near, right.near), pixel(n, down.near, right.far), right.weight);
    let below = mix(pixel(n, down.far, right.near), pixel(n, down.far, right.far), right.weight);
    return mix(above, below, down.weight);
  }
`
