#!/usr/bin/env node
// Times the step of bench/step.js as several checkouts make it, in turns in one process, so that a
// disturbance falls on all of them. On a CPU adapter the times are CPU time, of all threads.
//   node bench/step-turns.js BEFORE AFTER... [--rounds 30]     folders of checkouts that are built

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Command } from 'commander'
import { endedBy, count as whole } from './lib/options.js'
import { CASE } from './peers/step-data.js'
import { median } from './peers/step-measure.js'

const command = new Command('step-turns')
  .exitOverride(endedBy)
  .description("Times a training step of several checkouts in turns, as ratios to the first one's.")
  .argument('<checkouts...>', 'folders of checkouts, each with its dist/, the earliest first')
  .option('--method <name>', 'of bench/step-methods.js', 'supervised')
  .option('--rounds <n>', 'rounds of two steps each', whole, 30)
  .option('--json', 'one line of JSON', false)
  .parse()
const { method, rounds, json } = command.opts()

const WARM = 6 // rounds before the timed ones; V8 compiles their JavaScript meanwhile
const settings = {
  ...{ ...CASE, method, model: 'resnet18', stem: 'cifar' },
  ...{ replay: true, chunk: null, stream: false },
}

/** The step of a checkout's own build on a device of its own, after four that compile. */
async function begun(folder) {
  const load = (...path) => import(pathToFileURL(join(resolve(folder), ...path)).href)
  if (!existsSync(join(folder, 'dist', 'node.js')))
    command.error(`step-turns: ${folder} has no dist/node.js; run npm run build there`)
  const { openGpu } = await load('dist', 'node.js')
  const { methods } = await load('bench', 'step-methods.js')
  if (!Object.hasOwn(methods, method))
    command.error(
      `step-turns: ${folder} has no method '${method}', but ${Object.keys(methods).join(', ')}`,
    )
  const gpu = await openGpu()
  const { step, next } = await methods[method](gpu, settings)
  const losses = []
  for (let i = 0; i < 4; i++) losses.push((await gpu.read(step(await next?.())))[0])
  const once = async () => {
    step(await next?.())
    await gpu.sync()
  }
  return { folder, gpu, losses, once, times: [] }
}

const cpuMs = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

const all = []
for (const folder of command.args) all.push(await begun(folder))
const now = all[0].gpu.software ? cpuMs : () => performance.now()
for (let round = -WARM; round < rounds; round++)
  for (const { once, times } of all) {
    const start = now()
    await once()
    await once()
    if (round >= 0) times.push((now() - start) / 2)
  }

const [first] = all
const rows = all.map(({ folder, losses, times }) => ({
  folder,
  losses,
  least: Math.min(...times),
  median: median(times),
  ofFirst: {
    least: Math.min(...times) / Math.min(...first.times),
    median: median(times) / median(first.times),
  },
}))
if (json) console.log(JSON.stringify({ method, rounds, cpuTime: first.gpu.software, rows }))
else
  for (const { folder, losses, least, median: middle, ofFirst } of rows) {
    console.log(`${folder}: losses ${losses.join(' ')}`)
    const ratios = `${ofFirst.least.toFixed(3)} and ${ofFirst.median.toFixed(3)} of the first's`
    console.log(`  least ${least.toFixed(1)} ms, median ${middle.toFixed(1)} ms: ${ratios}`)
  }
for (const { gpu } of all) gpu.destroy()
