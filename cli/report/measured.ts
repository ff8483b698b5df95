// report.json: what is measured of a run's encoder for its report, kept so that the page can be
// made again without a GPU.

import * as v from 'valibot'
import { join } from 'node:path'
import { readBytes } from '../../engine/node-files.ts'
import { exists } from '../../run-folder/run-config.ts'
import { parse } from '../../training/json.ts'

const VERSION = 1
const FILE = 'report.json'

const picture = v.pipe(
  v.string(),
  v.regex(/^data:image\/(?:png|webp);base64,[A-Za-z0-9+/]+=*$/, 'a picture as a data URL'),
)
const number = v.pipe(v.number(), v.finite())
const index = v.pipe(v.number(), v.integer(), v.minValue(0))
const label = v.pipe(v.number(), v.integer(), v.minValue(-1))

/** Images in one picture, row by row. */
const sheet = v.object({ picture, side: index, columns: index })

const image = v.object({ picture, label })

const map = v.object({
  /** 'test' or 'training' */
  of: v.string(),
  /** Images of the set that the map's are chosen from. */
  from: index,
  size: index,
  /** [N], -1 without a label. */
  labels: v.array(label),
  /** [N], the class by kNN; empty where it was not measured. */
  predictions: v.array(label),
  /** [N], file names; empty where images have none. */
  files: v.array(v.string()),
  thumbnails: sheet,
  /** Coordinates x, y of each image in turn, from 0 to 65535, by the name of the method. */
  layouts: v.array(v.object({ name: v.string(), about: v.string(), points: v.array(index) })),
})

const neighbours = v.object({
  query: image,
  before: v.array(image),
  after: v.array(image),
})

const classes = v.object({
  k: index,
  bank: index,
  queries: index,
  accuracy: number,
  balancedAccuracy: number,
  /** Null with five classes or fewer. */
  top5: v.nullable(number),
  /** [C, C]: test images of class i predicted as j, at i C + j. */
  confusion: v.array(index),
})

const schema = v.object({
  version: v.literal(VERSION),
  /** Step of the weights. */
  step: index,
  /** Most images that were asked for. */
  points: index,
  classes: v.array(v.string()),
  views: v.array(v.object({ image: picture, one: picture, two: picture })),
  map: v.nullable(map),
  neighbours: v.array(neighbours),
  report: v.nullable(classes),
  rank: v.nullable(v.object({ effectiveRank: number, rankMe: number, features: index })),
})

/** What is measured for a report. */
export type Measured = v.InferOutput<typeof schema>
/** Features on a plane. */
export type FeatureMap = v.InferOutput<typeof map>
/** An image with its nearest ones. */
export type NearImages = v.InferOutput<typeof neighbours>
/** How kNN does, class by class. */
export type ClassFigures = v.InferOutput<typeof classes>
/** Images in one picture. */
export type Sheet = v.InferOutput<typeof sheet>

/** The version of report.json that this program writes. */
export const measuredVersion = VERSION

/** Returns the path of report.json in a run folder. */
export const measuredPath = (dir: string) => join(dir, FILE)

/** Reads report.json of a run; null where there is none, or one that is damaged or of another
 *  version: it is measured again. */
export async function readMeasured(dir: string): Promise<Measured | null> {
  const path = measuredPath(dir)
  if (!(await exists(path))) return null
  const found = v.safeParse(schema, parse(new TextDecoder().decode(await readBytes(path))))
  return found.success && isWhole(found.output) ? found.output : null
}

/** Tells whether the lists of a file fit each other. */
function isWhole({ classes: names, map: found, report, neighbours: near }: Measured): boolean {
  const isClass = (one: number) => one < names.length
  const images = near.flatMap(({ query, before, after }) => [query, ...before, ...after])
  if (!images.every((one) => isClass(one.label))) return false
  if (report && report.confusion.length !== names.length ** 2) return false
  if (!found) return true
  const { labels, predictions, files, layouts, size } = found
  return (
    labels.length === size &&
    [...labels, ...predictions].every(isClass) &&
    [predictions, files].every(({ length }) => length === size || length === 0) &&
    layouts.every(({ points }) => points.length === 2 * size)
  )
}
