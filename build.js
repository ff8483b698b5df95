// Builds dist/, which users import and run, with its types. With --test it builds .test/ instead:
// every test as a program of its own.

import { readdirSync, rmSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { build } from 'esbuild'

const testing = process.argv.includes('--test')
const outdir = testing ? '.test' : 'dist'
const tests = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.test.ts'),
)

rmSync(testing ? '.test/test' : 'dist', { recursive: true, force: true })
await build({
  entryPoints: testing
    ? [
        ...tests.map((name) => `test/${name}`),
        'data/decode-worker.ts',
        'cli/kindred.ts',
        'test/wgpu/story.ts',
      ]
    : [
        ...['index.ts', 'node.ts', 'cli/kindred.ts', 'data/decode-worker.ts'],
        'cli/report-page.ts', // for bench/scale.js
      ],
  outbase: '.',
  outdir,
  bundle: true,
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  format: 'esm',
  platform: 'neutral',
  mainFields: ['module', 'main'],
  external: [
    'node:*',
    'webgpu',
    'sharp',
    'commander',
    'cli-progress',
    'uvu',
    'uvu/assert',
    'uplot',
    'esbuild',
  ],
  target: 'es2022',
  sourcemap: 'linked',
  logLevel: 'warning',
})
if (!testing) {
  const args = ['--project', 'tsconfig.types.json']
  const { status } = spawnSync('node_modules/.bin/tsc', args, { stdio: 'inherit' })
  process.exitCode = status ?? 1
}
