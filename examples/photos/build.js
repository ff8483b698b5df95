// Builds the page into examples/photos/dist/: static files for any host.

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { minifyWgsl } from '../../scripts/minify-wgsl.js'
import { contentPolicy } from './policy.js'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

/** The folder of the built page. */
export const built = here('dist')

/** Builds the page into a folder, which it empties first. */
export async function buildPage(folder = built) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  await build({
    entryPoints: {
      page: here('page/main.ts'),
      trainer: here('trainer/worker.ts'),
      layout: here('layout/worker.ts'),
    },
    outdir: folder,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    chunkNames: 'chunk-[hash]',
    legalComments: 'eof',
    logLevel: 'warning',
    plugins: [minifyWgsl],
  })
  await build({
    entryPoints: { page: here('style/page.css') },
    outdir: folder,
    bundle: true,
    minify: true,
    logLevel: 'warning',
  })
  writeFileSync(
    `${folder}/index.html`,
    readFileSync(here('index.html'), 'utf8').replace('{{policy}}', contentPolicy),
  )
  cpSync(here('../../LICENSE'), `${folder}/LICENSE`)
}
