// Tests .npy files by a decoder of its own, and by numpy where Python has it.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { half } from '../fixtures/halves.ts'
import { encodeNpy } from '../../engine/npy.ts'
import { saveNpy } from '../../engine/npy-file.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses, refusesAsync } from '../fixtures/refusal.ts'

const test = gpuSuite('npy')

/** Decodes by NumPy's description of the format. */
function decoded(file: Uint8Array) {
  const bytes = Uint8Array.from(file) // aligned
  assert.equal([...bytes.subarray(0, 8)], [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0])
  const length = (bytes[8] ?? 0) + 256 * (bytes[9] ?? 0)
  assert.is((10 + length) % 64, 0)
  const header = new TextDecoder().decode(bytes.subarray(10, 10 + length))
  const form = /^\{'descr': '(.+)', 'fortran_order': False, 'shape': (\(.*\)), \} *\n$/
  const [, descr = '', shape = ''] = form.exec(header) ?? []
  const data = bytes.slice(10 + length)
  const arrays = { '<f4': Float32Array, '<i4': Int32Array, '|u1': Uint8Array } as const
  const kind = arrays[descr as keyof typeof arrays] // an unknown one fails below
  return { descr, shape, values: [...new kind(data.buffer)] }
}

test('encodes arrays of every kind by the dtype that they stand for', () => {
  const rows = { features: Float32Array.of(1, 2, 3, 4, 5, 6), M: 2, D: 3 }
  assert.equal(decoded(encodeNpy(rows)), {
    descr: '<f4',
    shape: '(2, 3)',
    values: [1, 2, 3, 4, 5, 6],
  })
  assert.equal(decoded(encodeNpy([[1.5], [-2]])), {
    descr: '<f4',
    shape: '(2, 1)',
    values: [1.5, -2],
  })
  assert.equal(decoded(encodeNpy(7)), { descr: '<f4', shape: '()', values: [7] })
  const bytes = { descr: '|u1', shape: '(3,)', values: [1, 2, 255] }
  assert.equal(decoded(encodeNpy(Uint8Array.of(1, 2, 255))), bytes)
  const big = { descr: '<i4', shape: '(1, 2, 1)', values: [-1, 2 ** 31 - 1] }
  assert.equal(decoded(encodeNpy(BigInt64Array.of(-1n, 2147483647n), [1, 2, 1])), big)
  assert.equal(decoded(encodeNpy(new Float32Array(0), [0, 5])), {
    descr: '<f4',
    shape: '(0, 5)',
    values: [],
  })
  const part = new Float32Array([9, 1, 2, 9]).subarray(1, 3) // at an offset of its buffer
  assert.equal(decoded(encodeNpy(part)).values, [1, 2])
})

test('refuses what has no numbers, or numbers of another shape', () => {
  refuses(() => encodeNpy(new Float32Array(3), [2, 2]), 'encodeNpy: [2, 2] holds 4 values, got 3')
  refuses(
    () => encodeNpy('1' as never),
    `encodeNpy: values must be numbers in a typed array or in arrays, got '1'`,
  )
})

test('numpy loads what saveNpy saved', async ({ gpu }) => {
  const folder = mkdtempSync(join(tmpdir(), 'kindred-npy-'))
  const at = (name: string) => join(folder, `${name}.npy`)
  try {
    await saveNpy(at('f32'), gpu.tensor([1, NaN, -Infinity, 0.5, 5, 6], [2, 3]))
    await saveNpy(at('f16'), half(gpu.tensor([1, 2, 3, -0.5], [1, 4])))
    await saveNpy(at('i32'), gpu.tensor(Int32Array.of(-7, 2 ** 31 - 1), [2]), [2, 1])
    await saveNpy(at('u8'), gpu.tensor(Uint8Array.of(0, 255, 3), [3]))
    const saved = ['f32', 'f16', 'i32', 'u8'].map((name) => decoded(readFileSync(at(name))))
    assert.equal(saved, [
      { descr: '<f4', shape: '(2, 3)', values: [1, NaN, -Infinity, 0.5, 5, 6] },
      { descr: '<f4', shape: '(1, 4)', values: [1, 2, 3, -0.5] },
      { descr: '<i4', shape: '(2, 1)', values: [-7, 2 ** 31 - 1] },
      { descr: '|u1', shape: '(3,)', values: [0, 255, 3] },
    ])
    await refusesAsync(
      () => saveNpy(join(folder, 'nowhere', 'a.npy'), [1]),
      `cannot write ${join(folder, 'nowhere', 'a.npy')}: the folder does not exist`,
    )
    const script = `import numpy as np
for name in ('f32', 'f16', 'i32', 'u8'):
    x = np.load(f'${folder}/{name}.npy')
    print(x.dtype, x.shape, x.tolist())`
    const { status, stdout } = spawnSync('python3', ['-c', script], { encoding: 'utf8' })
    if (status !== 0) return // no numpy here
    assert.equal(stdout.trim().split('\n'), [
      'float32 (2, 3) [[1.0, nan, -inf], [0.5, 5.0, 6.0]]',
      'float32 (1, 4) [[1.0, 2.0, 3.0, -0.5]]',
      'int32 (2, 1) [[-7], [2147483647]]',
      'uint8 (3,) [0, 255, 3]',
    ])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.run()
