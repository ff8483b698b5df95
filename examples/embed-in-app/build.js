// Builds the app into examples/embed-in-app/dist/: static files for any host. Kindred must be
// built.
//   node examples/embed-in-app/build.js

import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

/** Builds the app into a folder, which it empties first. */
export async function buildApp(folder = here('dist')) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  await build({
    entryPoints: [here('app.js')],
    ...{ outdir: folder, bundle: true, minify: true, format: 'esm', target: 'es2022' },
    alias: { kindred: here('../../dist/index.js') }, // in an app of yours it is kindred-web
    logLevel: 'warning',
  })
  for (const name of ['index.html', 'app.css']) cpSync(here(name), `${folder}/${name}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildApp()
