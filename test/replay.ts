import * as assert from 'uvu/assert'
import type { Tensor } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'

/** Asserts that an op and its gradients give the same bits when they are replayed, unless they cannot be: ops that put a
 *  caller's numbers on the GPU. Returns whether they were. */
export async function replaysAlike(
  gpu: Gpu,
  op: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  cotangent: Tensor,
): Promise<boolean> {
  const body = (dy: Tensor, ...x: Tensor[]) => {
    const y = op(...x)
    const gradients = gpu.backward(y, dy)
    return [y, ...x.flatMap((t) => gradients.get(t) ?? [])]
  }
  const captured = gpu.capture(body)
  const eager = await bits(gpu, body(cotangent, ...inputs))
  for (let call = 0; call < 4; call++)
    assert.equal(
      await bits(gpu, captured.run(cotangent, ...inputs)),
      eager,
      `call ${call}: ${captured.reason}`,
    )
  const { replays, reason } = captured
  assert.is(replays, reason === null ? 2 : 0, `${reason}`)
  if (reason !== null)
    assert.match(reason, /^a tensor \[[\d, ]*\] was made of values in the step; pass it as an input$/)
  captured.release()
  return reason === null
}

const bits = (gpu: Gpu, tensors: readonly Tensor[]) =>
  Promise.all(tensors.map(async (t) => [...new Uint32Array((await gpu.read(t)).buffer)]))
