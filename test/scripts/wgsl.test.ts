import { spawnSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

/** What `npm run wgsl -- ...args` prints. */
function wgsl(...args: string[]) {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['scripts/wgsl.js', ...args], {
    encoding: 'utf8',
  })
  return { stdout, stderr, status }
}

test('npm run wgsl prints the kernels of a convolution, forward and backward, for a GPU', () => {
  const shapes = ['--x', '512x32x32x64', '--w', '3x3x64x64', '--padding', '1']
  const { stdout, status } = wgsl('conv2d', ...shapes, '--kernels', 'gpu', '--precision', 'f16')
  assert.is(status, 0)
  assert.match(stdout, /^\/\/ kernels gpu precision f16 activations f32\n\/\/ forward 1 of 1: /)
  assert.match(stdout, /Params: M 524288, N 64,/)
  assert.match(stdout, /\/\/ backward \d of 3: convWeightGradient/)
  assert.match(stdout, /@compute @workgroup_size/)
})

test('it prints subgroup matrices for a device that has them', () => {
  const { stdout } = wgsl(
    'matmul',
    '--a',
    '64x64',
    '--b',
    '64x64',
    '--kernels',
    'matrices',
    '--precision',
    'f16',
  )
  assert.match(stdout, /enable chromium_experimental_subgroup_matrix;/)
})

test('it says how a shape is given where a number is', () => {
  const { stderr, status } = wgsl('ntXent', '--z1', '256')
  assert.is(status, 2)
  assert.match(stderr, /z1 must be a tensor, got .*256; give a shape, as in --z1 256x128$/m)
  assert.not.match(stderr, /gpu\.tensor/)
})

test('it takes vectors, running statistics and options, and lists dispatches alone', () => {
  const channels = ['--gamma', '32', '--beta', '32', '--running', '32', '--training', 'true']
  const { stdout, status } = wgsl(
    'batchNorm',
    '--x',
    '64x8x8x32',
    ...channels,
    '--list',
    '--kernels',
    'device',
  )
  assert.is(status, 0)
  assert.match(stdout, /forward \d of \d: batchNorm,/)
  assert.not.match(stdout, /@compute/)
})

test('what it cannot do is said with exit code 2', () => {
  const unknown = wgsl('conv3d')
  assert.is(unknown.status, 2)
  assert.match(unknown.stderr, /^wgsl: no op is called 'conv3d'; docs\/ops\.md lists them/)
  const shapes = wgsl('matmul', '--a', '64x64', '--b', '63x64')
  assert.is(shapes.status, 2)
  assert.match(shapes.stderr, /^wgsl: matmul: inner dimensions differ/)
})

test.run()
