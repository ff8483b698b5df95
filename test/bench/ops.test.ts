// bench/ops.js: it has a case of every op, and a wrong op does not pass.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const node = (...args: string[]) => spawnSync(process.execPath, args, { encoding: 'utf8' })

/** Exports of kernels/ that are no ops, or that `bench/augment.js` checks. */
const others = new Set([
  ...['ShapeError', 'elementwise', 'flatIndex', 'kernel', 'op', 'wgsl'],
  ...[
    'threefry2x32',
    'uniform01',
    'drawOf',
    'drawParams',
    'cifarRecipe',
    'imagenetRecipe',
    'testTransform',
    'preparationOf',
    'cropAndFlip',
  ],
  ...['augment', 'drawAugmentations', 'packAugmentations', 'unpackAugmentations'],
  ...['adjustBrightness', 'adjustContrast', 'adjustHue', 'adjustSaturation', 'augmentWith'],
  ...['flipHorizontal', 'gaussianBlur', 'normalize', 'resizedCrop', 'toGrayscale'],
  'similarities', // by nce
  'resizeImages', // gives bytes, which its own test compares
])

test('every op that the library exports has a case', () => {
  const names = [
    ...readFileSync('index.ts', 'utf8').matchAll(/export \{([^}]*)\} from '\.\/kernels\//g),
  ]
    .flatMap(([, list = '']) => list.split(','))
    .map((name) => name.trim())
    .filter((name) => name !== '' && !name.startsWith('type ') && !others.has(name))
  const checked = new Set(node('bench/ops.js', '--names').stdout.trim().split('\n'))
  assert.ok(names.length > 50)
  assert.equal(
    names.filter((name) => !checked.has(name)),
    [],
  )
})

test('ops pass by their own kernels', () => {
  const { stdout, status } = node(
    'bench/ops.js',
    '--json',
    ...['--precision', 'f32', '--only', 'relu,matmul,crossEntropy,infoNce'],
  )
  assert.is(status, 0)
  const { results } = JSON.parse(stdout) as { results: { op: string; passed: boolean }[] }
  assert.is(results.length, 12)
  assert.ok(results.every(({ passed }) => passed))
})

test('a wrong value, a wrong gradient and NaN do not pass', () => {
  const program = `
    const { errorsOf } = await import('./bench/ops/check.js')
    const { input } = await import('./bench/ops/float64.js')
    const kindred = await import('./dist/node.js')
    const gpu = await kindred.openGpu()
    const one = { inputs: [input([4, 5])], call: (k, x) => k.mul(x, x) }
    const off = (call, reference) => errorsOf(kindred, gpu, { ...one, call, reference })
    const square = (x) => x.values.map((v) => v * v)
    const found = [
      await off(one.call, square),
      await off(one.call, (x) => square(x).map((v, i) => v + (i === 7) * 1e-3)),
      await off((k, x) => k.mul(x, gpu.leaf(x)), square),
      await off((k, x) => k.log(k.sub(x, 2)), square),
    ]
    const passes = ({ value, gradient }) => [value <= 1e-5, gradient <= 1e-5]
    console.log(JSON.stringify(found.map(passes)))
    gpu.destroy()`
  const { stdout, stderr } = node('--input-type=module', '--eval', program)
  assert.is(
    stdout.trim(),
    JSON.stringify([
      [true, true],
      [false, true],
      [true, false],
      [false, false],
    ]),
    stderr,
  )
})

test.run()
