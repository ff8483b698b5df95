// Compiles every pipeline of every op, loss and method, in every form, by every compiler that is
// here, and prints what each refuses.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { collect, kinds } from './compile-all/collect.js'
import { compilers } from './compile-all/compilers.js'

const usage = `Usage: npm run compile-all -- [options]

Collects the pipelines of every op, loss and method on devices on paper: forward and backward, in
each precision, with each tile. Compiles them, by
  tint   Dawn's compiler, on its null backend: every feature, no code
  spirv  Dawn's compiler for this machine's Vulkan adapter; spirv-val, where it is installed,
         checks the SPIR-V
  naga   the compiler of wgpu (Firefox, Deno), where Deno is installed: npm ci --prefix test/wgpu
A compiler leaves out pipelines whose features its adapter lacks. Nothing is computed.

  --kinds <list>      ${kinds.join(', ')} (default: all)
  --compilers <list>  ${Object.keys(compilers).join(', ')} (default: those that are here)
  --out <folder>      keep the pipelines, and the SPIR-V for other compilers, in this folder
  --json              print one line of JSON

The exit code is 1 if a pipeline was refused.`

function fail(message) {
  console.error(`compile-all: ${message}\nSee npm run compile-all -- --help`)
  process.exit(2)
}

const text = { type: 'string' }
const yes = { type: 'boolean', default: false }
const options = { kinds: text, compilers: text, out: text, json: yes, help: yes }
const flags = (() => {
  try {
    return parseArgs({ options }).values
  } catch (error) {
    return fail(error.message)
  }
})()
if (flags.help) {
  console.log(usage)
  process.exit(0)
}

/** The words of a list, all of which must be known. */
function words(option, known) {
  const given = flags[option]?.split(',') ?? known
  const wrong = given.find((word) => !known.includes(word))
  if (wrong !== undefined) fail(`--${option} must be of ${known.join(', ')}, got '${wrong}'`)
  return given
}

const wanted = words('kinds', kinds)
const chosen = words('compilers', Object.keys(compilers))
const pipelines = await collect(wanted)
const folder = flags.out ?? mkdtempSync(join(tmpdir(), 'kindred-compile-'))
mkdirSync(folder, { recursive: true })
const file = join(folder, 'pipelines.json')
writeFileSync(file, JSON.stringify(pipelines))
const results = {}
for (const name of chosen) {
  const missing = compilers[name].missing()
  if (missing && flags.compilers) fail(`--compilers ${name}: ${missing}`)
  results[name] = missing ? { missing } : await compilers[name].compile(pipelines, file, folder)
}
if (!flags.out) rmSync(folder, { recursive: true })
if (flags.json) console.log(JSON.stringify({ pipelines: pipelines.length, results }))
else for (const line of lines()) console.log(line)
if (Object.values(results).some(({ refused = [] }) => refused.length > 0)) process.exitCode = 1

function* lines() {
  const kernels = new Set(pipelines.map(({ name }) => name)).size
  yield `${pipelines.length} pipelines of ${kernels} kernels, on ${wanted.join(', ')}`
  yield '| compiler | on | compiled | refused | left out: its features are not there |'
  yield '| --- | --- | --- | --- | --- |'
  for (const [name, { missing, adapter, compiled, refused, left }] of Object.entries(results))
    yield missing
      ? `| ${name} | - | ${missing} | | |`
      : `| ${name} | ${adapter} | ${compiled} | ${refused.length} | ${left} |`
  for (const [name, { refused = [], unchecked = 0 }] of Object.entries(results)) {
    if (unchecked > 0) yield `${name}: ${unchecked} not checked by spirv-val, absent or too old`
    for (const { kernel, forms, error } of refused)
      yield `${name} refuses ${kernel} (${forms}): ${error.split('\n')[0]}`
  }
}
