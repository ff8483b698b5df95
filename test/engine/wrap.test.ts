// An app's buffer as a variable, and a tensor's buffer in an app's commands, without copies.

import * as assert from 'uvu/assert'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { GpuError } from '../../engine/errors.ts'
import type { Tensor } from '../../kernels/op.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { assign } from '../../kernels/state/assign.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('wrap')

const [STORAGE, COPIED, VERTEX, MAP_READ] = [0x80, 0xc, 0x20, 0x1]

const bufferOf = (device: GPUDevice, size = 512, usage = STORAGE | COPIED) =>
  device.createBuffer({ label: 'of an app', size, usage })

/** The bytes of an app's buffer, by the app's own commands. */
async function bytesIn(device: GPUDevice, from: GPUBuffer, offset = 0, size = from.size) {
  const to = device.createBuffer({ size, usage: MAP_READ | 0x8 })
  const encoder = device.createCommandEncoder()
  encoder.copyBufferToBuffer(from, offset, to, 0, size)
  device.queue.submit([encoder.finish()])
  await to.mapAsync(1)
  const bytes = to.getMappedRange().slice(0)
  to.destroy()
  return bytes
}

test("kernels read an app's buffer, and write to it", async ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  const buffer = bufferOf(device)
  device.queue.writeBuffer(buffer, 256, Float32Array.of(1, 2, 3))
  const wrapped = gpu.wrap(buffer, [3], 'f32', { offset: 256 })
  assert.equal([...(await gpu.read(add(wrapped, gpu.tensor([10, 20, 30]))))], [11, 22, 33])
  assign(wrapped, gpu.tensor([7, NaN, 9]))
  await gpu.sync()
  const floats = new Float32Array(await bytesIn(device, buffer, 256, 12))
  assert.equal([...floats], [7, NaN, 9])
  gpu.write(wrapped, [4, 5, 6])
  assert.equal([...new Float32Array(await bytesIn(device, buffer, 256, 12))], [4, 5, 6])
  const bytes = gpu.wrap(buffer, [2, 4], 'u8')
  device.queue.writeBuffer(buffer, 0, Uint8Array.of(1, 2, 3, 4, 250, 255, 0, 0))
  assert.equal([...(await gpu.read(bytes))], [1, 2, 3, 4, 250, 255, 0, 0])
  gpu.destroy()
})

test("an app's buffer outlives the Gpu, and is in no pool", async ({ gpu: { device } }) => {
  for (let round = 0; round < 3; round++) {
    const gpu = new Gpu(device)
    const before = gpu.stats()
    const buffer = bufferOf(device)
    const wrapped = gpu.wrap(buffer, [4], 'f32')
    gpu.write(wrapped, [1, 2, 3, 4])
    assert.is(gpu.stats().bytes, before.bytes)
    assert.is(gpu.stats().buffers, before.buffers)
    if (round > 0) {
      gpu.free(wrapped)
      assert.throws(() => add(wrapped, wrapped), /was used after gpu.free gave its memory back/)
      const again = gpu.wrap(buffer, [2, 2], 'f32')
      assert.equal([...(await gpu.read(again))], [1, 2, 3, 4])
    }
    const other = gpu.variable(new Float32Array(128)) // of the same size, so from the same list
    assert.is.not(gpu.bufferOf(other).buffer, buffer)
    gpu.destroy()
    assert.equal([...new Float32Array(await bytesIn(device, buffer, 0, 16))], [1, 2, 3, 4])
    buffer.destroy()
  }
})

test('a captured step reads what the app wrote since', async ({ gpu }) => {
  const { device } = gpu
  const buffer = bufferOf(device)
  const out = bufferOf(device, 256, STORAGE | VERTEX | COPIED)
  const [x, y] = [gpu.wrap(buffer, [2], 'f32'), gpu.wrap(out, [2], 'f32')]
  const step = gpu.capture((given: Tensor) => {
    const doubled = add(mul(x, given), given)
    assign(y, doubled)
    return sum(doubled)
  })
  for (let t = 1; t <= 6; t++) {
    device.queue.writeBuffer(buffer, 0, Float32Array.of(t, 10 * t))
    const total = await gpu.item(step.run(x)) // as an input it is used in place
    assert.is(total, t * t + t + 100 * t * t + 10 * t)
    const drawn = new Float32Array(await bytesIn(device, out, 0, 8))
    assert.equal([...drawn], [t * t + t, 100 * t * t + 10 * t])
  }
  assert.is(step.reason, null)
  assert.ok(step.replays >= 3, `${step.replays} replays`)
  gpu.free(step, x, y)
  buffer.destroy()
  out.destroy()
})

test('two wraps of one buffer are one memory', async ({ gpu }) => {
  const buffer = bufferOf(gpu.device)
  const [a, b] = [gpu.wrap(buffer, [4], 'f32'), gpu.wrap(buffer, [4], 'f32', { offset: 256 })]
  gpu.write(a, [1, 2, 3, 4])
  assign(b, a) // WebGPU forbids binding the buffer twice, so a copy is read
  assert.equal([...(await gpu.read(b))], [1, 2, 3, 4])
  gpu.free(a)
  assert.equal([...(await gpu.read(b))], [1, 2, 3, 4])
  gpu.free(b)
})

test("one Gpu's tensor is another's variable, on one device", async ({ gpu }) => {
  const other = new Gpu(gpu.device)
  const mine = gpu.variable([1, 2, 3])
  const { buffer, offset } = gpu.bufferOf(mine)
  const theirs = other.wrap(buffer, [3], 'f32', { offset })
  assign(theirs, mul(theirs, other.tensor([2, 2, 2])))
  await other.sync()
  assert.equal([...(await gpu.read(mine))], [2, 4, 6])
  other.destroy()
  assert.equal([...(await gpu.read(mine))], [2, 4, 6])
  gpu.free(mine)
})

test("a tensor's buffer holds its values, and a variable's stays", async ({ gpu }) => {
  const { device } = gpu
  const weights = gpu.variable([1, 2, 3, 4])
  const optimizer = new Sgd({ weights }, { momentum: 0 })
  const { buffer, offset, size } = gpu.bufferOf(weights)
  assert.is(size, 16)
  assert.ok((buffer.usage & VERTEX) !== 0 && (buffer.usage & 0x4) !== 0)
  const step = gpu.capture(() => {
    const loss = sum(weights)
    optimizer.step(gpu.backward(loss), () => 1)
    return loss
  })
  for (let t = 1; t <= 4; t++) {
    step.run()
    assert.equal(
      [...new Float32Array(await bytesIn(device, buffer, offset, size))],
      [1 - t, 2 - t, 3 - t, 4 - t],
    )
  }
  assert.equal(gpu.bufferOf(weights), { buffer, offset, size })
  const made = add(gpu.tensor([1, 2]), gpu.tensor([3, 4])) // not yet submitted
  const of = gpu.bufferOf(made)
  const floats = new Float32Array(await bytesIn(device, of.buffer, of.offset, of.size))
  assert.equal([...floats], [4, 6])
  gpu.free(optimizer, weights, step)
})

test('a buffer that an app destroyed is a GpuError at the next read', async ({
  gpu: { device },
}) => {
  const gpu = new Gpu(device)
  const buffer = bufferOf(device)
  const wrapped = gpu.wrap(buffer, [4], 'f32')
  buffer.destroy()
  let failure: unknown
  await gpu.read(add(wrapped, wrapped)).catch((error: unknown) => (failure = error))
  assert.instance(failure, GpuError)
  assert.match(String(failure), /of an app/)
  gpu.destroy()
})

test('what cannot be wrapped is refused in words', async ({ gpu }) => {
  const { device } = gpu
  const buffer = bufferOf(device)
  const wrap = (...given: readonly unknown[]) => call(gpu.wrap.bind(gpu), ...given)
  const readable = bufferOf(device, 512, STORAGE)
  const mapped = device.createBuffer({ size: 16, usage: STORAGE, mappedAtCreation: true })
  const own = gpu.variable([1])
  await refusesAll([
    [
      'no buffer',
      () => wrap(new ArrayBuffer(8), [2], 'f32'),
      'Gpu.wrap: buffer must be a GPUBuffer, got an ArrayBuffer',
    ],
    [
      'no shape',
      () => wrap(buffer, 4, 'f32'),
      'Gpu.wrap: shape must be a shape, an array of whole numbers from 0 on, got 4',
    ],
    [
      'no dtype',
      () => wrap(buffer, [4], 'float32'),
      "Gpu.wrap: dtype must be 'f32', 'i32' or 'u8', got 'float32'",
    ],
    [
      'a vertex buffer',
      () => wrap(bufferOf(device, 512, VERTEX), [4], 'f32'),
      'Gpu.wrap: the buffer must have the usage STORAGE, as kernels bind it, got VERTEX; COPY_SRC lets it be read, COPY_DST written by gpu.write',
    ],
    [
      'a small one',
      () => wrap(buffer, [128], 'f32', { offset: 256 }),
      'Gpu.wrap: f32 [128] at byte 256 needs a buffer of 768 bytes, got one of 512',
    ],
    [
      'bytes that end within a word, whose rest a write would lose',
      () => wrap(buffer, [3], 'u8'),
      'Gpu.wrap: u8 [3] has 3 bytes, and whole words of four are written, so the bytes of yours behind it would be lost; wrap a multiple of 4, such as [4], or use a tensor',
    ],
    [
      'an odd offset',
      () => wrap(buffer, [1], 'f32', { offset: 3 }),
      `Gpu.wrap: offset must be a multiple of this device's ${device.limits.minStorageBufferOffsetAlignment} bytes, got 3`,
    ],
    [
      'a mapped one',
      () => wrap(mapped, [4], 'f32'),
      'Gpu.wrap: the buffer is mapped; call its unmap() first',
    ],
    [
      "this Gpu's own",
      () => wrap(gpu.bufferOf(own).buffer, [1], 'f32'),
      "Gpu.wrap: the buffer is this Gpu's own, of a tensor; use the tensor itself",
    ],
    [
      'a write without COPY_DST',
      () => gpu.write(gpu.wrap(readable, [1], 'f32'), [1]),
      'a buffer that gpu.wrap was given has the usages STORAGE, and a copy into it needs COPY_DST too',
    ],
    [
      'a read without COPY_SRC',
      () => gpu.read(gpu.wrap(readable, [1], 'f32')),
      'a buffer that gpu.wrap was given has the usages STORAGE, and a copy from it needs COPY_SRC too',
    ],
    [
      'an optimizer of it',
      () => new Sgd({ w: gpu.wrap(buffer, [4], 'f32') }),
      "Gpu.flatten: a variable in an app's buffer cannot be moved; train a variable of gpu.variable, and assign it to the app's after each step",
    ],
    [
      'within a step',
      () => gpu.step(() => void gpu.bufferOf(own)),
      'Gpu.bufferOf: within a step a tensor has no lasting place; return it, and ask after the step',
    ],
  ])
  mapped.unmap()
})

test.run()
