// What the random numbers of a layer depend on: the seed, the layer's name, the step, the view, and
// the number of the sample in its batch. So micro-batches and shards of a batch draw what the whole
// batch draws, and a step that is made again draws the same.

import { type Scalar, ShapeError, wgsl } from '../op.ts'
import { type Rules, checkOptions, checkValue, count, either, text, whole } from '../options.ts'
import { seedAndStep, seedRule } from '../seeds.ts'
import { streamKey, streamOf, threefry } from './threefry.ts'

/** What random numbers depend on in a forward pass, besides the layer that draws them. */
export interface Draws {
  /** Seed of all draws, a whole number from 0. */
  readonly seed: number
  /** The number of the step. In a captured step, `() => state.step`. */
  readonly step: Scalar
  /** The number of the view; 0 by default. Where the samples are several views, one behind
   *  another, that of the first. */
  readonly view?: number
  /** How many views the samples are, each the same images and as many; 1 by default. */
  readonly views?: number
  /** The number of the first sample in its batch, where the samples are a part of one; 0 by
   *  default. */
  readonly offset?: number
  /** Name of the network, where several networks of a step have layers of the same names, such as
   *  'text'. Methods call the encoder of keys 'key'. None by default. */
  readonly network?: string
}

/** The rules of these options. */
export const drawRules: Rules<Draws> = {
  ...seedAndStep,
  ...{ view: whole, views: count, offset: whole },
  network: text,
}

/** `drawOf(n, e)`: 64 random bits, a vec2u, of element e of sample n of x [N, ...]. It reads
 *  `struct Params` under the name `p`, with `drawParams`' members: key0, key1, view, offset and
 *  perView, all u32. `uniform01(bits)` makes an f32 in [0, 1) of 32 of them. */
export const drawOf = wgsl`
  ${threefry}
  fn drawOf(n: u32, e: u32) -> vec2u {
    let sample = ((p.view + n / p.perView) << 24u) | (p.offset + n % p.perView);
    return threefry(vec2u(p.key0, p.key1), vec2u(sample, e));
  }
`

const MOST_VIEWS = 2 ** 8
const MOST_SAMPLES = 2 ** 24

/** The rule of a layer's name. */
export const streamRule = either(text, seedRule)

/** Returns the Params that WGSL's `drawOf` reads, for the layer named `stream` and x of N samples.
 *  Throws ShapeError unless N divides into the views, and RangeError for more than 256 views or a
 *  sample numbered 2^24 or more, and TypeError for wrong arguments. The messages begin with
 *  `owner`. */
export function drawParams(draws: Draws, stream: string | number, N: number, owner = 'drawParams') {
  const checked = checkOptions(owner, draws ?? ({} as Draws), drawRules) // throws where missing
  const { seed, step, view = 0, views = 1, offset = 0, network } = checked
  checkValue(owner, 'stream', stream, streamRule)
  checkValue(owner, 'N', N, whole)
  const perView = N / views
  if (!Number.isInteger(perView))
    throw new ShapeError(
      `${owner}: x must be ${views} views of as many samples each, got ${N} samples`,
    )
  if (view + views > MOST_VIEWS)
    throw new RangeError(`${owner}: views must be numbered from 0 to 255, got ${view + views - 1}`)
  if (offset + perView > MOST_SAMPLES)
    throw new RangeError(
      `${owner}: samples must be numbered below ${MOST_SAMPLES}, got offset ${offset} and ${perView} samples`,
    )
  const [key0, key1] = streamKey(seed, streamNumber(stream, network), step, { owner })
  return { ...{ key0, key1, view, offset }, perView: Math.max(1, perView) }
}

/** The number of a layer's stream. Two networks with layers of one name have streams of their
 *  own. */
const streamNumber = (stream: string | number, network: string | undefined) =>
  network === undefined && typeof stream === 'number'
    ? stream >>> 0
    : streamOf(network === undefined ? String(stream) : `${network}/${stream}`)
