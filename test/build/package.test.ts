// What the build makes of the library: WGSL without comments, and modules that a bundler can leave
// out.

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const script = pathToFileURL(resolve('scripts/minify-wgsl.js')).href
const { minified } = (await import(script)) as { minified: (code: string) => string } // as it says
const test = suite('the package')

test('WGSL loses comments and needless spaces, and keeps its meaning', () => {
  const code = [
    'const text = "kernel`  a  `" // wgsl`  b  `',
    'export const k = kernel`',
    '  // a comment',
    '  ${ wgsl`  fn f( a : u32 , b : u32 ) -> u32 { /* no */ return a - -b ; }  ` }',
    '  let v : vec4<bool> = vec4<bool>( true ) ;',
    '`',
  ].join('\n')
  const short = minified(code)
  assert.ok(short.includes('const text = "kernel`  a  `" // wgsl`  b  `'), 'other code stays')
  assert.ok(short.includes('fn f(a:u32,b:u32)-> u32 {return a - -b;}'), short)
  assert.ok(short.includes('let v:vec4<bool> = vec4<bool>(true);'), short)
  assert.not.match(short, /a comment|no \*\//)
  assert.throws(() => minified('kernel` // ${x} `'), /a comment holds a hole: {2}\/\/ /)
})

/** Bytes of a page's program, minified and compressed. */
async function bytesOf(program: string): Promise<number> {
  const { outputFiles, warnings } = await build({
    stdin: { contents: program, resolveDir: process.cwd() },
    ...{ bundle: true, minify: true, format: 'esm', platform: 'browser', target: 'es2022' },
    ...{ write: false, logLevel: 'silent' },
  })
  assert.equal(warnings, [])
  return gzipSync(outputFiles[0]?.contents ?? '', { level: 9 }).length
}

const budgets = [
  ['one loss', 'ntXent', 16_000],
  ['reading checkpoints', 'decodeSafetensors', 4_000],
  ['SimCLR of a ResNet', 'openGpu, simclr, resnet18, projectionHead, Adam, cifarRecipe', 105_000],
] as const

for (const [what, names, most] of budgets)
  test(`${what} takes at most ${most / 1000} kB of a page`, async () => {
    const bytes = await bytesOf(`export { ${names} } from './dist/index.js'`)
    assert.ok(bytes <= most, `${bytes} bytes`)
  })

test.run()
