// Draws the built-in set from a seed: small pictures of ten patterns (stripes, dots, bricks, ...).
// Training runs on it without a download. The class is the arrangement of an image's edges, which
// SimCLR's augmentations keep. The pattern's position, angle, scale, colours and polarity and the
// background are random and independent of the class. So nearest neighbours by pixels are near
// chance, and the class has to be learned.

import { anything, checkOptions, describe } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import { takingTurns } from '../kernels/turns.ts'
import { threefry2x32, uniform01 } from '../kernels/wgsl/threefry.ts'
import { type Dataset, DataError, type Split, checkRead } from './dataset.ts'
import { counted } from './words.ts'
import { type Draw, type Field, length, patterns } from './procedural-patterns.ts'

const MOST = 2 ** 32 // bytes of a half

/** Options of `procedural`. */
export interface ProceduralOptions {
  /** Height and width in pixels; 32 by default. */
  readonly size?: number
  /** Number of training images; 5000 by default. */
  readonly train?: number
  /** Number of test images; 1000 by default. */
  readonly test?: number
  /** Integer that determines all images; 0 by default. */
  readonly seed?: number
}

const rules = { size: anything, train: anything, test: anything, seed: seedRule }

/** Makes the two halves of the built-in set. Image i has label i % 10 and depends on (seed, half,
 *  i, size) alone. It is drawn when it is first read, in turns with other work, so that a page
 *  lives. Throws DataError for a size or count that is not a positive integer, and for more than 4
 *  GiB in one half. */
export function procedural(options: ProceduralOptions = {}): Split {
  const {
    size = 32,
    train = 5000,
    test = 1000,
    seed = 0,
  } = checkOptions('procedural', options, rules)
  for (const [what, value] of Object.entries({ size, train, test }))
    if (!(Number.isInteger(value) && value > 0))
      throw new DataError(`procedural: ${what} must be a positive integer, got ${describe(value)}`)
  for (const count of [train, test])
    if (count * size * size * 3 > MOST)
      throw new DataError(
        `procedural: at most ${MOST} bytes are kept, got ${counted(count, 'image')} of ${size} px, ` +
          `${count * size * size * 3} bytes; lower the size or the number of images`,
      )
  const about = { path: null, split: `drawn from seed ${seed}`, notes: [], others: [] }
  return { train: half(size, train, [seed, 1]), test: half(size, test, [seed, 2]), about }
}

function half(side: number, size: number, key: readonly [number, number]): Dataset {
  const stride = side * side * 3
  const pixels = new Uint8Array(size * stride)
  const drawn = new Uint8Array(size)
  const labels = Int32Array.from({ length: size }, (_, i) => i % patterns.length)
  return {
    name: 'procedural',
    size,
    image: { height: side, width: side, channels: 3 },
    classes: patterns.map(({ name }) => name),
    labels,
    skipped: [],
    async read(indices, out) {
      checkRead({ name: 'procedural', size }, stride, indices, out)
      const turn = takingTurns()
      for (let n = 0; n < indices.length; n++) {
        const i = Number(indices[n])
        const image = pixels.subarray(i * stride, (i + 1) * stride)
        if (!drawn[i]) {
          await turn()
          paint(image, side, compose(i % patterns.length, draws(key, i)))
        }
        drawn[i] = 1
        out.set(image, n * stride)
      }
    },
  }
}

/** Returns the stream of random numbers of one image. */
function draws(key: readonly [number, number], image: number): Draw {
  let count = 0
  return () => uniform01(threefry2x32(key, [image, count++])[0])
}

type Rgb = readonly [number, number, number]

/** Draws two colours in random order. Their brightness differs by 60 to 180. */
function palette(draw: Draw): [Rgb, Rgb] {
  const contrast = 60 + 120 * draw()
  const low = 20 + (215 - contrast) * draw()
  const pair: [Rgb, Rgb] = [colour(draw, low), colour(draw, low + contrast)]
  return draw() < 0.5 ? pair : [pair[1], pair[0]]
}

/** Draws a colour of about the given brightness (0-255) and a random hue. */
function colour(draw: Draw, brightness: number): Rgb {
  const [r, g, b] = [draw() - 0.5, draw() - 0.5, draw() - 0.5]
  const grey = 0.299 * r + 0.587 * g + 0.114 * b
  const strength = 160 * draw()
  return [
    brightness + strength * (r - grey),
    brightness + strength * (g - grey),
    brightness + strength * (b - grey),
  ]
}

/** Contents of an image. Lengths are in sides of the image; (0, 0) is its middle. */
interface Scene {
  /** About the distance to the border of the pattern's region, positive inside. */
  readonly region: Field
  /** About the distance to the edge between ink and paper, positive on the ink. */
  readonly pattern: Field
  readonly ink: Rgb
  readonly paper: Rgb
  /** Colours between which the background fades. */
  readonly near: Rgb
  readonly far: Rgb
  /** Position of the fade between `near` and `far`, plus 0.5, clamped to [0, 1]. */
  readonly fade: Field
  /** Brightness that is added everywhere. */
  readonly light: Field
}

function compose(label: number, draw: Draw): Scene {
  const pattern = patterns[label]
  if (!pattern) throw new DataError(`procedural: no class ${label}`)
  const field = pattern.field(draw)
  const period = ((4.5 + 3 * draw()) / 32) * pattern.scale
  const angle = 2 * Math.PI * draw()
  const [cos, sin] = [Math.cos(angle) / period, Math.sin(angle) / period]
  const [u, v] = [20 * draw(), 20 * draw()]
  const [ink, paper] = palette(draw)
  const [near, far] = palette(draw)
  return {
    region: disc(draw),
    pattern: (x, y) => field(u + cos * x - sin * y, v + sin * x + cos * y) * period,
    ink,
    paper,
    near,
    far,
    fade: slope(draw, 1.2),
    light: slope(draw, 50),
  }
}

const SAMPLES = 2 // per pixel and direction
const RGB = [0, 1, 2] as const

/** Fills image [side, side, 3]. */
function paint(image: Uint8Array, side: number, scene: Scene) {
  const { region, pattern, ink, paper, near, far, fade, light } = scene
  const samples = side * SAMPLES
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      let shown = 0 // samples inside the region
      let inked = 0 // samples of these that are ink
      for (let sy = 0; sy < SAMPLES; sy++)
        for (let sx = 0; sx < SAMPLES; sx++) {
          const X = (x * SAMPLES + sx + 0.5) / samples - 0.5
          const Y = (y * SAMPLES + sy + 0.5) / samples - 0.5
          const inside = unit(0.5 + region(X, Y) * samples)
          if (inside === 0) continue
          shown += inside
          inked += inside * unit(0.5 + pattern(X, Y) * samples)
        }
      const [X, Y] = [(x + 0.5) / side - 0.5, (y + 0.5) / side - 0.5]
      const faded = unit(0.5 + fade(X, Y))
      const lit = light(X, Y)
      const [a, b] = [shown / SAMPLES ** 2, inked / SAMPLES ** 2]
      for (const c of RGB) {
        const behind = near[c] + (far[c] - near[c]) * faded
        const value = lit + behind * (1 - a) + paper[c] * (a - b) + ink[c] * b
        image[(y * side + x) * 3 + c] = Math.round(Math.min(255, Math.max(0, value)))
      }
    }
}

const unit = (x: number) => (x < 0 ? 0 : x > 1 ? 1 : x)

/** Draws a plane that rises by up to `most` across the image in a random direction. */
function slope(draw: Draw, most: number): Field {
  const angle = 2 * Math.PI * draw()
  const rise = most * draw()
  const [a, b] = [rise * Math.cos(angle), rise * Math.sin(angle)]
  return (x, y) => a * x + b * y
}

/** Draws a disc about as large as the image, near its middle. */
function disc(draw: Draw): Field {
  const radius = 0.5 + 0.4 * draw()
  const [x0, y0] = [0.4 * (draw() - 0.5), 0.4 * (draw() - 0.5)]
  return (x, y) => radius - length(x - x0, y - y0)
}
