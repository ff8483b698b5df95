import { readFileSync, readdirSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { kernel, op } from '../../kernels/op.ts'
import type { Tensor, Variable } from '../../kernels/op.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { reshape } from '../../kernels/shape/reshape.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { threefry, threefry2x32 } from '../../kernels/wgsl/threefry.ts'
import { DeviceLostError, GpuError } from '../../engine/errors.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { openGpu } from '../../engine/node.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('engine')

/** The message of what a promise rejects with. */
async function failure(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('it should have failed')
}

test('a tensor dies with its step, and what the step returns with the next', async ({ gpu }) => {
  const x = gpu.tensor([1, 2], [2])
  let inner = x
  const kept = gpu.step(() => {
    inner = add(x, x)
    return add(inner, x)
  })
  assert.equal([...(await gpu.read(kept))], [3, 6])
  assert.throws(() => add(inner, x), /\[2\] was used after the step it was made in/)
  gpu.step(() => add(x, x))
  assert.throws(() => add(kept, x), /was used after the step it was made in/)
})

test('a step is one submit, allocates nothing and makes no bind group after the first few', ({
  gpu,
}) => {
  const x = gpu.tensor([1, 2, 3], [3])
  const w = gpu.variable([1, 1, 1], [3])
  const step = () =>
    gpu.step(() => {
      const y = sum(mul(relu(add(mul(x, w), gpu.tensor([4, 5, 6], [3]))), x))
      const dw = gpu.backward(y).of(w)
      gpu.tensor([7, 8, 9], [3]) // an upload when there are freed temporaries
      return dw ?? y
    })
  for (let i = 0; i < 6; i++) step()
  const before = gpu.stats()
  for (let i = 0; i < 30; i++) step()
  const after = gpu.stats()
  assert.is(after.bytes, before.bytes)
  assert.is(after.bindGroups, before.bindGroups)
  assert.is(after.pipelines, before.pipelines)
  assert.is(after.submits - before.submits, 30)
})

test('a step that throws has changed nothing, and the next one works', async ({ gpu }) => {
  const w = gpu.variable([1, 2], [2])
  assert.throws(
    () =>
      gpu.step(() => {
        overwrite(gpu, w, 7)
        const y = mul(sum(mul(w, w)), 0.5) // frees temporaries
        gpu.tensor([1, 2], [2]) // and uploads
        gpu.backward(y)
        throw new Error('stop')
      }),
    /^stop$/,
  )
  assert.equal([...(await gpu.read(w))], [1, 2])
  gpu.step(() => overwrite(gpu, w, 7))
  assert.equal([...(await gpu.read(w))], [7, 7])
  assert.throws(() => gpu.step(() => gpu.step(() => {})), /a step cannot run inside a step/)
})

const fill = kernel`
  struct Params { value: f32 }
  @group(0) @binding(0) var<storage, read_write> w: array<f32>;
  @group(0) @binding(1) var<uniform>             p: Params;
  @compute @workgroup_size(64)
  fn fill(@builtin(global_invocation_id) id: vec3u) {
    if (id.x < arrayLength(&w)) { w[id.x] = p.value; }
  }
`
function overwrite(gpu: Gpu, w: Variable, value: number) {
  gpu.run(fill, { updates: [w], params: { value }, groups: [1] })
}

test('what a step returns again lives on', async ({ gpu }) => {
  const x = gpu.tensor([1, 2], [2])
  const a = gpu.step(() => add(x, 1))
  const both = gpu.step(() => [a, add(x, 2)])
  assert.equal([...(await gpu.read(both[0] ?? x)), ...(await gpu.read(both[1] ?? x))], [2, 3, 3, 4])
  gpu.step(() => {})
  assert.throws(() => relu(a), /was used after the step it was made in/)
})

test('a variable changed between forward and backward is told, one that only moved is not', async ({
  gpu,
}) => {
  const [x, w] = [gpu.tensor([1, 2], [2]), gpu.variable([3, 4], [2])]
  const y = mul(mul(x, w), w)
  const view = reshape(w, [2, 1])
  const optimizer = new Sgd({ w })
  assert.equal([...(await gpu.read(view))], [3, 4])
  const gradients = gpu.backward(y)
  assert.equal([...(await gpu.read(gradients.of(w) ?? x))], [6, 16])
  const z = mul(x, w)
  optimizer.step(gradients, 0.5)
  assert.equal([...(await gpu.read(view))], [0, -4]) // views follow
  assert.throws(
    () => gpu.backward(z),
    /^mul: a variable \[2\] was changed between forward and backward; call backward first$/,
  )
})

test('noGrad refuses an async body, backward a cotangent of integers', ({ gpu }) => {
  assert.throws(() => gpu.noGrad(async () => {}), /the body must not be async/)
  const y = relu(gpu.tensor([1, 2], [2]))
  assert.throws(
    () => gpu.backward(y, gpu.tensor(Int32Array.of(1, 2), [2])),
    /must be f32 .* got i32 \[2\]/,
  )
})

test('a mis-shaped call throws before anything is dispatched', async ({ gpu }) => {
  await gpu.sync() // dispatches are counted when they are submitted
  const before = gpu.stats().dispatches
  assert.throws(
    () => add(gpu.tensor([1, 2], [2]), gpu.tensor([1, 2, 3], [3])),
    /add: .*\[2\].*\[3\]/,
  )
  assert.throws(() => gpu.tensor([1, 2, 3], [2, 2]), /^tensor: \[2, 2\] holds 4 values, got 3$/)
  refuses(
    () => relu(gpu.tensor(Uint8Array.of(1, 2, 3, 4), [4])),
    'relu: x must be f32 or f16, got u8 [4]',
  )
  await gpu.sync()
  assert.is(gpu.stats().dispatches, before)
})

test('WGSL that does not compile names its kernel and line, at the next await and ever after', async () => {
  const gpu = await openGpu()
  const broken = kernel`
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @compute @workgroup_size(1)
  fn brokenKernel() { y[0] = x[0] + nothing; }
`
  const brokenOp = op<[x: Tensor]>({
    name: 'broken',
    shape: (_, x) => x,
    forward: (run, _, x) => run(broken, { reads: [x], makes: [x.shape], groups: [1] }),
  })
  const y = brokenOp({}, gpu.tensor([1], [1]))
  const error = await failure(gpu.read(y))
  assert.instance(error, GpuError)
  assert.match(error.message, /brokenKernel: WGSL error at line 5: .*nothing/)
  assert.match(error.message, /5 \|   fn brokenKernel\(\) { y\[0\] = x\[0\] \+ nothing; }/)
  assert.throws(() => brokenOp({}, gpu.tensor([1], [1])), /brokenKernel: WGSL error/)
  gpu.destroy()
})

test('losing the device is an error of its own, at reads and at calls', async () => {
  const gpu = await openGpu()
  const x = gpu.tensor([1], [1])
  gpu.device.destroy()
  await gpu.device.lost
  assert.instance(await failure(gpu.read(x)), DeviceLostError)
  assert.throws(() => relu(x), /the GPU device was lost \(destroyed\)/)
})

test("an app's own device stays the app's: not destroyed, no handler taken", async ({ gpu }) => {
  const theirs = gpu.device
  const handler = theirs.onuncapturederror
  const guest = new Gpu(theirs)
  assert.equal([...(await guest.read(relu(guest.tensor([-1, 2], [2]))))], [0, 2])
  assert.throws(() => add(guest.tensor([1], [1]), gpu.tensor([1], [1])), /belongs to another Gpu/)
  guest.destroy()
  assert.throws(() => guest.tensor([1], [1]), /this Gpu was destroyed/)
  assert.is(theirs.onuncapturederror, handler)
  assert.equal([...(await gpu.read(gpu.tensor([3], [1])))], [3])
})

test('a tensor larger than the adapter can bind is refused with its size', ({ gpu }) => {
  const most = gpu.device.limits.maxStorageBufferBindingSize
  const shape = [most / 4 + 1]
  refuses(
    () => gpu.run(fill, { makes: [shape], params: { value: 0 }, groups: [1] }),
    `a tensor [${most / 4 + 1}] needs ${most + 4} bytes and this adapter binds at most ${most}; use a smaller batch`,
  )
})

const draws = kernel`
  struct Params { k0: u32, k1: u32 }
  @group(0) @binding(0) var<storage, read_write> bits: array<vec2u>;
  @group(0) @binding(1) var<uniform>             p:    Params;
  ${threefry}
  @compute @workgroup_size(64)
  fn draws(@builtin(global_invocation_id) id: vec3u) {
    if (id.x < arrayLength(&bits)) { bits[id.x] = threefry(vec2u(p.k0, p.k1), vec2u(id.x, 7u)); }
  }
`

test('WGSL and TypeScript draw the same bits', async ({ gpu }) => {
  const key = [0x12345678, 0xdeadbeef] as const
  const bytes = gpu.variable(new Uint8Array(800), [100, 8])
  gpu.run(draws, { updates: [bytes], params: { k0: key[0], k1: key[1] }, groups: [2] })
  const got = new Uint32Array(Uint8Array.from(await gpu.read(bytes)).buffer)
  for (let i = 0; i < 100; i++)
    assert.equal([got[2 * i], got[2 * i + 1]], Array.from(threefry2x32(key, [i, 7])))
  // Random123's known answers (kat_vectors, threefry2x32 20 rounds)
  assert.equal(threefry2x32([0, 0], [0, 0]), [0x6b200159, 0x99ba4efe])
  assert.equal(
    threefry2x32([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3]),
    [0xc4923a9c, 0x483df7a0],
  )
})

test('no WGSL variable goes without an initialiser', () => {
  // Tint gives `var x: T;` inside a loop the value of the last iteration, not zero
  const files = readdirSync('kernels', { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  )
  assert.ok(files.length > 100, `${files.length} files`)
  for (const file of files) {
    const lines = readFileSync(`kernels/${file}`, 'utf8').split('\n')
    const bare = lines.filter((line) => /^\s*var \w+\s*:[^=]+;/.test(line))
    assert.equal(bare, [], `kernels/${file}`)
  }
})

test.run()
