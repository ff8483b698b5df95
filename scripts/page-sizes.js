// Prints what a page loads at once for some imports from the built package: kB, minified, and compressed.
//   node scripts/page-sizes.js [names]

import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

/** Leaves out what is imported when it is used. */
const later = {
  name: 'later',
  setup({ onResolve }) {
    onResolve({ filter: /./ }, ({ path, kind }) =>
      kind === 'dynamic-import' ? { path, external: true } : null,
    )
  },
}

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
  const what = names === '*' ? '*' : `{ ${names} }`
  const { outputFiles } = await build({
    stdin: { contents: `export ${what} from './dist/index.js'`, resolveDir: process.cwd() },
    ...{ bundle: true, minify: true, format: 'esm', platform: 'browser', target: 'es2022' },
    ...{ write: false, plugins: [later] },
  })
  const [{ contents }] = outputFiles
  const kB = (bytes) => (bytes / 1000).toFixed(1)
  const [plain, zipped] = [contents, gzipSync(contents, { level: 9 })].map(({ length }) =>
    kB(length),
  )
  console.log(`${names}: ${plain} kB, ${zipped} kB gzipped`)
}
