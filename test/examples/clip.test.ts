// Runs the example of CLIP at a small size: what it trains, what it freezes, and how it resumes.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Tensor, Variable } from '../../kernels/op.ts'
import type { FlatOptimizer } from '../../engine/optim/optimizer.ts'
import type { Gpu } from '../../engine/gpu.ts'
import type { Model } from '../../models/model.ts'

const test = suite<{ gpu: Gpu }>('example of CLIP')
test.before(async (context) => {
  context.gpu = await (await library()).openGpu()
})
test.after(({ gpu }) => gpu.destroy())

interface Pairs {
  readonly images: Uint8Array
  readonly shape: readonly number[]
  readonly captions: readonly string[]
  readonly kinds: readonly number[]
}

interface Clip {
  readonly gpu: Gpu
  readonly parts: {
    readonly image: Model
    readonly text: Model
    readonly project: Model
    readonly logScale: Variable
  }
  readonly optimizer: FlatOptimizer
  readonly state: { step: number }
  readonly captured: { readonly replays: number; readonly reason: string | null }
  readonly step: (batch: Pairs) => Tensor
  readonly towers: (pictures: Tensor, tokens: Tensor, mode: object) => [Tensor, Tensor]
  readonly embed: (batch: Pairs) => [Tensor, Tensor]
}

interface Example {
  readonly openClip: (gpu: Gpu, options?: object) => Clip
  readonly saveClip: (clip: Clip, path: string) => Promise<void>
  readonly resumeClip: (clip: Clip, path: string) => Promise<void>
}

interface Drawing {
  readonly pairs: (options: object) => Pairs
  readonly captionOf: (kind: number) => string
  readonly kinds: number
}

// they import kindred/node, which is dist/
const at = <T>(file: string) => import(pathToFileURL(resolve(file)).href) as Promise<T>
const library = () => at<{ readonly openGpu: () => Promise<Gpu> }>('dist/node.js')
const example = () => at<Example>('examples/clip/clip.js')
const drawing = () => at<Drawing>('examples/clip/pairs.js')

const small = { side: 16, width: 16, dim: 16, steps: 60, lr: 5e-3 }

test('the loss falls, the frozen half stays equal to the bit, and steps are replayed', async ({
  gpu,
}) => {
  const { openClip } = await example()
  const { pairs } = await drawing()
  const clip = openClip(gpu, small)
  const { parameters, trained = parameters } = clip.optimizer
  const frozen = Object.entries(parameters).filter(([name]) => !(name in trained))
  const read = () => Promise.all(frozen.map(([, variable]) => gpu.read(variable)))
  const [before, temperature] = [await read(), await gpu.item(clip.parts.logScale)]
  assert.ok(frozen.length > 20 && frozen.every(([name]) => name.startsWith('image.')))
  const batch = pairs({ count: 16, side: 16 })
  const losses: number[] = []
  for (let i = 0; i < 50; i++) losses.push(await gpu.item(clip.step(batch)))
  assert.ok(Math.abs((losses[0] ?? NaN) - Math.log(16)) < 0.5, 'at first, chance')
  const last = losses.slice(-10).reduce((sum, loss) => sum + loss / 10, 0)
  assert.ok(last < Math.log(16) - 0.2, losses.join())
  assert.equal(await read(), before)
  assert.is.not(await gpu.item(clip.parts.logScale), temperature)
  assert.ok(clip.captured.replays > 40, String(clip.captured.reason))
})

test('a step has fewer than 250 dispatches beside those of its towers', async ({ gpu }) => {
  const { openClip } = await example()
  const { pairs } = await drawing()
  const clip = openClip(gpu, small)
  const batch = pairs({ count: 4, side: 16 })
  const counted = (run: () => unknown) => {
    const before = gpu.stats().dispatches
    run()
    return gpu.stats().dispatches - before
  }
  clip.step(batch)
  const whole = counted(() => clip.step(batch))
  const { image, text, project } = clip.parts
  const towers = counted(() =>
    gpu.step(() => {
      const mode = (network: string) => ({ training: true, draws: { seed: 0, step: 0, network } })
      const pictures = gpu.tensor(new Float32Array(batch.images.length), batch.shape)
      const h = image.forward(pictures, mode('image'))
      const t = text.forward(gpu.tensor(new Int32Array(4 * 44).fill(1), [4, 44]), mode('text'))
      const z = [project.forward(h, mode('image')), t] as const
      const of = Object.values(clip.optimizer.trained ?? {})
      gpu.pullback(
        z.map((one) => [one, one] as const),
        { of },
      )
    }),
  )
  assert.ok(whole - towers < 250, `${whole} dispatches, ${towers} of the towers`)
  assert.ok(whole - towers > 0)
})

test('stopped and resumed, it goes on bit for bit', async ({ gpu }) => {
  const { openClip, saveClip, resumeClip } = await example()
  const { pairs } = await drawing()
  const dir = mkdtempSync(join(tmpdir(), 'kindred-clip-'))
  const run = async (clip: Clip, until: number) => {
    const losses: number[] = []
    while (clip.state.step < until) {
      const first = clip.state.step * 8
      losses.push(await gpu.item(clip.step(pairs({ first, count: 8, side: 16 }))))
    }
    return losses
  }
  const want = await run(openClip(gpu, small), 8)
  const stopped = openClip(gpu, small)
  await run(stopped, 4)
  await saveClip(stopped, join(dir, 'clip.safetensors'))
  const resumed = openClip(gpu, small)
  await resumeClip(resumed, join(dir, 'clip.safetensors'))
  assert.equal(await run(resumed, 8), want.slice(4))
  rmSync(dir, { recursive: true })
})

test('each kind has a caption of its own, and a pair is a function of its number', async () => {
  const { pairs, captionOf, kinds } = await drawing()
  assert.is(new Set(Array.from({ length: kinds }, (_, k) => captionOf(k))).size, kinds)
  const [all, some] = [pairs({ count: 6, side: 16 }), pairs({ first: 4, count: 2, side: 16 })]
  assert.equal(some.captions, all.captions.slice(4))
  assert.equal(some.images, all.images.subarray(4 * 768))
})

test.run()
