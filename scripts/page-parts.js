// Prints what each part costs a page, as a Markdown table: gzipped kB that are gone when the part
// is left out of the bundle, alone; what only it imports goes with it.
//   node scripts/page-parts.js

import { gzipSync } from 'node:zlib'
import { pageBundle } from './page-bundle.js'

const simclr = 'openGpu, simclr, resnet18, projectionHead, Adam, cifarRecipe'
const columns = [
  ['`ntXent`', 'ntXent'],
  ['SimCLR with a ResNet', simclr],
  ['everything', '*'],
]

/** Grouped convolutions, reflected padding, checks of recipes, races, wrapped buffers. */
const spare =
  /^kernels\/conv\/grouped|^kernels\/.*reflect|^kernels\/augment\/.*check|^engine\/(autotune|wrap)/

/** The parts, by the files that are left out, and the columns that they are counted in, if not
 *  all. */
const parts = [
  ['kernels', /^kernels\//],
  ['of them: convolutions, pooling', /^kernels\/(conv|pool)\//],
  ['losses, tiles of similarities', /^kernels\/(loss|similarity)\//],
  ['norms', /^kernels\/norm\//],
  ['the tiled product', /^kernels\/(tiles\/|matmul\/gemm-(tiled|loader))/],
  ['augmentation', /^kernels\/augment\//],
  ['checks of options', /^kernels\/(options|printable|input-name)|^engine\/gpu-rules/],
  ['engine', /^engine\//],
  ['of it: captured steps', /^engine\/capture\//],
  ['evaluation', /^evaluate\//],
  ['of it: `ml-matrix`', /^node_modules\/ml-matrix\//],
  ['training', /^training\//],
  ['of it: `@noble/hashes`', /^node_modules\/@noble\//],
  ['methods and presets', /^methods\//, ['*']],
  ['all that a training of a ResNet can do without', spare, [simclr]],
]

const zipped = async (names, isLeftOut) =>
  gzipSync(await pageBundle(names, isLeftOut), { level: 9 }).length / 1000
const kB = (value) => (value < 0.05 ? '-' : value.toFixed(1))
const row = (cells) => `| ${cells.join(' | ')} |`

const whole = []
for (const [, names] of columns) whole.push(await zipped(names))
console.log(row(['part', ...columns.map(([name], i) => `${name}, ${whole[i].toFixed(1)}`)]))
console.log(row(['part', ...columns].map(() => '---')))
for (const [name, files, only] of parts) {
  const gone = []
  for (const [i, [, names]] of columns.entries()) {
    const isCounted = only?.includes(names) ?? true
    const rest = isCounted ? await zipped(names, (path) => files.test(path)) : whole[i]
    gone.push(kB(whole[i] - rest))
  }
  console.log(row([name, ...gone]))
}
