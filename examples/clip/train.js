// Trains CLIP on drawn pairs, and classifies new pictures by the captions alone:
//
//     node examples/clip/train.js --steps 300 --out clip.safetensors
//     node examples/clip/train.js --steps 300 --resume clip.safetensors

import { parseArgs } from 'node:util'
import { matmul, argmax, openGpu } from 'kindred/node'
import { openClip, resumeClip, saveClip } from './clip.js'
import { captionOf, kinds, pairs } from './pairs.js'

const BATCH = 64
const HELP = `Trains CLIP on drawn pairs, and classifies new pictures by the captions alone.

  --steps <n>      steps of the whole training (default: 300)
  --stop <n>       stop before step n; --resume goes on
  --resume <file>  go on from this file, with the same --steps, to the same bits
  --out <file>     save here at the end (default: the file of --resume)
  --help           this text`

const flags = flagsOf(process.argv.slice(2))
const { steps, out = flags.resume } = flags
const gpu = await openGpu()
const clip = openClip(gpu, { steps })
if (flags.resume !== undefined)
  await resumeClip(clip, flags.resume).catch((error) => wrong(`--resume: ${error.message}`))

const last = Math.min(steps, flags.stop ?? steps)
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
if (out !== undefined) await saveClip(clip, out)

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

/** Reads the options. Ends the program for --help, and in one line for wrong ones. */
function flagsOf(args) {
  const text = { type: 'string' }
  const options = { steps: text, stop: text, resume: text, out: text, help: { type: 'boolean' } }
  const { help, steps: total = '300', stop, ...files } = parsed(args, options)
  if (help) end(HELP, 0)
  const count = (name, value) =>
    /^[1-9]\d*$/.test(value) ? Number(value) : wrong(`--${name}: must be a whole number from 1 on`)
  if (stop !== undefined && (files.out ?? files.resume) === undefined)
    wrong('--stop: give --out, the file that --resume goes on from')
  return { ...files, steps: count('steps', total), stop: stop && count('stop', stop) }
}

function parsed(args, options) {
  try {
    return parseArgs({ args, options }).values
  } catch (error) {
    return wrong(error.message)
  }
}

function end(text, code) {
  console[code === 0 ? 'log' : 'error'](text)
  process.exit(code)
}

function wrong(message) {
  return end(`${message}; --help lists the options`, 2)
}
