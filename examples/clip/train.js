// Trains CLIP on drawn pairs, and classifies new pictures by the captions alone:
//
//     node examples/clip/train.js --steps 300 --out clip.safetensors
//     node examples/clip/train.js --steps 300 --resume clip.safetensors --out clip.safetensors

import { parseArgs } from 'node:util'
import { matmul, argmax, openGpu } from 'kindred/node'
import { openClip, resumeClip, saveClip } from './clip.js'
import { captionOf, kinds, pairs } from './pairs.js'

const BATCH = 64

const { values: flags } = parseArgs({
  options: {
    steps: { type: 'string', default: '300' },
    stop: { type: 'string' },
    resume: { type: 'string' },
    out: { type: 'string' },
  },
})
const steps = Number(flags.steps)
const gpu = await openGpu()
const clip = openClip(gpu, { steps })
if (flags.resume) await resumeClip(clip, flags.resume)

const last = Math.min(steps, Number(flags.stop ?? steps))
while (clip.state.step < last) {
  const { step } = clip.state
  const loss = clip.step(pairs({ first: step * BATCH, count: BATCH })) // new pairs in each step
  if (step % 25 === 0 || step === last - 1) {
    const [value, norm, logScale] = await Promise.all(
      [loss, clip.optimizer.norm, clip.parts.logScale].map((t) => gpu.item(t)),
    )
    const T = Math.exp(-logScale).toFixed(3)
    console.log(`step ${step}  loss ${value.toFixed(3)}  gradient ${norm.toFixed(2)}  T ${T}`)
  }
}
if (flags.out) await saveClip(clip, flags.out)

const unseen = pairs({ seed: 1, count: 256 })
const all = Array.from({ length: kinds }, (_, k) => captionOf(k))
const best = await gpu.read(
  gpu.noGrad(() => {
    const [z1] = clip.embed({ ...unseen })
    const one = { images: unseen.images.subarray(0, 3 * 32 * 32), shape: [1, 32, 32, 3] }
    const [, z2] = clip.embed({ ...one, captions: all })
    return argmax(matmul(z1, z2, { transB: true }), 1)
  }),
)
const right = unseen.kinds.filter((kind, n) => kind === best[n]).length
console.log(`zero-shot: ${right} of 256 new pictures have the right one of ${kinds} captions`)
gpu.destroy()
