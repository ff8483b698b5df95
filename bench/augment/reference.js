// Augmentation in float64, one image and one step at a time, written for clarity: torchvision's
// transforms on float tensors. An image is { pixels, height, width }, pixels [height, width, 3].

const CHANNELS = [0, 1, 2]
const clamp = (x, low = 0, high = 1) => Math.min(high, Math.max(low, x))

const image = (height, width, colour) => {
  const pixels = new Float64Array(height * width * 3)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) pixels.set(colour(y, x), (y * width + x) * 3)
  return { pixels, height, width }
}
const at = ({ pixels, width }, y, x) =>
  pixels.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)
const each = (of, change) => image(of.height, of.width, (y, x) => change(at(of, y, x)))

/** interpolate(mode='bilinear', align_corners=False) of a box of whole pixels, without
 *  antialias. */
function resizedCrop(of, { top, left, height, width }, [h, w]) {
  const taps = (i, count, start, extent) => {
    const place = Math.max(((i + 0.5) * extent) / count - 0.5, 0)
    const near = Math.min(Math.floor(place), extent - 1)
    return { near: start + near, far: start + Math.min(near + 1, extent - 1), weight: place - near }
  }
  return image(h, w, (i, j) => {
    const [down, right] = [taps(i, h, top, height), taps(j, w, left, width)]
    const row = (y) =>
      CHANNELS.map(
        (c) =>
          at(of, y, right.near)[c] * (1 - right.weight) + at(of, y, right.far)[c] * right.weight,
      )
    const [above, below] = [row(down.near), row(down.far)]
    return CHANNELS.map((c) => above[c] * (1 - down.weight) + below[c] * down.weight)
  })
}

const grey = ([r, g, b]) => 0.2989 * r + 0.587 * g + 0.114 * b
const blend = (a, b, ratio) => a.map((v, c) => clamp(ratio * v + (1 - ratio) * b[c]))
const same = (v) => [v, v, v]

function turned(colour, turn) {
  const [r, g, b] = colour
  const most = Math.max(r, g, b)
  const chroma = most - Math.min(r, g, b)
  if (chroma === 0) return [r, g, b]
  const sixth =
    most === r ? (g - b) / chroma : most === g ? 2 + (b - r) / chroma : 4 + (r - g) / chroma
  const hue = (((sixth / 6 + turn) % 1) + 1) % 1
  return [5, 3, 1].map((n) => {
    const k = (n + hue * 6) % 6
    return most - chroma * clamp(Math.min(k, 4 - k))
  })
}

const adjust = {
  brightness: (of, factor) => each(of, (c) => blend([...c], same(0), factor)),
  contrast(of, factor) {
    let sum = 0
    for (let i = 0; i < of.pixels.length; i += 3) sum += grey(of.pixels.subarray(i, i + 3))
    const mean = same(sum / (of.height * of.width))
    return each(of, (c) => blend([...c], mean, factor))
  },
  saturation: (of, factor) => each(of, (c) => blend([...c], same(grey(c)), factor)),
  hue: (of, turn) => each(of, (c) => turned(c, turn)),
}

function blurred(of, sigma, kernel) {
  const half = (kernel - 1) / 2
  const weights = Array.from({ length: kernel }, (_, k) =>
    Math.exp(-0.5 * ((k - half) / sigma) ** 2),
  )
  const total = weights.reduce((a, b) => a + b)
  const reflected = (i, count) => (i < 0 ? -i : i >= count ? 2 * (count - 1) - i : i)
  const along = (from, tap) =>
    image(from.height, from.width, (y, x) =>
      CHANNELS.map((c) =>
        weights.reduce((sum, w, k) => sum + (w / total) * tap(from, y, x, k - half)[c], 0),
      ),
    )
  const rows = along(of, (from, y, x, k) => at(from, y, reflected(x + k, from.width)))
  return along(rows, (from, y, x, k) => at(from, reflected(y + k, from.height), x))
}

/** What an augmentation, as `unpackAugmentations` gives it, makes of u8 pixels [H, W, 3]: [h, w,
 *  3]. */
export function augmented(
  bytes,
  [H, W],
  { crop, flip, jitter, grayscale, blur },
  { size, kernel, normalize },
) {
  let x = { pixels: Float64Array.from(bytes, (byte) => byte / 255), height: H, width: W }
  x = resizedCrop(x, crop, size)
  const { width } = x
  if (flip)
    x = image(
      x.height,
      width,
      (
        (of) => (i, j) =>
          at(of, i, width - 1 - j)
      )(x),
    )
  for (const [kind, factor] of jitter) x = adjust[kind](x, factor)
  if (grayscale) x = each(x, (c) => same(grey(c)))
  if (blur) x = blurred(x, blur, kernel)
  if (normalize)
    x = each(x, (colour) => CHANNELS.map((c) => (colour[c] - normalize.mean[c]) / normalize.std[c]))
  return x.pixels
}
