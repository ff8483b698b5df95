// Kernels that are compiled ahead, by several who ask for them, and those that do not compile.

import * as assert from 'uvu/assert'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { Pipelines } from '../../engine/pipelines.ts'
import { kernel } from '../../kernels/op.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('pipelines')

const one = kernel`
  @group(0) @binding(0) var<storage, read_write> x: array<f32>;
  @compute @workgroup_size(1)
  fn one() { x[0] = 1.0; }
`
const wrong = kernel`
  @group(0) @binding(0) var<storage, read_write> x: array<f32>;
  @compute @workgroup_size(1)
  fn wrong() { x[0] = absent; }
`

/** A step of a kernel that does not compile. */
function wrongStep(gpu: Gpu) {
  const x = gpu.variable([1])
  return () => {
    gpu.run(wrong, { updates: [x], groups: [1] })
    return x
  }
}

const messageOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error: unknown) => (error as Error).message,
  )

test('everyone who compiles ahead waits for a kernel, whoever asked first', async ({ gpu }) => {
  const pipelines = new Pipelines(
    gpu.device,
    () => {},
    () => true,
  )
  const ask = () => void pipelines.get(one)
  const first = pipelines.compileAhead(ask)
  await pipelines.compileAhead(ask)
  assert.is.not(pipelines.get(one).compiled, null)
  await first
  assert.is(pipelines.size, 1)
})

test('everyone who compiles ahead is told of a kernel that does not compile', async ({
  gpu: { device },
}) => {
  const gpu = new Gpu(device)
  const body = wrongStep(gpu)
  const told = [gpu.capture(body), gpu.capture(body)].map((each) => messageOf(each.warm()))
  for (const message of await Promise.all(told)) assert.match(message, /^wrong: .*absent/)
  assert.is(await messageOf(gpu.sync()), 'none')
  gpu.destroy()
})

test('a step tells of a kernel that does not compile, though nobody waits for warm', async ({
  gpu: { device },
}) => {
  const gpu = new Gpu(device)
  const body = wrongStep(gpu)
  const warming = messageOf(gpu.capture(body).warm())
  body()
  assert.match(await messageOf(gpu.sync()), /^wrong: .*absent/)
  assert.match(await warming, /^wrong: .*absent/)
  gpu.destroy()
})

test.run()
