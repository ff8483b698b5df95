// Tests kindred summary and kindred profile as programs.

import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { kindred } from '../fixtures/cli.ts'

test('kindred summary lists the layers of an encoder', async () => {
  const words = await kindred('summary', 'resnet8', '--width', '4', '--size', '16')
  assert.is(words.code, 0, words.err)
  const lines = words.out.split('\n')
  assert.is(
    lines[0],
    'layer                                    output          params   FLOPs    bytes',
  )
  assert.is(
    lines[1],
    'conv1, bn1                               [1, 16, 16, 4]     116  55.3 K  4.10 KB',
  )
  assert.ok(lines.includes('parameters  5,044 (20.2 KB)'))
  const json = await kindred('summary', 'resnet8', '--width', '4', '--batch', '2', '--json')
  const { parameters, rows } = JSON.parse(json.out) as {
    readonly parameters: number
    readonly rows: readonly { readonly output: readonly number[] }[]
  }
  assert.equal([parameters, rows[0]?.output], [5044, [2, 32, 32, 4]])
})

test('kindred summary refuses what it does not know', async () => {
  const encoder = await kindred('summary', 'resnet9')
  assert.is(encoder.code, 2)
  assert.match(
    encoder.err,
    /^kindred: summary: encoder: must be one of resnet8, .*, got resnet9\n$/,
  )
  const stem = await kindred('summary', 'resnet8', '--stem', 'mnist')
  assert.is(stem.err, 'kindred: --stem: must be one of cifar, imagenet, got mnist\n')
})

test('kindred profile times the kernels of a step, and makes no run', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kindred-profile-'))
  const trace = join(folder, 'trace.json')
  const small = ['--data', 'procedural:32,8', '--size', '8', '--width', '4', '--batch', '16']
  try {
    const args = [
      ...small,
      '--model',
      'resnet8',
      '--runs',
      '1',
      '--layers',
      '--trace',
      trace,
      '--json',
    ]
    const { code, out, err } = await kindred('profile', 'moco', ...args)
    assert.is(code, 0, err)
    const last = JSON.parse(out.trim().split('\n').at(-1) ?? '') as {
      readonly batch: number
      readonly layers: readonly { readonly layer: string }[]
      readonly kernels: readonly { readonly kernel: string; readonly dispatches: number }[]
    }
    assert.is(last.batch, 16)
    const dispatches = last.kernels.reduce((sum, row) => sum + row.dispatches, 0)
    assert.ok(last.layers.some(({ layer }) => layer === 'layer1.0.conv1, bn1'))
    assert.ok(last.kernels.some(({ kernel }) => kernel === 'enqueue'))
    const { traceEvents } = JSON.parse(readFileSync(trace, 'utf8')) as {
      readonly traceEvents: readonly { readonly ph: string }[]
    }
    assert.is(traceEvents.filter(({ ph }) => ph === 'X').length, dispatches)
    assert.equal(readdirSync(folder), ['trace.json'])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.run()
