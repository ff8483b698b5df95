// Prints what a page loads for some imports from the built package, minified: kB at once, the same
// compressed, and compressed in one file with all that it may load later.
//   node scripts/page-sizes.js [names]

import { gzipSync } from 'node:zlib'
import { pageBundle } from './page-bundle.js'

const [given] = process.argv.slice(2)
const rows = given
  ? [given]
  : [
      'ntXent',
      'decodeSafetensors',
      'Gpu, ntXent',
      'Gpu, imageDataset, batches',
      'openGpu, simclr, resnet8, projectionHead, Adam, cifarRecipe',
      'openGpu, simclr, resnet18, projectionHead, Adam, cifarRecipe',
      '*',
    ]
const kB = ({ length }) => (length / 1000).toFixed(1)
const zipped = (bytes) => kB(gzipSync(bytes, { level: 9 }))

for (const names of rows) {
  const atOnce = await pageBundle(names)
  const whole = await pageBundle(names, undefined, true)
  console.log(
    `${names}: ${kB(atOnce)} kB, ${zipped(atOnce)} kB gzipped, ${zipped(whole)} in one file with what comes later`,
  )
}
