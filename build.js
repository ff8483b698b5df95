// Builds dist/, which users import and run, with its types. The library is one file per module, so
// that a bundler keeps only what a page uses; the command line is bundled, so that it starts fast.
// Then it makes web/, the package for pages.
// With --test it builds .test/ instead: every test as a program of its own.

import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { build } from 'esbuild'
import { markPure } from './scripts/mark-pure.js'
import { minifyWgsl } from './scripts/minify-wgsl.js'
import { pageText } from './scripts/page-text.js'
import { webPackage } from './scripts/web-package.js'

const testing = process.argv.includes('--test')

const common = {
  outbase: '.',
  bundle: true,
  format: 'esm',
  platform: 'neutral',
  target: 'es2022',
  packages: 'external',
  external: ['node:*'],
  sourcemap: 'linked',
  logLevel: 'warning',
}
const splitting = { splitting: true, chunkNames: 'chunks/[name]-[hash]' }

/** The TypeScript files under a folder. */
const filesIn = (folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => `${folder}/${name}`)

/** Leaves imports of other files as they are, but for their ending. */
const fileByFile = {
  name: 'file-by-file',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ path, kind }) =>
      kind === 'entry-point' ? null : { path: path.replace(/\.ts$/, '.js'), external: true },
    )
  },
}

const rooms = [
  ...['kernels', 'engine', 'models', 'methods', 'evaluate', 'serving', 'training'],
  ...['worker', 'page-runs', 'data', 'images'],
]
async function buildLibrary() {
  const { metafile } = await build({
    ...common,
    entryPoints: ['index.ts', 'node.ts', 'worker.ts', ...[...rooms, 'run-folder'].flatMap(filesIn)],
    outdir: 'dist',
    plugins: [fileByFile, minifyWgsl],
    metafile: true,
  })
  for (const path of Object.keys(metafile.outputs).filter((name) => name.endsWith('.js')))
    writeFileSync(path, markPure(readFileSync(path, 'utf8')))
}

const buildCommands = () =>
  build({
    ...{ ...common, ...splitting },
    entryPoints: ['cli/kindred.ts', 'cli/report/page.ts'], // the second for bench/scale.js
    outdir: 'dist',
    plugins: [pageText],
  })

const buildTests = () =>
  build({
    ...{ ...common, ...splitting },
    entryPoints: [
      ...filesIn('test').filter((name) => name.endsWith('.test.ts')),
      ...['data/decode-worker.ts', 'cli/kindred.ts', 'test/wgpu/story.ts'],
    ],
    outdir: '.test',
    plugins: [pageText],
  })

rmSync(testing ? '.test/test' : 'dist', { recursive: true, force: true })
if (testing) await buildTests()
else {
  await Promise.all([buildLibrary(), buildCommands()])
  const args = ['--project', 'tsconfig.types.json']
  const { status } = spawnSync('node_modules/.bin/tsc', args, { stdio: 'inherit' })
  process.exitCode = status ?? 1
  if (status === 0) await webPackage()
}
