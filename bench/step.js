#!/usr/bin/env node
// Checks, counts and times one training step. `node bench/step.js` after `npm run build` runs the
// case on which libraries are compared (bench/peers/step-data.js). `--peers` runs the other
// libraries too, each in a process of its own.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Command, Option } from 'commander'
import { openGpu } from '../dist/node.js'
import { CASE, LOSSES, TOLERANCES } from './peers/step-data.js'
import { count as whole } from './lib/options.js'
import { peaks } from './lib/peaks.js'
import { count, instrument, median, time } from './peers/step-measure.js'
import { idleShare } from './step-idle.js'
import { profile, table, writeTrace } from './step-profile.js'
import { methods, models } from './step-methods.js'

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
  .option('--profile', 'time of each kernel', false)
  .option('--json', 'one line of JSON per library', false)
  .parse()
const flags = command.opts()
const options = {
  ...{ method: flags.method, model: flags.model, stem: flags.stem },
  ...{ width: flags.width, batch: flags.batch, size: flags.size },
}
const isCase = Object.entries({
  ...CASE,
  method: 'supervised',
  model: 'resnet18',
  stem: 'cifar',
}).every(([name, value]) => !(name in options) || options[name] === value)

/** Counts the FLOPs, two for each multiply-add, of convolutions and linear layers while `body`
 *  runs, gradients included. A convolution of at most 4 channels reads images, which get no
 *  gradient. */
function flopsOf(gpu, body) {
  const apply = gpu.apply
  let flops = 0
  gpu.apply = function (op, attrs, inputs) {
    const outputs = apply.call(gpu, op, attrs, inputs)
    const [{ shape: x }, w] = inputs
    const size = outputs[0].shape.reduce((a, b) => a * b, 1)
    if (op.name === 'conv2d' || op.name === 'convNorm')
      flops += 2 * size * w.shape[0] * w.shape[1] * x.at(-1) * (x.at(-1) > 4 ? 3 : 2)
    if (op.name === 'linear') flops += 2 * size * x[1] * 3
    return outputs
  }
  body()
  delete gpu.apply // the class's own is used again
  return flops
}

/** Opens a GPU, builds the step and runs it four times. `once` runs it again, waits for the GPU,
 *  and appends JavaScript's time in ms to `script`. */
async function begun() {
  const { adapter, precision, activations } = flags
  const gpu = await openGpu({
    precision,
    activations,
    ...(adapter === undefined ? {} : { adapter }),
  })
  const settings = {
    ...options,
    chunk: flags.chunk ?? null,
    replay: !flags.eager,
    stream: flags.stream,
  }
  const { step: run, views, captured, next } = await methods[options.method](gpu, settings)
  let given = await next?.()
  const step = () => run(given)
  const read = async () => (await gpu.read(step()))[0]
  const losses = []
  const flops = flopsOf(gpu, () => losses.push(read()))
  losses[0] = await losses[0]
  for (let i = 1; i < 4; i++) losses.push(await read())
  const script = []
  const once = async () => {
    given = await next?.()
    const start = performance.now()
    step()
    script.push(performance.now() - start)
    await gpu.sync()
  }
  return { gpu, run, next, step, once, script, captured, views, losses, flops }
}

const WARM = 16 // steps before the timed ones; V8 compiles their JavaScript meanwhile

async function timings() {
  const { gpu, run, next, step, once, script, captured, views, losses, flops } = await begun()
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
  if (flags.profile) {
    const dispatches = await profile(gpu.device, step, () => gpu.sync(), flags.runs)
    if (!flags.json) console.log(table(dispatches).join('\n'))
    if (command.args[0]) writeTrace(command.args[0], dispatches)
  }
  const { software } = gpu
  const most = await peaks(gpu, { runs: 3, software })
  const { description, vendor, device } = gpu.device.adapterInfo
  const plannedBytes = captured.memory?.bytes
  gpu.destroy()
  return {
    ...{
      adapter: description || `${vendor} ${device}`,
      losses,
      flops,
      replayed,
      idle,
      plannedBytes,
    },
    ...{ ...timed, scriptMs: median(script), scriptLeastMs: Math.min(...script) },
    ...{
      most,
      ms: software ? timed.cpuMs : timed.wallMs,
      viewsPerSecond: (1000 * views) / timed.wallMs,
    },
  }
}

async function counts() {
  const dawn = createRequire(new URL('../dist/node.js', import.meta.url)).resolve('webgpu') // that of dist/
  const { globals } = await import(pathToFileURL(dawn).href)
  instrument(globals)
  const { gpu, once } = await begun()
  const counted = await count(once)
  gpu.destroy()
  return counted
}

async function ours() {
  const { most, ms, ...measured } = await timings() // first: counting takes JavaScript time
  const counted = await counts()
  const { precision, activations } = flags
  return {
    ...{ library: 'Kindred', ...options, precision, activations },
    exact: precision !== 'f16' && activations === 'f32',
    ...{ ...measured, ...counted },
    shares: sharesOf(most, { flops: measured.flops, bytes: counted.boundBytes, ms }),
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

/** Throws Error unless the losses are those that every library must report. With rounded operands
 *  they only have to be finite. */
function verify({ library, losses, exact = true }) {
  const known = isCase && exact
  const wrong = losses.findIndex((loss, i) =>
    known ? !(Math.abs(loss - LOSSES[i]) <= TOLERANCES[i]) : !Number.isFinite(loss),
  )
  if (wrong >= 0)
    throw new Error(
      `${library}: loss ${wrong} is ${losses[wrong]}, should be ${known ? LOSSES[wrong] : 'finite'}`,
    )
  return known
}

function report(measured, flops) {
  const result = { ...measured, flops, tflops: flops / measured.wallMs / 1e9 }
  const verified = verify(result)
  if (flags.json) {
    console.log(JSON.stringify(result))
    return
  }
  const percent = (share) => `${(100 * share).toFixed(1)} %`
  const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`
  const known = (value, show) => (value === undefined ? [] : [show(value)])
  const lines = [
    `losses ${result.losses.map((loss) => loss.toFixed(5)).join(', ')}${verified ? ', as they must be' : ''}`,
    ...known(
      result.cpuMs,
      (ms) => `${ms.toFixed(0)} ms of CPU time a step, median of ${result.runs}`,
    ),
    `${result.wallMs.toFixed(1)} ms of wall time`,
    ...known(
      result.scriptMs,
      (ms) =>
        `${ms.toFixed(2)} ms of them in JavaScript (least ${result.scriptLeastMs.toFixed(2)}), ${result.replayed ? 'replayed' : 'one by one'}, before the GPU is waited for`,
    ),
    ...known(result.idle, (idle) =>
      idle
        ? `GPU idle ${(100 * idle.share).toFixed(1)} % of ${idle.ms.toFixed(0)} ms, ${flags.idleSteps} steps in a row with losses read late`
        : 'GPU idle share unknown: the adapter has no timestamp-query',
    ),
    `${(flops / 1e9).toFixed(2)} GFLOP in convolutions and linear layers, ${result.tflops.toPrecision(3)} TFLOP/s`,
    ...known(
      result.shares,
      ({ fma, matrices, copy }) =>
        `${percent(fma)} of the multiply-adds that it can do at most, as measured here${matrices === null ? '' : `, ${percent(matrices)} of those on matrices`}, and ${percent(copy)} of the bytes that it can copy`,
    ),
    ...known(result.plannedBytes, (bytes) => `${mb(bytes)} of temporaries`),
    ...known(result.viewsPerSecond, (rate) => `${rate.toFixed(1)} views/s`),
    ...known(
      result.dispatches,
      (n) =>
        `${n} dispatches, ${result.copies} copies, ${result.submits} submits, ${result.bindGroups} bind groups and ${result.buffersCreated} buffers created; ${mb(result.boundBytes)} bound`,
    ),
    ...known(result.peakBytes, (bytes) => `${mb(bytes)} of buffers at most`),
  ]
  console.log(
    `${result.library}${result.adapter ? ` on ${result.adapter}` : ''}\n  ${lines.join('\n  ')}`,
  )
}

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

const { flops, ...measured } = await ours()
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
