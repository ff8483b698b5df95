// One contestant in a process of its own: `node child.js MODULE`. It reads commands from standard
// input, one JSON object a line, and answers each by one line on standard output;
// bench/torch/common.py speaks the same.
//
//   {do: 'check', problem, settings}            opens the module's contestant and reads its loss
// and gradients
//   {do: 'prepare', problem, settings, values}  opens it and warms its calls up; reads the
// gradients only if values is true
//   {do: 'time', what, count}                   times one batch of a call
//
// A module exports open(problem, settings), which returns
//   calls   named functions that enqueue one call each and keep nothing
//   flush   submits what the library may still hold back (optional)
//   read    resolves to {loss, gradients} (optional)
//   check   rejects when the GPU reported an error (optional)
//   close   lets go of the device (optional)
//   work    FLOPs or bytes of each call, where the contestant chooses them (optional)

import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { failures, opened } from './accounting.js'
import { isSoftware } from './waiting.js'
import { batch, warmUp } from './timing.js'

console.log = console.warn = console.info = console.error // standard output is for answers

let contestant

async function openContestant({ problem, settings }) {
  const { open } = await import(pathToFileURL(process.argv[2]).href)
  contestant?.close?.()
  contestant = await open(problem, settings)
}

async function check(command) {
  await openContestant(command)
  return encode(await contestant.read(), true)
}

async function prepare({ values, ...command }) {
  await openContestant(command)
  const warm = {}
  for (const what of Object.keys(contestant.calls)) warm[what] = await warmUp(contestant, what)
  const result = await contestant.read?.()
  return {
    device: describe(opened),
    warm,
    work: contestant.work,
    ...(result && encode(result, values)),
  }
}

function describe({ device, info }) {
  const { maxStorageBufferBindingSize, maxBufferSize } = device.limits
  return {
    adapter: (info.device || info.description || info.architecture).replace(/-+$/, ''),
    vendor: info.vendor,
    driver: info.description,
    software: isSoftware(info),
    largest: Math.min(maxStorageBufferBindingSize, maxBufferSize),
  }
}

/** The loss and the gradients' common length, and, if asked for, every number of the gradients. */
function encode({ loss, gradients }, values) {
  let square = 0
  for (const gradient of gradients) for (const g of gradient) square += g * g
  const bytes = (x) => Buffer.from(x.buffer, x.byteOffset, x.byteLength).toString('base64')
  return {
    loss,
    gradientNorm: Math.sqrt(square),
    ...(values && { gradients: gradients.map(bytes) }),
  }
}

const commands = { check, prepare, time: ({ what, count }) => batch(contestant, what, count) }

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  let answer
  try {
    answer = await commands[command.do](command)
    await contestant.check?.()
    if (failures.length > 0) throw new Error(failures[0])
  } catch (error) {
    answer = { error: String(error.message).split('\n')[0], stack: error.stack }
  }
  process.stdout.write(`${JSON.stringify({ answer })}\n`)
}
process.exit(0) // whatever a library still has going
