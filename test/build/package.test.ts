// What the build makes of the library: WGSL without comments, and modules that a bundler can leave
// out.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { type Plugin, build, transform } from 'esbuild'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const script = (name: string) => import(pathToFileURL(resolve(`scripts/${name}.js`)).href)
const { minified } = (await script('minify-wgsl')) as { minified: (code: string) => string } // as it says
const { markPure } = (await script('mark-pure')) as { markPure: (code: string) => string } // as it says
const bundles = async () =>
  (await script('page-bundle')) as {
    pageBundle: (names: string, isLeftOut?: undefined, whole?: boolean) => Promise<Uint8Array>
  } // as it says
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
  assert.ok(short.includes('fn f(a:u32,b:u32)->u32 {return a - -b;}'), short)
  assert.ok(short.includes('let v:vec4<bool> = vec4<bool>(true);'), short)
  assert.not.match(short, /a comment|no \*\//)
  assert.throws(() => minified('kernel` // ${x} `'), /a comment holds a hole: {2}\/\/ /)
})

test('what a module computes when it is loaded is left out where it is not used', async () => {
  const code = [
    'const tag = (s) => s.raw.join()',
    'const a = tag`first`, b = { ...a, c: 1 }',
    'const f = () => tag`second`',
    'let d = [1, tag`third`]',
    'class E extends Map { static e = 4 }',
    'export const g = tag`fourth`',
    'tag`fifth`',
  ].join('\n')
  const marked = markPure(code)
  assert.match(marked, '(() => (tag`first`))()')
  assert.match(marked, 'const f = () => tag`second`')
  assert.match(marked, '\ntag`fifth`')
  const { code: kept } = await transform(marked, { treeShaking: true, format: 'esm' })
  assert.equal(kept.match(/first|second|third|extends|fourth|fifth/g), ['fourth', 'fifth'], kept)
})

/** Leaves out what is imported when it is used. */
const later: Plugin = {
  name: 'later',
  setup({ onResolve }) {
    onResolve({ filter: /./ }, ({ path, kind }) =>
      kind === 'dynamic-import' ? { path, external: true } : null,
    )
  },
}

/** Bytes that a page loads at once for a program, minified and compressed. */
async function bytesOf(program: string): Promise<number> {
  const { outputFiles, warnings } = await build({
    stdin: { contents: program, resolveDir: process.cwd() },
    ...{ bundle: true, minify: true, format: 'esm', platform: 'browser', target: 'es2022' },
    ...{ write: false, logLevel: 'silent', plugins: [later] },
  })
  assert.equal(warnings, [])
  return gzipSync(outputFiles[0]?.contents ?? '', { level: 9 }).length
}

// what a page loads at once; umap-js, ml-kmeans, fflate and the writer of ONNX files come when they
// are used
const budgets = [
  ['one loss', '{ ntXent }', 9_700],
  ['reading checkpoints', '{ decodeSafetensors }', 3_000],
  ['pictures', '{ Gpu, imageDataset, batches }', 38_500],
  [
    'SimCLR of a ResNet',
    '{ openGpu, simclr, resnet18, projectionHead, Adam, cifarRecipe }',
    87_000,
  ],
  ['everything', '*', 242_300],
] as const

for (const [what, names, most] of budgets)
  test(`${what} takes at most ${most / 1000} kB of a page`, async () => {
    const bytes = await bytesOf(`export ${names} from './dist/index.js'`)
    assert.ok(bytes <= most, `${bytes} bytes`)
  })

test('one loss takes at most 10 kB where all is in one file', async () => {
  const { pageBundle } = await bundles()
  const bytes = gzipSync(await pageBundle('ntXent', undefined, true), { level: 9 }).length
  assert.ok(bytes <= 10_000, `${bytes} bytes`)
})

test('kernels for tensor cores and CPU adapters are loaded where a device needs them', async () => {
  const { pageBundle } = await bundles()
  const text = new TextDecoder().decode(await pageBundle('*'))
  assert.match(text, /import\("[^"]*matrix-forms\.js"\)/)
  assert.match(text, /import\("[^"]*cpu-forms\.js"\)/)
  assert.not.match(text, /subgroupMatrixLoad|subgroupShuffle/)
})

/** Every file under a folder. */
const filesIn = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /\.\w+$/.test(name))

test('the package for pages stands alone', async () => {
  assert.ok((await bytesOf(`export { ntXent } from './web/dist/index.js'`)) <= 9_700)
  const told = JSON.parse(readFileSync('web/package.json', 'utf8')) as Record<string, unknown>
  assert.equal([told['name'], told['dependencies']], ['kindred-web', undefined])
  const files = filesIn('web')
  for (const name of files.filter(
    (file) => /\.(js|d\.ts)$/.test(file) && !file.includes('vendor'),
  )) {
    const text = readFileSync(`web/${name}`, 'utf8')
    const beyond = /^(?:import|export)\b[^;'"=]*?(?:from |^import )["']([^."'][^"']*)["'];?$/m.exec(
      text,
    )
    assert.is(beyond, null, `${name}: ${beyond?.[0]}`)
    assert.not.match(text, /import\(["'][^."']/, name)
    assert.not.match(text, /["']node:/, name)
  }
  const licences = readFileSync('web/dist/vendor/LICENSES.txt', 'utf8')
  for (const name of ['valibot', 'ml-matrix', 'umap-js', 'pbf', '@noble/hashes'])
    assert.match(licences, new RegExp(`^${name} \\d`, 'm'))
  for (const name of ['dist/node.js', 'dist/cli', 'dist/engine/node.js'])
    assert.not.ok(existsSync(`web/${name}`), name)
})

for (const [module, resolution] of [
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
] as const)
  test(`its types need no other package under strict settings, ${resolution}`, () => {
    const dir = mkdtempSync('web/types-')
    try {
      writeFileSync(
        `${dir}/page.ts`,
        `import { type Dataset, imageDataset, openGpu, simclrPresets, spectrum } from '../dist/types/index.js'
import { type StartOptions, startTraining } from '../dist/types/worker.js'
export async function read(files: File[]): Promise<Dataset> {
  const gpu = await openGpu()
  console.log(Object.keys(simclrPresets), spectrum({ features: new Float32Array(4), M: 2, D: 2 }))
  return imageDataset(gpu, files, { size: 32 })
}
export const train = (at: Worker | MessagePort, options: StartOptions) => startTraining(at, options)
`,
      )
      const args = ['--noEmit', '--ignoreConfig', '--strict', '--exactOptionalPropertyTypes']
      const how = [
        ...['--target', 'es2022', '--module', module, '--moduleResolution', resolution],
        ...['--lib', 'es2024,dom,esnext.disposable', '--types', '', '--skipLibCheck', 'false'],
      ]
      const { status, stdout } = spawnSync(
        process.execPath,
        ['node_modules/typescript/bin/tsc', ...args, ...how, `${dir}/page.ts`],
        { encoding: 'utf8' },
      )
      assert.is(status, 0, stdout)
    } finally {
      rmSync(dir, { recursive: true })
    }
  })

test.run()
