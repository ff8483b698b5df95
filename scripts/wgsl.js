// Prints the WGSL that a call of an op runs, forward and backward, as a device would get it. It
// computes nothing.

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { paperDevice, paperKinds } from './paper-device.js'

const usage = `Usage: npm run wgsl -- OP [--ARGUMENT VALUE ...] [options]

Prints the kernels that OP runs, forward and then backward: the whole assembled WGSL with its entry
point, override constants, workgroups and Params. A text that runs twice is printed once. It
computes nothing and needs no GPU.

  npm run wgsl -- conv2d --x 512x32x32x64 --w 3x3x64x64 --padding 1 --kernels gpu --precision f16
  npm run wgsl -- ntXent --z1 256x128 --z2 256x128 --temperature 0.5 --list
  npm run wgsl -- batchNorm --x 64x8x8x32 --gamma 32 --beta 32 --running 32

ARGUMENT is the name of a parameter of the op, or of one of its options. VALUE is a shape such as
3x3x64x64, a number, true, false, or a word. The vectors gamma, beta, b, labels, indices and running
take their length.

  --kernels KIND       device: a software adapter; gpu: any GPU, the default; matrices: a GPU with
                       subgroup matrices; amd: one whose subgroups have two sizes; bare: a GPU
                       with default limits and no feature
  --precision P        f32, f16x3 or f16 (default f32)
  --activations A      f32 or f16 (default f32)
  --forward            forward only
  --list               a line for each dispatch, no WGSL`

function fail(message) {
  console.error(`wgsl: ${message}\nSee npm run wgsl -- --help`)
  process.exit(2)
}

const options = {
  kernels: { type: 'string', default: 'gpu' },
  precision: { type: 'string', default: 'f32' },
  activations: { type: 'string', default: 'f32' },
  forward: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
}
const vectors = ['gamma', 'beta', 'b', 'labels', 'indices', 'running']

// From the sources: dist/ has no comments and no lines in its WGSL
const built = '.test/wgsl/kindred.js'
await build({
  ...{ entryPoints: ['node.ts'], outfile: built, logLevel: 'warning' },
  ...{ bundle: true, format: 'esm', platform: 'neutral', target: 'es2022' },
  ...{ packages: 'external', external: ['node:*'] },
})
const library = new Map(Object.entries(await import(pathToFileURL(resolve(built)).href)))
const call = readArguments()
try {
  const { kernels, precision, activations, list } = call.settings
  console.log('// kernels', kernels, 'precision', precision, 'activations', activations)
  print(dispatchesOf(call), list)
} catch (error) {
  fail(remedied(error instanceof Error ? error.message : String(error)))
}

/** Puts the remedy of this command in the place of the code's, for a number instead of a shape. */
function remedied(message) {
  return message.replace(
    /(: (\w+) must be a tensor, got .*); put values on the GPU .*$/,
    '$1; give a shape, as in --$2 256x128',
  )
}

/** Reads the command line: the op, the settings of this script, and the op's arguments by name. */
function readArguments() {
  const { values: settings, tokens } = parseArgs({ options, tokens: true, strict: false })
  const name = tokens.find(({ kind }) => kind === 'positional')?.value
  if (settings.help || !name) {
    console.log(usage)
    process.exit(settings.help ? 0 : 2)
  }
  const op = library.get(name)
  if (typeof op !== 'function' || String(op).startsWith('class'))
    fail(`no op is called '${name}'; docs/ops.md lists them`)
  if (!paperKinds.includes(settings.kernels))
    fail(`--kernels must be one of ${paperKinds.join(', ')}, got '${String(settings.kernels)}'`)
  const given = {}
  for (const [i, token] of tokens.entries())
    if (token.kind === 'option' && !(token.name in options))
      given[token.name] =
        token.value ?? (tokens[i + 1]?.kind === 'positional' ? tokens[i + 1].value : 'true')
  return { op, settings, given }
}

/** Lists every dispatch of the op's forward pass, and of its backward pass to all its f32
 *  tensors. */
function dispatchesOf({ op, settings, given }) {
  const seen = []
  const device = paperDevice(settings.kernels, (dispatch) => seen.push(dispatch))
  const { precision, activations } = settings
  const gpu = new (library.get('Gpu'))(device, { precision, activations })
  const values = argumentsOf(gpu, op, given)
  const run = () => {
    const made = op(...values)
    return 'shape' in made ? made : Object.values(made)[0]
  }
  gpu.step(run)
  const forward = seen.splice(0)
  if (settings.forward) return { forward, backward: [] }
  gpu.step(() => {
    const y = run()
    gpu.backward(y, gpu.tensor(new Float32Array(y.shape.reduce((a, b) => a * b, 1)), y.shape))
  })
  return { forward, backward: seen.slice(forward.length) }
}

/** Returns the op's arguments in the order of its parameters. Arguments that are not parameters go
 *  into its options. */
function argumentsOf(gpu, op, given) {
  const names = parametersOf(String(op))
  const rest = Object.entries(given).filter(([name]) => !names.includes(name))
  const values = names.map((name) => (name in given ? valueOf(gpu, name, given[name]) : undefined))
  const missing = names.filter(
    (name) => !(name in given) && !name.startsWith('{') && name !== 'options',
  )
  const last = Object.fromEntries(rest.map(([name, text]) => [name, valueOf(gpu, name, text)]))
  if (rest.length === 0) while (values.length > 0 && values.at(-1) === undefined) values.pop()
  if (values.length === 0)
    fail(`give the op's arguments: ${missing.map((n) => `--${n}`).join(' ')}`)
  const gap = values.findIndex((value, i) => value === undefined && missing.includes(names[i]))
  if (gap >= 0 && gap < values.length - 1)
    fail(`--${names[gap]} is missing; give it a shape or a number`)
  if (rest.length > 0) values[names.length - 1] = last
  return values
}

/** Reads the names of a function's parameters from its text; '{}' for a destructured object. */
function parametersOf(text) {
  const parts = ['']
  let depth = 0
  for (const c of text.slice(text.indexOf('(') + 1)) {
    if (c === ')' && depth === 0) break
    if ('([{'.includes(c)) depth++
    if (')]}'.includes(c)) depth--
    if (c === ',' && depth === 0) parts.push('')
    else parts[parts.length - 1] += c
  }
  return parts.map((part) => (part.trim().startsWith('{') ? '{}' : part.trim().split(/\W/)[0]))
}

function valueOf(gpu, name, text) {
  if (/^\d+(x\d+)+$/.test(text) || vectors.includes(name)) {
    const shape = text.split('x').map(Number)
    const size = shape.reduce((a, b) => a * b, 1)
    if (!Number.isSafeInteger(size))
      fail(`--${name} must be a shape such as 64 or 8x16, got '${text}'`)
    const zeros = () => gpu.variable(new Float32Array(size), shape)
    if (name === 'running') return { mean: zeros(), variance: zeros() }
    return name === 'labels' || name === 'indices'
      ? gpu.tensor(new Int32Array(size), shape)
      : zeros()
  }
  if (text === 'true' || text === 'false') return text === 'true'
  return Number.isNaN(Number(text)) ? text : Number(text)
}

function print(passes, list) {
  const printed = new Set()
  for (const [pass, dispatches] of Object.entries(passes))
    for (const [i, { code, entryPoint, constants, groups, params }] of dispatches.entries()) {
      const pairs = (values) =>
        Object.entries(values)
          .map(([name, value]) => `${name} ${value}`)
          .join(', ')
      console.log(
        `// ${pass} ${i + 1} of ${dispatches.length}: ${entryPoint}, ${groups.join(' x ')} workgroups`,
      )
      if (Object.keys(constants).length > 0) console.log(`//   overrides: ${pairs(constants)}`)
      if (Object.keys(params).length > 0) console.log(`//   Params: ${pairs(params)}`)
      if (list) continue
      console.log(printed.has(code) ? '//   its text is above\n' : `${tidy(code)}\n`)
      printed.add(code)
    }
}

/** Removes the indentation of the source file and all blank lines. */
function tidy(code) {
  const lines = code.split('\n').map((line) => line.replace(/^ {2}/, '').trimEnd())
  return lines
    .join('\n')
    .trim()
    .replaceAll(/\n{2,}/g, '\n')
}
