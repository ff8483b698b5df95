// The compilers that scripts/compile-all.js can ask. Each is a child process, since one that fails
// may end it.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('compile.js', import.meta.url))
const DENO = fileURLToPath(new URL('../../test/wgpu/node_modules/.bin/deno', import.meta.url))
const here = (program) => spawnSync(program, ['--version']).status === 0

/** The compilers by name: `missing()` says why one is not here, or returns null.
 *  `compile(pipelines, file, folder)` resolves to { adapter, compiled, refused, left }: counts, and
 *  what was refused, { kernel, forms, error }. */
export const compilers = {
  tint: {
    missing: () => null,
    compile: (pipelines, file) => compileBy(pipelines, file, { args: ['null'] }),
  },
  spirv: {
    missing: () => null,
    async compile(pipelines, file, folder) {
      const env = { DUMP: '1' }
      const { texts, ...result } = await compileBy(pipelines, file, { env })
      const { wrong, unchecked } = keepSpirv(pipelines, texts, join(folder, 'spirv'))
      return { ...result, refused: [...result.refused, ...wrong], unchecked }
    },
  },
  naga: {
    missing: () => (existsSync(DENO) ? null : 'Deno is not installed: npm ci --prefix test/wgpu'),
    compile: (pipelines, file) =>
      compileBy(pipelines, file, {
        program: DENO,
        begin: ['run', '--allow-all', '--unstable-webgpu'],
      }),
  },
}

/** Compiles what the adapter has features for, by a program; by another one after each that ended
 *  before its time. */
async function compileBy(pipelines, file, how) {
  const state = { adapter: '', left: 0, compiled: 0, refused: [], texts: new Map() }
  let next = 0
  while (next < pipelines.length) {
    const { begun, ending } = await run(pipelines, { ...how, file, next, state })
    if (begun === null) throw new Error(`compile-all: no compiler starts: ${ending}`)
    next = begun + 1
    if (ending !== null) state.refused.push(refusal(pipelines[begun], `it ended with ${ending}`))
  }
  return state
}

const refusal = ({ name, forms }, error) => ({
  kernel: name,
  forms: forms.map((form) => Object.values(form).join(' ')).join(', '),
  error,
})

/** Lets one process compile from pipeline `next` on, and adds to `state` what it tells. Resolves to
 *  the pipeline begun last, and how the process ended if it was too early. */
function run(
  pipelines,
  { program = process.execPath, begin = [], args = [], env, file, next, state },
) {
  const child = spawn(program, [...begin, PROGRAM, file, `${next}`, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [output, told, begun, ending] = ['', '', null, 'no end']
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (told += chunk))
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      const dumps = output.split(/Dumped SPIRV disassembly[^\n]*\n/).slice(1)
      const compiled = []
      for (const line of told.split('\n').filter((each) => each.startsWith('{"'))) {
        const said = JSON.parse(line)
        if (said.adapter) state.adapter = said.adapter
        if (said.end) ending = null
        if (said.left !== undefined) state.left++
        begun = said.begun ?? said.left ?? begun
        if (said.error) state.refused.push(refusal(pipelines[said.id], said.error))
        else if (said.error === null) compiled.push(said.id)
      }
      state.compiled += compiled.length
      if (dumps.length === compiled.length)
        for (const [i, id] of compiled.entries()) state.texts.set(id, spirvOf(dumps[i]))
      const last = told.trim().split('\n').at(-1)
      resolve({ begun, ending: ending && `${signal ?? `exit code ${code}`}: ${last}` })
    })
  })
}

/** The SPIR-V that a dump begins with. */
function spirvOf(dump) {
  const lines = dump.split('\n')
  const end = lines.findIndex((line, i) => i > 5 && !/^\s*(;|%|Op)/.test(line))
  return `${lines.slice(0, end < 0 ? undefined : end).join('\n')}\n`
}

/** What an assembler says of SPIR-V that is younger than it is. */
const unknown = /Invalid (?:capability|execution mode|storage class|Opcode name|decoration)/i

/** Writes SPIR-V into a folder. Returns what spirv-val refuses of it, and how many it could not
 *  check: all without the tools, else those that are too young for them. */
function keepSpirv(pipelines, texts, folder) {
  mkdirSync(folder, { recursive: true })
  const hasTools = here('spirv-as') && here('spirv-val')
  const wrong = []
  let unchecked = 0
  for (const [id, text] of texts) {
    const path = join(folder, `${id}-${pipelines[id].name}`)
    writeFileSync(`${path}.spvasm`, text)
    const target = ['--target-env', 'vulkan1.3']
    const made =
      hasTools && spawnSync('spirv-as', [...target, `${path}.spvasm`, '-o', `${path}.spv`])
    if (!made || (made.status !== 0 && unknown.test(String(made.stderr)))) {
      unchecked++
      continue
    }
    const checked = made.status === 0 ? spawnSync('spirv-val', [...target, `${path}.spv`]) : made
    if (checked.status !== 0) wrong.push(refusal(pipelines[id], String(checked.stderr)))
  }
  return { wrong, unchecked }
}
