// Which planted copies of small images does `curate duplicates` take for copies, and which pairs of
// the images themselves? Every copy is compared with its original, and the pairs of images that are
// most alike with each other; no encoder takes part.
//
//     node bench/copies.js idx:fashion-mnist --size 28
//     node bench/copies.js folder:xray --size 28 --images 2428 --planted 200

import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { greyPicture } from '../dist/evaluate/curate/agreement.js'
import { copyAgreement } from '../dist/evaluate/curate/copy.js'
import { openData } from '../dist/node.js'

const LEAST = 0.975 // agreement in the large, as `curate duplicates` has it
const PAIRS = 5000 // pairs of images that are most alike in the large

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string', default: '32' },
    images: { type: 'string', default: '10000' },
    planted: { type: 'string', default: '200' },
    help: { type: 'boolean' },
  },
})
const [source] = positionals
if (values.help || source === undefined) {
  console.log('node bench/copies.js SOURCE [--size 32] [--images 10000] [--planted 200]')
  process.exit(source === undefined && !values.help ? 2 : 0)
}

const { train } = await openData(source, { size: Number(values.size) })
const side = train.image.height
const count = Math.min(train.size, Number(values.images))
const bytes = side * side * 3
const pixels = new Uint8Array(count * bytes)
await train.read([...Array(count).keys()], pixels)
const image = (i) =>
  sharp(pixels.subarray(i * bytes, (i + 1) * bytes), {
    raw: { width: side, height: side, channels: 3 },
  })
const saved = async (made, quality) => sharp(await made.jpeg({ quality }).toBuffer())
const part = Math.round(0.95 * side)
const corner = { left: side - part, top: side - part, width: part, height: part }
const fine = { left: side / 4, top: side / 4, width: 9.5 * side, height: 9.5 * side }

const kinds = {
  'JPEG 80': (own) => saved(own, 80),
  'JPEG 60': (own) => saved(own, 60),
  'corner 95 %': (own) => own.extract(corner),
  'corner, JPEG 75': (own) => saved(own.extract(corner), 75),
  'middle 95 %': async (own) => {
    const large = await own
      .resize(10 * side, 10 * side)
      .png()
      .toBuffer()
    const round = Object.fromEntries(Object.entries(fine).map(([k, v]) => [k, Math.round(v)]))
    return sharp(await sharp(large).extract(round).png().toBuffer()).resize(part, part)
  },
  '3/4 size': (own) => own.resize(Math.round(0.75 * side), Math.round(0.75 * side)),
  'half size': (own) => own.resize(Math.round(side / 2), Math.round(side / 2)),
  'double size': (own) => own.resize(2 * side, 2 * side),
}

const pictureOf = async (made) => {
  const png = await made.png().toBuffer()
  const { data } = await sharp(png).toColourspace('b-w').raw().toBuffer({ resolveWithObject: true })
  return greyPicture(new Uint8Array(data))
}
const pictures = []
for (let i = 0; i < count; i++) pictures.push(await pictureOf(image(i)))

const planted = Math.min(count, Number(values.planted))
const step = Math.floor(count / planted)
for (const [kind, make] of Object.entries(kinds)) {
  let found = 0
  for (let n = 0; n < planted; n++) {
    const copy = await pictureOf(await make(image(n * step)))
    found += Number(copyAgreement(pictures[n * step], copy, LEAST) !== null)
  }
  console.log(`${kind.padEnd(16)} ${((100 * found) / planted).toFixed(1)} % of ${planted} found`)
}

/** The pairs that agree best in the large, as they are. */
const alike = []
let least = 0.9
for (let i = 0; i < count; i++) {
  const a = pictures[i].whole
  for (let j = 0; j < i; j++) {
    const b = pictures[j].whole
    let sum = 0
    for (let n = 0; n < a.length; n++) sum += a[n] * b[n]
    if (sum > least) alike.push([sum, j, i])
  }
  if (alike.length < 4 * PAIRS) continue
  alike.sort(([x], [y]) => y - x).length = PAIRS
  least = alike.at(-1)[0]
}
alike.sort(([x], [y]) => y - x).length = Math.min(alike.length, PAIRS)
const pairs = alike.filter(([, i, j]) => copyAgreement(pictures[i], pictures[j], LEAST) !== null)
console.log(`${pairs.length} of the ${alike.length} most alike pairs of ${count} images: look at`)
console.log(pairs.map(([, i, j]) => `train/${i} train/${j}`).join(', '))
