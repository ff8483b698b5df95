// Prints what a page loads at once for some imports from the built package: kB, minified, and
// compressed.
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
for (const names of rows) {
  const contents = await pageBundle(names)
  const kB = (bytes) => (bytes / 1000).toFixed(1)
  const [plain, zipped] = [contents, gzipSync(contents, { level: 9 })].map(({ length }) =>
    kB(length),
  )
  console.log(`${names}: ${plain} kB, ${zipped} kB gzipped`)
}
