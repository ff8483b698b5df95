import { suite } from 'uvu'
import type { Gpu } from '../engine/gpu.ts'
import { openGpu } from '../engine/node.ts'

/** A suite whose tests share one GPU, opened before the first and closed after the last. GPU errors fail the test. */
export function gpuSuite(name: string) {
  const test = suite<{ gpu: Gpu }>(name)
  test.before(async (context) => {
    context.gpu = await openGpu()
  })
  test.after.each((context) => context.gpu.sync())
  test.after((context) => context.gpu?.destroy())
  return test
}
