// An esbuild plugin that takes comments and needless spaces out of WGSL: out of the texts of
// templates tagged `kernel` or `wgsl`. All other code stays as it is.

import { readFile } from 'node:fs/promises'
import { parse } from 'acorn'
import { simple } from 'acorn-walk'
import { transform } from 'esbuild'

/** WGSL without comments and needless spaces. Spaces stay where two operators would become one
 *  (`a - -b`, `vec4<bool> = x`), around `=` and before a brace, so that `const N = 4u` and
 *  `struct Params {` are found. */
const shorter = (text) =>
  text
    .replaceAll(/\/\/[^\n]*|\/\*[^]*?\*\//g, '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ ?([}();,:]) ?/g, '$1')
    .replaceAll('{ ', '{')
    .replaceAll(/(?<=[\w)\]]) ?(->|&&|\|\||<<|>>|[<>=!]=|[-+*/%&|^<>]=?) ?(?=[\w(])/g, '$1')

/** JavaScript with its WGSL shortened. */
export function minified(code) {
  const texts = []
  simple(parse(code, { ecmaVersion: 'latest', sourceType: 'module' }), {
    TaggedTemplateExpression({ tag, quasi }) {
      if (tag.type === 'Identifier' && ['kernel', 'wgsl'].includes(tag.name))
        texts.push(...quasi.quasis)
      for (const { tail, value } of texts)
        if (!tail && /\/\/[^\n]*$/.test(value.raw))
          throw new Error(`minify-wgsl: a comment holds a hole: ${value.raw.split('\n').at(-1)}`)
    },
  })
  let result = ''
  let at = 0
  for (const { start, end } of texts.sort((a, b) => a.start - b.start)) {
    result += code.slice(at, start) + shorter(code.slice(start, end))
    at = end
  }
  return result + code.slice(at)
}

/** The plugin. */
export const minifyWgsl = {
  name: 'minify-wgsl',
  setup(build) {
    build.onLoad({ filter: /[\\/]kernels[\\/].*\.ts$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, 'utf8'), {
        loader: 'ts',
        target: 'es2022',
      })
      return { contents: minified(code), loader: 'js' }
    })
  },
}
