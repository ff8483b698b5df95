import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type SavedTensor, decodeSafetensors, encodeSafetensors } from '../engine/safetensors.ts'
import { load, save, writeAtomic, writeError } from '../engine/node-files.ts'
import { refuses } from './refusal.ts'

const test = suite<{ dir: string }>('safetensors')
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-'))
})
test.after.each(({ dir }) => rmSync(dir, { recursive: true }))

const tensors = new Map<string, SavedTensor>([
  ['conv1.weight', { shape: [2, 3], data: new Float32Array([1, -0, NaN, Infinity, 1e-45, 0.1]) }],
  ['bytes', { shape: [3], data: new Uint8Array([0, 128, 255]) }], // leaves what follows unaligned
  ['labels', { shape: [2], data: new Int32Array([-1, 2 ** 31 - 1]) }],
  ['ids', { shape: [], data: new BigInt64Array([-(2n ** 63n)]) }],
  ['nothing', { shape: [0, 4], data: new Float32Array(0) }],
])
const metadata = { method: 'simclr', note: '"quoted", ünïcode' }

/** A file with any header, so that wrong ones can be written. */
function fileWith(header: unknown, data: readonly number[] = []): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const file = new Uint8Array(8 + json.length + data.length)
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true)
  file.set(json, 8)
  file.set(data, 8 + json.length)
  return file
}

const hex = (saved: SavedTensor | undefined) =>
  saved && Buffer.from(saved.data.buffer, saved.data.byteOffset, saved.data.byteLength).toString('hex')

async function message(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => assert.unreachable('should have failed') as never,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
}

test('gives back what was saved, bit for bit', async ({ dir }) => {
  const path = join(dir, 'all.safetensors')
  await save(path, tensors, metadata)
  const file = await load(path)
  assert.equal([...file.tensors.keys()], [...tensors.keys()])
  for (const [name, { shape, data }] of tensors) {
    const got = file.tensors.get(name)
    assert.equal(got?.shape, shape, name)
    assert.is(got?.data.constructor, data.constructor, name)
    assert.equal(hex(got), hex({ shape, data }), name)
  }
  assert.equal(file.metadata, metadata)
})

test('saves part of a larger buffer as that part', async ({ dir }) => {
  const path = join(dir, 'part.safetensors')
  const data = new Float32Array([9, 1, 2, 9]).subarray(1, 3)
  await save(path, new Map([['x', { shape: [2], data }]]))
  assert.equal([...((await load(path)).tensors.get('x')?.data ?? [])], [1, 2])
})

test('keeps to the format: aligned data, and offsets that other readers accept', () => {
  const file = encodeSafetensors({ tensors, metadata })
  const length = Number(new DataView(file.buffer).getBigUint64(0, true))
  assert.is(length % 8, 0)
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)))
  assert.equal(header.__metadata__, metadata)
  assert.equal(header.bytes, { dtype: 'U8', shape: [3], data_offsets: [24, 27] })
  assert.is(file.length, 8 + length + 24 + 3 + 8 + 8)
})

test('decodes from any place in memory', () => {
  const file = encodeSafetensors({ tensors, metadata })
  const shifted = new Uint8Array(file.length + 3)
  shifted.set(file, 3)
  assert.equal(
    [...(decodeSafetensors(shifted.subarray(3)).tensors.get('labels')?.data ?? [])],
    [-1, 2147483647],
  )
})

test('names a file that is not there', async ({ dir }) => {
  const path = join(dir, 'none.safetensors')
  assert.is(await message(load(path)), `cannot read ${path}: there is no such file`)
  assert.is(await message(load(dir)), `cannot read ${dir}: it is a folder`)
})

test('refuses a truncated file, wherever it was cut', async ({ dir }) => {
  const path = join(dir, 'cut.safetensors')
  await save(path, tensors, metadata)
  const whole = readFileSync(path).length
  for (const size of [whole - 1, whole - 40, 200, 9, 8, 7, 0]) {
    truncateSync(path, size)
    const told = await message(load(path))
    assert.ok(told.startsWith(path), told)
    assert.match(told, /truncated|at least 8 bytes/)
  }
})

test('notices a flipped bit', async ({ dir }) => {
  const path = join(dir, 'flipped.safetensors')
  await save(path, tensors, metadata)
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 30) ^ 1, bytes.length - 30)
  writeFileSync(path, bytes)
  assert.is(await message(load(path)), `${path}: its contents are not what was saved; the file is damaged`)
})

test('refuses what is not safetensors', async ({ dir }) => {
  const path = join(dir, 'other.safetensors')
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [new TextEncoder().encode('PK\u0003\u0004 a zip file, not ours'), /it is truncated or not safetensors$/],
    [fileWith('{"x": '), /the header is not JSON; the file is damaged or not safetensors$/],
    [fileWith('null'), /not safetensors$/],
    [fileWith({ x: 3 }), /not safetensors$/],
    [
      fileWith({ x: { dtype: 'F64', shape: [1], data_offsets: [0, 8] } }, [0, 0, 0, 0, 0, 0, 0, 0]),
      /x: dtype F64/,
    ],
    [
      fileWith({ x: { dtype: 'F32', shape: [2], data_offsets: [0, 4] } }, [0, 0, 0, 0]),
      /x: 1 values for shape \[2\]/,
    ],
  ]
  for (const [bytes, expected] of cases) {
    writeFileSync(path, bytes)
    const told = await message(load(path))
    assert.ok(told.startsWith(path), told)
    assert.match(told, expected)
  }
})

test('refuses a tensor whose values do not fill its shape', () => {
  const wrong = new Map([['x', { shape: [2, 2], data: new Float32Array(3) }]])
  refuses(
    () => encodeSafetensors({ tensors: wrong, metadata: {} }),
    'safetensors: x has 3 values for shape [2, 2]',
  )
})

test('a failed write says why and leaves the old file and nothing else', async ({ dir }) => {
  const path = join(dir, 'kept')
  await writeAtomic(path, new Uint8Array([1]))
  assert.is(
    await message(writeAtomic(join(path, 'below'), new Uint8Array(1))),
    `cannot write ${join(path, 'below')}: part of the path is a file, not a folder; choose another folder`,
  )
  assert.is(
    await message(writeAtomic(join(dir, 'no', 'x'), new Uint8Array(1))),
    `cannot write ${join(dir, 'no', 'x')}: the folder does not exist`,
  )
  assert.match(await message(writeAtomic(dir, new Uint8Array(1))), /^cannot write .*: /)
  assert.equal(readdirSync(dir), ['kept'])
  assert.equal([...readFileSync(path)], [1])
})

test('says what a system error means', () => {
  const error = (code: string) => Object.assign(new Error(`${code}: as the system has it`), { code })
  const told = (code: string) =>
    writeError('runs/a/x', error(code), { bytes: 44_400_000, retry: 'resume' }).message
  assert.is(told('ENOSPC'), 'cannot write runs/a/x: the disk is full (needs 45 MB); free space, then resume')
  assert.is(told('EROFS'), 'cannot write runs/a/x: the file system is read-only; choose another folder')
  assert.match(told('EACCES'), /no permission to write there/)
  assert.is(told('EIO'), 'cannot write runs/a/x: EIO: as the system has it')
})

test.run()
