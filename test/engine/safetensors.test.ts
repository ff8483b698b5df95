import { execFileSync } from 'node:child_process'
import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type SavedTensor, decodeSafetensors, encodeSafetensors } from '../../engine/safetensors.ts'
import { load, makeFolder, save, writeAtomic, writeError } from '../../engine/node-files.ts'
import { reasonOf } from '../../kernels/reason-of.ts'
import { refuses } from '../fixtures/refusal.ts'

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
  const json = new TextEncoder().encode(
    typeof header === 'string' ? header : JSON.stringify(header),
  )
  const file = new Uint8Array(8 + json.length + data.length)
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true)
  file.set(json, 8)
  file.set(data, 8 + json.length)
  return file
}

const hex = (saved: SavedTensor | undefined) =>
  saved &&
  Buffer.from(saved.data.buffer, saved.data.byteOffset, saved.data.byteLength).toString('hex')

async function message(promise: Promise<unknown>): Promise<string> {
  return promise.then(() => assert.unreachable('should have failed') as never, reasonOf)
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
  assert.is(
    await message(load(path)),
    `${path}: its contents are not what was saved; the file is damaged`,
  )
})

test('refuses what is not safetensors', async ({ dir }) => {
  const path = join(dir, 'other.safetensors')
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [
      new TextEncoder().encode('PK\u0003\u0004 a zip file, not ours'),
      /it is truncated or not safetensors$/,
    ],
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

test('says what is wrong with a header, and of which tensor', () => {
  const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = 'F32') => ({
    dtype,
    shape,
    data_offsets: [begin, end],
  })
  const damaged = 'the file is damaged or not safetensors'
  const refused = (header: unknown, bytes: number, expected: string) =>
    refuses(() => decodeSafetensors(fileWith(header, Array(bytes).fill(0)), 'f'), expected)
  const rule = `f: __metadata__ must be an object of texts, got`
  refused({ __metadata__: null }, 0, `${rule} null; ${damaged}`)
  refused({ __metadata__: ['a'] }, 0, `${rule} a list; ${damaged}`)
  refused({ __metadata__: { step: 3 } }, 0, `${rule} 3 for 'step'; ${damaged}`)
  refused(
    { a: entry(0, 8), b: entry(4, 12) },
    12,
    `f: b: its data begins at byte 4 and overlaps that of a, which ends at byte 8; ${damaged}`,
  )
  refused(
    { b: entry(8, 12), a: entry(0, 4) },
    12,
    `f: b: its data begins at byte 8, 4 bytes after the end of a: a gap; ${damaged}`,
  )
  refused(
    { a: entry(4, 8) },
    8,
    `f: a: its data begins at byte 4, 4 bytes after the end of the header: a gap; ${damaged}`,
  )
  refused({ a: entry(0, 4) }, 7, `f: 3 bytes follow the data of a, the last; ${damaged}`)
  refused({}, 1, `f: 1 bytes follow the data of the header, the last; ${damaged}`)
  refused(
    { a: entry(0, 5, [1]) },
    5,
    `f: a: its 5 bytes must be whole values of F32, 4 bytes each; ${damaged}`,
  )
  refused(
    { 'a\n\u001b[31m': entry(4, 0, [1]) },
    4,
    `f: a\\n\\x1b[31m: data_offsets must be a begin and an end not before it, got [4,0]; ${damaged}`,
  )
  refused(
    { a: { ...entry(0, 4), shape: [-1] } },
    4,
    `f: a: shape must be a list of whole numbers from 0 on, got [-1]; ${damaged}`,
  )
  refused(
    { a: { dtype: 'F32', shape: [1] } },
    4,
    `f: a: data_offsets must be two whole numbers from 0 on, got nothing; ${damaged}`,
  )
  const one = JSON.stringify(entry(0, 4))
  for (const header of [`{"a":${one},"a":${one}}`, `{"a":${one}, "\\u0061" : ${one}}`])
    refused(header, 4, `f: the header must have each name once, has 'a' twice; ${damaged}`)
  refused(
    `{"__metadata__":{"k":"1","k":"2"}}`,
    0,
    `f: the header must have each name once, has 'k' twice; ${damaged}`,
  )
  const twins = decodeSafetensors(
    fileWith(`{"__metadata__":{"a":"\\"a\\":{"},"a":${one}}`, [0, 0, 0, 0]),
  )
  assert.equal([...twins.tensors.keys()], ['a'])
})

test('halves of both kinds are read as the numbers that they are', () => {
  const halves = [
    0x0000, 0x8000, 0x3c00, 0xc500, 0x7bff, 0x0001, 0x03ff, 0x0400, 0x7c00, 0xfc00, 0x7e00,
  ]
  const brains = [0x3f80, 0xc0a0, 0x0001, 0x7f7f, 0xff80, 0x8000]
  const bytes = new Uint8Array(new Uint16Array([...halves, ...brains]).buffer)
  const { tensors: read } = decodeSafetensors(
    fileWith(
      {
        half: { dtype: 'F16', shape: [11], data_offsets: [0, 22] },
        brain: { dtype: 'BF16', shape: [2, 3], data_offsets: [22, 34] },
      },
      [...bytes],
    ),
  )
  const values = [
    0,
    -0,
    1,
    -5,
    65504,
    2 ** -24,
    1023 * 2 ** -24,
    2 ** -14,
    Infinity,
    -Infinity,
    NaN,
  ]
  assert.is(hex(read.get('half')), hex({ shape: [11], data: new Float32Array(values) }))
  const wide = new Float32Array(new Uint32Array(brains.map((bits) => bits << 16)).buffer)
  assert.is(hex(read.get('brain')), hex({ shape: [2, 3], data: wide }))
})

test('any name is kept, in its place, and the metadata has its own', () => {
  const zero = { shape: [1], data: new Float32Array(1) }
  const odd = new Map([...['b', '__proto__', '7', 'a\nb'].map((name) => [name, zero] as const)])
  const file = encodeSafetensors({ tensors: odd, metadata: {} })
  assert.equal([...decodeSafetensors(file).tensors.keys()].sort(), [...odd.keys()].sort())
  refuses(
    () => encodeSafetensors({ tensors: new Map([['__metadata__', zero]]), metadata: {} }),
    'safetensors: a tensor must not be called __metadata__, the metadata are; give it another name',
  )
})

test('says what stands where a file should', async ({ dir }) => {
  const path = (name: string) => join(dir, name)
  const told = (name: string) => message(load(path(name)))
  symlinkSync(path('nowhere'), path('dangling'))
  assert.is(
    await told('dangling'),
    `cannot read ${path('dangling')}: it is a link to what does not exist`,
  )
  symlinkSync(path('circle'), path('circle'))
  assert.is(await told('circle'), `cannot read ${path('circle')}: its links lead in a circle`)
  writeFileSync(path('file'), '')
  const below = join('file', 'x')
  assert.is(
    await told(below),
    `cannot read ${path(below)}: part of the path is a file, not a folder`,
  )
  assert.is(
    await told('a\n\u001b[2J'),
    `cannot read ${path('a')}\\n\\x1b[2J: there is no such file`,
  )
  if (process.platform === 'win32') return
  execFileSync('mkfifo', [path('pipe')])
  assert.is(
    await told('pipe'),
    `cannot read ${path('pipe')}: it is a pipe, a socket or a device, and must be a file`,
  )
})

test('a folder is made with those above it, or the reason told', async ({ dir }) => {
  await makeFolder(join(dir, 'a/b/c'))
  await makeFolder(join(dir, 'a/b/c'))
  writeFileSync(join(dir, 'file'), '')
  const under = join(dir, 'file/x')
  assert.is(
    await message(makeFolder(under)),
    `cannot write ${under}: part of the path is a file, not a folder; choose another folder`,
  )
  symlinkSync(join(dir, 'circle'), join(dir, 'circle'))
  assert.is(
    await message(makeFolder(join(dir, 'circle/x'))),
    `cannot write ${join(dir, 'circle/x')}: its links lead in a circle; choose another folder`,
  )
  const told = (name: string) => message(makeFolder(join(dir, name)))
  symlinkSync('nowhere', join(dir, 'gone'))
  assert.is(
    await told('gone'),
    `cannot write ${join(dir, 'gone')}: there is a link to what does not exist; choose another folder`,
  )
  assert.is(
    await told('file'),
    `cannot write ${join(dir, 'file')}: there is a file, not a folder; choose another`,
  )
  if (process.platform !== 'linux') return
  assert.is(
    await message(makeFolder('/proc/kindred/run')),
    'cannot write /proc/kindred/run: no folder can be made there; choose another folder',
  )
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
  const error = (code: string) =>
    Object.assign(new Error(`${code}: as the system has it`), { code })
  const told = (code: string) =>
    writeError('runs/a/x', error(code), { bytes: 44_400_000, retry: 'resume' }).message
  assert.is(
    told('ENOSPC'),
    'cannot write runs/a/x: the disk is full (needs 45 MB); free space, then resume',
  )
  assert.is(
    told('EROFS'),
    'cannot write runs/a/x: the file system is read-only; choose another folder',
  )
  assert.match(told('EACCES'), /no permission to write there/)
  assert.match(told('ELOOP'), /: its links lead in a circle; choose another folder$/)
  assert.is(told('EIO'), 'cannot write runs/a/x: EIO: as the system has it')
})

test.run()
