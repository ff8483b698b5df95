#!/usr/bin/env node
// Checks, counts and times one training step. `node bench/step.js` after `npm run build` runs the
// case on which libraries are compared (bench/peers/step-data.js). `--peers` runs the other
// libraries too, each in a process of its own.

import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Command, Option } from 'commander'
import { openGpu } from '../dist/node.js'
import { CASE } from './peers/step-data.js'
import { count as whole } from './lib/options.js'
import { peaks } from './lib/peaks.js'
import { count, instrument, median, time } from './peers/step-measure.js'
import { idleShare } from './step-idle.js'
import { profiled } from './step-profile.js'
import { methods, models } from './step-methods.js'
import { report as show } from './step-report.js'
import { estimateOf, kernelsOf, scheduleOf, withFloors } from './step-roofline.js'

const command = new Command('step')
  .description('Time one training step: checked, counted, profiled, beside other libraries.')
  .argument('[trace]', 'with --profile, a file to write a trace for chrome://tracing to')
  .addOption(new Option('--method <name>').choices(Object.keys(methods)).default('supervised'))
  .addOption(new Option('--model <name>').choices(Object.keys(models)).default('resnet18'))
  .addOption(new Option('--stem <kind>').choices(['cifar', 'imagenet']).default('cifar'))
  .option('--width <channels>', "of the encoder's first stage", whole, CASE.width)
  .option('--batch <n>', 'images per step', whole, CASE.batch)
  .option('--size <px>', 'side of the images', whole, CASE.size)
  .option('--chunk <n>', 'images encoded at a time (all methods but supervised)', whole)
  .option('--runs <n>', 'timed steps', whole, 7)
  .addOption(new Option('--precision <kind>').choices(['f32', 'f16x3', 'f16']).default('f32'))
  .addOption(new Option('--activations <kind>').choices(['f32', 'f16']).default('f32'))
  .option('--adapter <name>', "part of the GPU's name, to choose among several")
  .option('--eager', 'run steps one by one instead of replaying them', false)
  .option(
    '--stream',
    'upload each batch instead of keeping the images on the GPU (simclr-training, simclr-lars)',
    false,
  )
  .option(
    '--idle-steps <n>',
    "consecutive steps over which the GPU's idle share is measured",
    whole,
    20,
  )
  .option(
    '--peers',
    'TensorFlow.js, jax-js and PyTorch as well, where they are installed (supervised only)',
    false,
  )
  .option('--profile', 'time of each kernel, beside the least that the model gives it', false)
  .option('--ceilings <json>', 'what the device can do at most, as --json prints it', JSON.parse)
  .option('--quick', "count on the device that is timed, which adds to JavaScript's time", false)
  .option('--json', 'one line of JSON per library', false)
  .parse()
const flags = command.opts()
const options = {
  ...{ method: flags.method, model: flags.model, stem: flags.stem },
  ...{ width: flags.width, batch: flags.batch, size: flags.size },
}
/** What a method is given, beside `replay`. */
const made = { ...options, chunk: flags.chunk ?? null, stream: flags.stream }
const isCase = Object.entries({
  ...CASE,
  method: 'supervised',
  model: 'resnet18',
  stem: 'cifar',
}).every(([name, value]) => !(name in options) || options[name] === value)

/** The step on a GPU of its own, which has been made four times; `once` makes it again, waits, and
 *  adds JavaScript's ms to `script`. */
async function begun() {
  const { adapter, precision, activations } = flags
  const gpu = await openGpu({
    precision,
    activations,
    ...(adapter === undefined ? {} : { adapter }),
    ...(flags.profile ? { toggles: ['-timestamp_quantization'] } : {}), // to 65.5 us
  })
  const settings = { ...made, replay: !flags.eager }
  const { step: run, views, captured, next } = await methods[options.method](gpu, settings)
  let given = await next?.()
  const step = () => run(given)
  const read = async () => (await gpu.read(step()))[0]
  const losses = []
  for (let i = 0; i < 4; i++) losses.push(await read())
  const script = []
  const once = async () => {
    given = await next?.()
    const start = performance.now()
    step()
    script.push(performance.now() - start)
    await gpu.sync()
  }
  return { gpu, run, next, step, once, script, captured, views, losses }
}

const WARM = 16 // steps before the timed ones; V8 compiles their JavaScript meanwhile

async function timings() {
  if (flags.quick) await instrumented()
  const { gpu, run, next, step, once, script, captured, views, losses } = await begun()
  for (let i = 0; i < WARM; i++) await once()
  script.length = 0
  const timed = await time(once, flags.runs)
  const replayed = captured.reason === null && captured.replays > 0
  if (replayed === flags.eager) throw new Error(`steps were not replayed: ${captured.reason}`)
  const idle = await idleShare(
    gpu.device,
    () => inARow(gpu, run, next),
    () => gpu.sync(),
  )
  const counted = flags.quick ? await count(once) : {}
  const { software } = gpu
  const most = flags.ceilings ?? (await peaks(gpu, { runs: 3, software }))
  const modelled = await byTheModel(gpu, step, most)
  const { description, vendor, device } = gpu.device.adapterInfo
  const plannedBytes = captured.memory?.bytes
  gpu.destroy()
  return {
    adapter: description || `${vendor} ${device}`,
    ...{ losses, replayed, idle, plannedBytes, ...modelled, ...counted },
    ...{ ...timed, scriptMs: median(script), scriptLeastMs: Math.min(...script) },
    ...{
      most,
      ms: software ? timed.cpuMs : timed.wallMs,
      viewsPerSecond: (1000 * views) / timed.wallMs,
    },
  }
}

/** What the model says of the step (step-roofline.js), { estimate }, and of its kernels, beside
 *  their own times with --profile, { kernels }. */
async function byTheModel(gpu, step, most) {
  const { precision, activations } = flags
  const settings = { ...made, precision, activations, replay: true }
  const schedule = await scheduleOf(gpu.device, options.method, settings)
  const modelled = withFloors(schedule, most, precision)
  const estimate = estimateOf(modelled)
  if (!flags.profile) return { estimate, kernels: [] }
  const found = await profiled(gpu, step, flags.runs)
  if (command.args[0]) writeFileSync(command.args[0], found.chromeTrace())
  const dispatches = found.dispatches.map(({ kernel, ms }) => ({ name: kernel, ms }))
  return { estimate, kernels: kernelsOf(dispatches, modelled) }
}

/** Counts calls of WebGPU from now on. */
async function instrumented() {
  const dawn = createRequire(new URL('../dist/node.js', import.meta.url)).resolve('webgpu') // that of dist/
  const { globals } = await import(pathToFileURL(dawn).href)
  instrument(globals)
}

async function counts() {
  await instrumented()
  const { gpu, once } = await begun()
  const counted = await count(once)
  gpu.destroy()
  return counted
}

async function ours() {
  const { most, ms, ...measured } = await timings() // first: counting takes JavaScript time
  const counted = flags.quick ? measured : await counts()
  const { precision, activations } = flags
  return {
    ...{ library: 'Kindred', ...options, precision, activations },
    exact: precision !== 'f16' && activations === 'f32',
    ...{ ms, most, ...measured, ...counted },
    modelShare: measured.estimate.ms / ms,
    shares: sharesOf(most, { flops: measured.estimate.flops, bytes: counted.boundBytes, ms }),
  }
}

/** Computes the shares of the device's measured peak rates; on a CPU adapter by CPU time. */
function sharesOf({ fma, matrices, copy }, { flops, bytes, ms }) {
  const [ofFma, ofMatrices, ofCopy] = [fma, matrices, copy].map((rate, i) =>
    rate > 0 ? (i < 2 ? flops : bytes) / ms / 1e6 / rate : null,
  )
  return { fma: ofFma, matrices: ofMatrices, copy: ofCopy }
}

/** Runs consecutive steps as a training does: losses are awaited two steps late. */
async function inARow(gpu, step, next) {
  const losses = []
  for (let i = 0; i < flags.idleSteps; i++) {
    losses.push(gpu.read(step(await next?.())))
    if (losses.length > 2) await losses.shift()
  }
  await Promise.all(losses)
}

/** Prints what was measured of a library's step, after its losses were checked. */
const report = (measured, flops) => show({ ...measured, flops }, { flags, isCase })

/** Runs a peer if it is installed, and reports each line of JSON that it prints. */
function peer(program, args, installed, flops) {
  if (!installed) return
  const cwd = new URL('.', import.meta.url).pathname
  const out = execFileSync(program, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  for (const line of out.split('\n')) if (line.startsWith('{')) report(JSON.parse(line), flops)
}

const has = (name) => existsSync(new URL(`node_modules/${name}`, import.meta.url))

function hasTorch() {
  try {
    execFileSync('python3', ['-c', 'import torch; assert torch.cuda.is_available()'], {
      stdio: 'ignore',
    })
    return true
  } catch {
    return false
  }
}

const measured = await ours()
const { flops } = measured.estimate
report(measured, flops)
const run = (program, args, installed) => peer(program, args, installed, flops)
if (flags.peers && isCase) {
  run(
    process.execPath,
    ['peers/step-tfjs.js', String(flags.runs)],
    has('@tensorflow/tfjs-backend-webgpu'),
  )
  run(process.execPath, ['peers/step-jaxjs.js', String(flags.runs)], has('@jax-js/jax'))
}
const { model, stem, width, batch, size } = options
const torch = ['torch/step.py', model, stem, width, batch, size, flags.runs].map(String)
if (flags.peers && options.method === 'supervised') run('python3', torch, hasTorch())
