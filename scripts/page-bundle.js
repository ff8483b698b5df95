// What a page loads at once for some imports from the built package, minified.

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

/** Replaces the files that `isLeftOut` chooses with names that stand for nothing. Their paths begin
 *  behind dist/, or with node_modules/: 'kernels/conv/conv2d.js', 'node_modules/fflate/...'. */
const without = (isLeftOut) => ({
  name: 'without',
  setup({ onLoad }) {
    onLoad({ filter: /\.m?js$/ }, async ({ path }) => {
      const parts = path.replaceAll('\\', '/')
      if (!isLeftOut(parts.replace(/^.*\/(?=node_modules\/)|^.*?\/dist\//, ''))) return null
      const { metafile } = await build({
        ...{ entryPoints: [path], write: false, metafile: true, format: 'esm', outdir: '/' },
      })
      const names = Object.values(metafile.outputs).flatMap(({ exports }) => exports)
      const nothing = (name) => `export ${name === 'default' ? 'default null' : `let ${name}`}`
      return { contents: names.map(nothing).join('\n') }
    })
  },
})

/** Returns the bundle of what `names` imports, '*' for everything, without some built files; and
 *  unless it is `whole`, without what is loaded later. */
export async function pageBundle(names, isLeftOut = () => false, whole = false) {
  const what = names === '*' ? '*' : `{ ${names} }`
  const { outputFiles } = await build({
    stdin: { contents: `export ${what} from './dist/index.js'`, resolveDir: process.cwd() },
    ...{ bundle: true, minify: true, format: 'esm', platform: 'browser', target: 'es2022' },
    ...{ write: false, plugins: [...(whole ? [] : [later]), without(isLeftOut)] },
  })
  return outputFiles[0].contents
}
