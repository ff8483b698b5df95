// Tests that the WGSL of every kernel keeps to rules that all its compilers accept: Tint (Dawn,
// Chromium) and naga (wgpu, Firefox, Deno).

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Run } from '../../kernels/op.ts'
import { paperRun, tensor } from '../fixtures/paper-run.ts'

const sources = new Set<string>() // every WGSL program that is assembled from here on
const { raw } = String
String.raw = (...parts) => {
  const source = raw(...parts)
  if (source.includes('@compute')) sources.add(source)
  return source
}
const { name } = await import('../../index.ts').then(({ kernel }) => kernel`@compute fn own() {}`)
const { onTensorCores } = await import('../../kernels/devices/matrix-forms.ts')
const { cpuForms } = await import('../../kernels/devices/cpu-forms.ts')
const { emulatedForms } = await import('../../kernels/devices/emulated-matrices.ts')
const { everyProduct } = await import('../fixtures/every-product.ts')
const { everyLoss } = await import('../fixtures/every-loss.ts')
const { tilesFor } = await import('../../kernels/tiles/plan.ts')

function everything(run: Run) {
  everyProduct(run, tensor)
  everyLoss(run, tensor)
}

for (const precision of ['f32', 'f16', 'f16x3'] as const)
  for (const forms of [new Map(), onTensorCores(false), emulatedForms])
    for (const way of tilesFor(paperRun({ precision, forms })).keys())
      everything(
        paperRun({
          precision,
          ...{ forms, matrices: forms.size > 0 },
          race: (_name, _ways, _guess, compute) => compute(way),
        }),
      )
for (const forms of [new Map(), cpuForms]) everything(paperRun({ software: true, forms }))

/** What the caller of a kernel must know of it: its Params and its bindings, element types
 *  aside. */
function interfaceOf(source: string): { entry: string; members: string } {
  const code = source.replaceAll(/\/\/.*|\/\*[^]*?\*\//g, '')
  const [, entry = ''] = /@compute[^{]*?\bfn\s+(\w+)/.exec(code) ?? []
  const [, params = ''] = /\bstruct\s+Params\s*\{([^}]*)\}/.exec(code) ?? []
  const bindings = [...code.matchAll(/@binding\((\d+)\)\s*(var<[^>]*>)\s*(\w+)/g)]
  const words = [
    params,
    ...bindings.map(([, number, kind, variable]) => `${number} ${kind} ${variable}`),
  ]
  return { entry, members: words.join('; ').replaceAll(/\s+/g, ' ') }
}

/** Entry points that kernels of different interfaces have in common. */
function sharedNames(programs: Iterable<string>): string[] {
  const known = new Map<string, string>()
  const shared = new Set<string>()
  for (const { entry, members } of [...programs].map(interfaceOf)) {
    if ((known.get(entry) ?? members) !== members) shared.add(entry)
    known.set(entry, members)
  }
  return [...shared]
}

/** Sizes of workgroup arrays that are no number and no name, and hang on an `override`. naga ends
 *  the process over these. */
function unnamedSizes(source: string): string[] {
  const overrides = [...source.matchAll(/\boverride\s+(\w+)/g)].map(([, found = '']) => found)
  return [...source.matchAll(/var<workgroup>\s*\w+\s*:\s*([^;]*);/g)].flatMap(
    ([declaration, type = '']) => {
      const size = type.replace(/\s+/g, ' ').replace(/^.*, ?([^,]*)>$/, '$1')
      const words: readonly string[] = size.match(/[A-Za-z_]\w*/g) ?? []
      return /^\w+$/.test(size) || !words.some((word) => overrides.includes(word))
        ? []
        : [declaration]
    },
  )
}

test('every kernel is looked at', () => {
  assert.is(name, 'own')
  const names = new Set(
    [...sources].map((source) => /@compute[^{]*?fn (\w+)/.exec(source)?.[1] ?? source),
  )
  for (const known of [
    'own',
    'add',
    'gemmTiled',
    'convForwardGeneric',
    'convWeightGradientSoftware',
    'ntxentWeightedSum',
    'adam',
    'colour',
  ])
    assert.ok(names.has(known), known)
  assert.ok(names.size > 100, `${names.size} kernels`)
  assert.ok(sources.size > 400, `${sources.size} programs`)
})

test('a workgroup array whose size is an override expression has that named', () => {
  for (const source of sources) assert.equal(unnamedSizes(source), [], source)
})

test('the search for such arrays finds them', () => {
  const declare = (type: string) => `override n: u32 = 4u; const m = 8u; var<workgroup> a: ${type};`
  for (const type of [
    'array<f32, 2u * n>',
    'array<vec4<f16>, (n + m) * 2>',
    'array<f32, 4u *\n n>',
  ])
    assert.is(unnamedSizes(declare(type)).length, 1, type)
  for (const type of ['array<f32, n>', 'array<vec4<f16>, 2u * m>', 'array<u32, 64>', 'atomic<u32>'])
    assert.equal(unnamedSizes(declare(type)), [], type)
})

test('an entry point belongs to one kernel, whose texts differ by device, precision and width alone', () => {
  assert.equal(sharedNames(sources), [])
})

test('the search for shared entry points finds them', () => {
  const declare = (entry: string, params: string, bindings: string) =>
    `struct Params { ${params} } ${bindings} @compute @workgroup_size(64) fn ${entry}() {}`
  const x = (element: string) => `@group(0) @binding(0) var<storage, read> x: array<${element}>;`
  const one = declare('one', 'n: u32', x('f32'))
  assert.equal(sharedNames([one, declare('one', 'n: u32', x('vec4f'))]), [])
  assert.equal(sharedNames([one, declare('two', 'n: u32, m: u32', x('f32'))]), [])
  assert.equal(sharedNames([one, declare('one', 'n: u32, m: u32', x('f32'))]), ['one'])
  assert.equal(sharedNames([one, declare('one', 'n: u32', `${x('f32')} ${x('u32')}`)]), ['one'])
})

test.run()
