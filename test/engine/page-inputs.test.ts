// What a page can pass wrongly to the engine: devices, checkpoints, pages without a GPU.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DeviceLostError } from '../../engine/errors.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { openGpu as openInNode } from '../../engine/node.ts'
import { openGpu } from '../../engine/open.ts'
import { decodeSafetensors, encodeSafetensors } from '../../engine/safetensors.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { call, refusesAll } from '../fixtures/misuse.ts'

const test = suite('what a page passes')

/** Sets members of the global object until `body` ends. */
async function withGlobals(values: object, body: () => Promise<void>) {
  const names = Object.keys(values)
  const before = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name))
  for (const [name, value] of Object.entries(values))
    Object.defineProperty(globalThis, name, { value, configurable: true })
  try {
    await body()
  } finally {
    for (const [i, name] of names.entries()) {
      const old = before[i]
      if (old) Object.defineProperty(globalThis, name, old)
      else Reflect.deleteProperty(globalThis, name)
    }
  }
}

test('a page without WebGPU, or without an adapter, is told what to do', async () => {
  const none = { gpu: { requestAdapter: async () => null } }
  await withGlobals({ navigator: none }, () =>
    refusesAll([
      [
        'no adapter',
        () => openGpu(),
        'no WebGPU adapter: this browser has WebGPU, and found no GPU that it may use; switch on hardware acceleration in its settings, and update the graphics driver',
      ],
    ]),
  )
  await withGlobals({ navigator: {}, isSecureContext: false }, () =>
    refusesAll([
      [
        'http',
        () => openGpu(),
        'no WebGPU here: browsers give it to secure pages alone; serve over https',
      ],
    ]),
  )
})

test('a destroyed device gives DeviceLostError, and no device words', async () => {
  const owner = await openInNode()
  owner.device.destroy()
  const gpu = new Gpu(owner.device)
  let failure: unknown
  await gpu.read(gpu.tensor([1])).catch((error: unknown) => (failure = error))
  assert.instance(failure, DeviceLostError)
  assert.throws(() => gpu.tensor([1]), /the GPU device was lost \(destroyed\)/)
  await refusesAll([
    [
      'an adapter',
      () => call((d: unknown) => new Gpu(d as GPUDevice), {}),
      'Gpu: device must be a GPUDevice, got an empty object',
    ],
    [
      'no device',
      () => call((d: unknown) => new Gpu(d as GPUDevice)),
      'Gpu: device must be a GPUDevice, got undefined',
    ],
  ])
})

test('two Gpus on one device work side by side, and do not mix', async () => {
  const owner = await openInNode()
  const [a, b] = [new Gpu(owner.device), new Gpu(owner.device)]
  const [x, y] = [a.tensor([1, 2]), b.tensor([3, 4])]
  assert.throws(() => add(x, y), /belongs to another Gpu/)
  assert.equal([...(await a.read(add(x, x)))], [2, 4])
  a.destroy()
  assert.equal([...(await b.read(add(y, y)))], [6, 8])
  b.destroy()
  owner.destroy()
})

test('a checkpoint is bytes of either kind, and a hostile one is refused', async () => {
  const tensors = new Map([['w', { shape: [2], data: Float32Array.of(1, 2) }]])
  const bytes = encodeSafetensors({ tensors, metadata: {} })
  for (const file of [bytes, bytes.buffer, structuredClone(bytes)])
    assert.equal(decodeSafetensors(file).tensors, tensors)
  const claiming = (size: bigint, length: number) => {
    const file = new Uint8Array(length)
    new DataView(file.buffer).setBigUint64(0, size, true)
    return file
  }
  await refusesAll([
    [
      'a blob',
      () => call(decodeSafetensors, new Blob([bytes])),
      'decodeSafetensors: file must be the bytes of a file, a Uint8Array or an ArrayBuffer, got a Blob',
    ],
    [
      'a view',
      () => call(decodeSafetensors, new DataView(bytes.buffer)),
      'decodeSafetensors: file must be the bytes of a file, a Uint8Array or an ArrayBuffer, got a DataView of 72 bytes',
    ],
    [
      'nothing',
      () => call(decodeSafetensors, new ArrayBuffer(0)),
      'safetensors: a safetensors file has at least 8 bytes, got 0',
    ],
    [
      'a claim',
      () => decodeSafetensors(claiming(2n ** 63n, 16)),
      'safetensors: the header claims 9223372036854776000 bytes, the file holds 16; it is truncated or not safetensors',
    ],
    [
      'a long header',
      () => decodeSafetensors(claiming(100_000_001n, 100_000_009)),
      'safetensors: a header has at most 100000000 bytes, got 100000001',
    ],
    [
      'a deep header',
      () => decodeSafetensors(deep()),
      'safetensors: the header is not JSON; the file is damaged or not safetensors',
    ],
    [
      'half of it',
      () => decodeSafetensors(bytes.slice(0, bytes.length - 4)),
      'safetensors: w: its data ends at byte 8, the file has 4; the file is truncated',
    ],
  ])
})

/** A file whose header nests lists without end. */
function deep(): Uint8Array {
  const json = new TextEncoder().encode(`{"w":${'['.repeat(1e6)}`)
  const file = new Uint8Array(8 + json.length)
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true)
  file.set(json, 8)
  return file
}

test.run()
