// Tests random programs around a captured step: calls of several signatures, and between them
// reads, writes, new and freed variables, moved ones, steps by hand and releases. They must give
// the bits that the same program gives without replays.

import * as assert from 'uvu/assert'
import type { Tensor, Variable } from '../../../kernels/op.ts'
import { add } from '../../../kernels/elementwise/add.ts'
import { affine } from '../../../kernels/wgsl/affine.ts'
import { mul } from '../../../kernels/elementwise/mul.ts'
import { sum } from '../../../kernels/reduce/sum.ts'
import type { CaptureOptions } from '../../../engine/capture/capture.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { Sgd } from '../../../engine/optim/optimizer.ts'
import { random } from '../../fixtures/check.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const [test, full] = quickAndFull(gpuSuite('random programs of captured steps'))

const vector = (n: number, seed: number) => ({ values: random(n, seed), shape: [n] })

/** A captured step that learns w, with what a program may do to it. */
class Program {
  readonly told: number[][] = []
  readonly #gpu: Gpu
  readonly #w: Variable
  #bias: Variable
  #optimizer: Sgd
  #returned: readonly Tensor[] = [] // by the last step
  #step = 0
  readonly captured

  constructor(gpu: Gpu, options: CaptureOptions) {
    this.#gpu = gpu
    this.#w = gpu.variable(random(4, 1), [4])
    this.#bias = gpu.variable(random(4, 2), [4])
    this.#optimizer = new Sgd({ w: this.#w }, { momentum: 0.9 })
    this.captured = gpu.capture((x: Tensor, bias: Variable, kind: number, more?: Tensor) => {
      const h = mul(affine(x, 2, 0.5), add(this.#w, bias))
      const loss = sum(more ? mul(h, more) : h)
      gpu.everyStep(() => this.#step++)
      if (kind === 0) return [loss, x]
      this.#optimizer.step(gpu.backward(loss), () => 0.1 / (1 + this.#step))
      return [affine(h, kind, 0), loss, this.#w]
    }, options)
  }

  call(draw: (n: number) => number, i: number) {
    const old = this.#returned.find((t) => t.shape.join() === '4' && t !== this.#w)
    const fresh = draw(6) === 0 ? { ...vector(8, i), shape: [2, 4] } : vector(4, i)
    const more = draw(3) === 0 ? [vector(4, i + 1)] : []
    const x = draw(4) === 0 && old ? old : fresh
    this.#returned = this.captured.run(x, this.#bias, draw(3), ...more)
  }

  /** What happens between calls. */
  readonly acts: readonly ((i: number) => unknown)[] = [
    (i) => this.#gpu.write(this.#w, random(4, i)),
    (i) => (this.#bias = this.#gpu.variable(random(4, i), [4])),
    (i) => {
      this.#gpu.free(this.#bias)
      this.#bias = this.#gpu.variable(random(4, i), [4])
    },
    () => (this.#optimizer = new Sgd({ w: this.#w }, { momentum: 0.9 })), // moves w
    () => (this.#returned = [this.#gpu.step(() => add(this.#w, this.#bias))]),
    () => this.#gpu.noGrad(() => void affine(this.#w, 2, 0)),
    () => {
      this.captured.release()
      this.#returned = []
    },
  ]

  async tell() {
    for (const t of [...this.#returned, this.#w, this.#bias])
      this.told.push([...(await this.#gpu.read(t))])
  }

  free() {
    this.captured.release()
    this.#gpu.free(this.#w, this.#bias, this.#optimizer)
  }
}

/** Runs a random program, the same one for the same seed. */
async function run(gpu: Gpu, seed: number, options: CaptureOptions) {
  const draws = [...random(2000, seed)].map((v) => (v + 1) / 2)
  const draw = (n: number) => Math.min(n - 1, Math.floor((draws.pop() ?? 0) * n))
  const program = new Program(gpu, options)
  for (let i = 0; i < 160; i++) {
    if (draw(12) > 0) program.call(draw, i)
    else program.acts[draw(program.acts.length)]?.(i)
    if (draw(4) === 0) await program.tell()
  }
  await program.tell()
  program.free()
  return { told: program.told, replays: program.captured.replays }
}

const alike = async (gpu: Gpu, seed: number) => {
  const eager = await run(gpu, seed, { replay: false })
  let most = 0
  for (const plans of [1, 4]) {
    const { told, replays } = await run(gpu, seed, { plans })
    assert.equal(told, eager.told, `seed ${seed}, ${plans} plans`)
    most = Math.max(most, replays)
  }
  return most
}

test('a random program gives with replays what it gives without', async ({ gpu }) => {
  assert.ok((await alike(gpu, 1)) > 10)
})

full('a hundred random programs give with replays what they give without', async ({ gpu }) => {
  for (let seed = 3; seed < 103; seed++) await alike(gpu, seed)
})

test.run()
