// The esbuild plugin for imports such as 'page:main.ts': the text of a script or style sheet of
// cli/page/, bundled with what it imports and minified.

import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const NOTICE =
  '/*! uPlot: copyright (c) 2025 Leon Sorokin, MIT licence, github.com/leeoniya/uPlot */'
const PREFIX = /^page:/
const pathOf = (name) => fileURLToPath(new URL(`../cli/page/${name}`, import.meta.url))

export const pageText = {
  name: 'page-text',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: PREFIX }, ({ path }) => ({
      path: pathOf(path.replace(PREFIX, '')),
      namespace: 'page-text',
    }))
    onLoad({ filter: /./, namespace: 'page-text' }, async ({ path }) => {
      const { outputFiles } = await build({
        entryPoints: [path],
        ...{ bundle: true, minify: true, write: false, logLevel: 'warning' },
        ...{ format: 'iife', platform: 'browser', target: 'es2022', banner: { js: NOTICE } },
      })
      return { contents: outputFiles[0]?.text.trimEnd() ?? '', loader: 'text' }
    })
  },
}
