// Measures the frames of a page that draws while it trains on the same device, in headless
// Chromium. Each frame submits a command buffer of its own; what is measured is how long the GPU
// takes until it is done, most of which it waits behind the training. SimCLR of a ResNet-8, on the
// page's own thread:
//
//   warm     whether kernels are compiled ahead (`learner.warm`) or by the first step
//   budget   most milliseconds of a submit (`gpu.budget`); none submits whole steps
//
//   node bench/frames.js [--width 2] [--batch 8] [--size 16] [--steps 8] [--budgets none,8,32]

import { createServer } from 'node:http'
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'
import { table } from './lib/table.js'

const { values } = parseArgs({
  options: {
    ...{ width: { type: 'string', default: '2' }, batch: { type: 'string', default: '8' } },
    ...{ size: { type: 'string', default: '16' }, steps: { type: 'string', default: '8' } },
    budgets: { type: 'string', default: 'none,8,32' },
  },
})
const sizes = Object.fromEntries(
  ['width', 'batch', 'size', 'steps'].map((name) => [name, Number(values[name])]),
)

const FLAGS = ['--no-sandbox', '--enable-unsafe-webgpu', '--enable-features=Vulkan']
const SOFTWARE = ['--use-vulkan=swiftshader', '--use-angle=swiftshader']

/** Serves the library as one script. */
async function serve() {
  const { outputFiles } = await build({
    stdin: { contents: `export * from './dist/index.js'`, resolveDir: process.cwd() },
    ...{ bundle: true, format: 'esm', write: false, logLevel: 'warning' },
  })
  const server = createServer((request, response) => {
    const isScript = request.url === '/library.js'
    response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? outputFiles[0].text : '<!doctype html><link rel="icon" href="data:,">')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

/** Trains in the page. Returns the waits of frames: while it warms up, until the first loss, and
 *  after it. */
async function measured({ width, batch, size, steps, budget, isWarm }) {
  const kindred = await import('/library.js')
  const gpu = await kindred.openGpu()
  const encoder = kindred.resnet8(gpu, { width, seed: 1 })
  const { features } = encoder
  const head = kindred.projectionHead(gpu, { features, hidden: 16, dim: 8, seed: 2 })
  const optimizer = new kindred.Adam(kindred.parametersOf({ encoder, head }))
  const { step, warm } = kindred.simclr(gpu, {
    ...{ encoder, head, optimizer, schedule: 1e-3, temperature: 0.5, batchNorm: 'per-view' },
    views: kindred.cifarRecipe(size),
  })
  const pixels = Uint8Array.from({ length: batch * size * size * 3 }, (_, i) => (i * 7) % 256)
  const one = { pixels, shape: [batch, size, size, 3] }
  const { queue } = gpu.device
  const drawing = gpu.device.createBuffer({ size: 256, usage: GPUBufferUsage.COPY_DST })
  const waits = []
  let isOver = false
  const frame = async () => {
    const submitted = performance.now()
    const commands = gpu.device.createCommandEncoder()
    commands.clearBuffer(drawing)
    queue.submit([commands.finish()])
    await queue.onSubmittedWorkDone()
    waits.push(performance.now() - submitted)
    if (!isOver) requestAnimationFrame(frame)
  }
  requestAnimationFrame(frame)
  const cut = () => waits.splice(0)
  if (isWarm) await warm(one)
  const warming = cut()
  const began = performance.now()
  let [first, firstAt] = [[], 0]
  const all = Array.from({ length: steps }, () => one)
  for await (const _ of kindred.trainInBackground(gpu, step, all, { budget })) {
    if (firstAt > 0) continue
    first = cut()
    firstAt = performance.now()
  }
  isOver = true
  const perStep = (performance.now() - firstAt) / (steps - 1)
  gpu.destroy()
  return { warming, first, rest: waits, perStep, firstTook: firstAt - began }
}

const longest = (waits) => (waits.length > 0 ? Math.max(...waits).toFixed(0) : 'none came')
const median = (waits) => [...waits].sort((a, b) => a - b)[waits.length >> 1]?.toFixed(0) ?? '-'

const executablePath =
  process.env.KINDRED_CHROMIUM ??
  spawnSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).stdout.trim()
const server = await serve()
const browser = await chromium.launch({ executablePath, args: [...FLAGS, ...SOFTWARE] })
const rows = []
try {
  const variants = values.budgets.split(',').map((name) => ({ name, isWarm: true }))
  for (const { name, isWarm } of [{ name: 'none', isWarm: false }, ...variants]) {
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${server.address().port}/`)
    const budget = name === 'none' ? null : Number(name)
    const given = { ...sizes, budget, isWarm }
    const { warming, first, rest, perStep, firstTook } = await page.evaluate(measured, given)
    rows.push([
      ...[isWarm ? 'yes' : 'no', name, isWarm ? longest(warming) : '-', firstTook.toFixed(0)],
      ...[longest(first), perStep.toFixed(0), median(rest), longest(rest), String(rest.length)],
    ])
    await page.close()
  }
} finally {
  await browser.close()
  server.close()
}
const heads = ['warm', 'budget', 'longest wait, warming', 'first step', 'longest wait in it']
const more = ['a later step', 'median wait', 'longest wait', 'frames']
const { width: wide, batch: count, size: side, steps: all } = sizes
console.log(`ResNet-8 of width ${wide}, ${count} images of ${side} px, ${all} steps; ms\n`)
console.log(table([[...heads, ...more], ...rows], { markdown: true }))
