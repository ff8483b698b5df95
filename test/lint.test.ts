import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

/** What the project's linter says of `files` in a project that has nothing else. */
function lint(files: Readonly<Record<string, string>>): string[] {
  const dir = mkdtempSync(join(tmpdir(), 'kindred-lint-'))
  try {
    cpSync('lint', join(dir, 'lint'), { recursive: true })
    cpSync('.oxlintrc.json', join(dir, '.oxlintrc.json'))
    writeFileSync(join(dir, 'package.json'), '{ "type": "module" }')
    const all = { 'index.ts': "export { conv2d } from './kernels/conv/conv2d.ts'\n", ...files }
    for (const [path, text] of Object.entries(all)) {
      mkdirSync(dirname(join(dir, path)), { recursive: true })
      writeFileSync(join(dir, path), text)
    }
    const args = [resolve('node_modules/oxlint/bin/oxlint'), '--format', 'json']
    const { stdout } = spawnSync(process.execPath, args, { cwd: dir, encoding: 'utf8' })
    const { diagnostics } = JSON.parse(stdout) as {
      diagnostics: { code: string; message: string }[]
    }
    return diagnostics
      .filter(({ code }) => /kindred|no-cycle/.test(code))
      .map(({ message }) => message)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

const part = 'export const stage = 1\n'
const use = (path: string, name = 'used') =>
  `import { stage } from '${path}'\n\nexport const ${name} = stage\n`

test('a part of a room is imported from its room and from the floors above', () => {
  assert.equal(
    lint({
      'kernels/tiles/plan.ts': part,
      'kernels/tiles/tile.ts': use('./plan.ts'),
      'kernels/conv/conv2d.ts': use('../tiles/plan.ts', 'conv2d'),
    }),
    [],
  )
})

test('a part of a room is not imported from a floor below, from beside, or from outside kernels/', () => {
  const from = (path: string, spec: string) =>
    lint({ 'kernels/conv/steps.ts': part, [path]: use(spec) })
  assert.equal(from('kernels/tiles/plan.ts', '../conv/steps.ts'), [
    'kernels/tiles imports only from lower floors, and conv is on floor 7',
  ])
  assert.equal(from('kernels/loss/nce.ts', '../conv/steps.ts'), [
    'kernels/loss imports only from lower floors, and conv is on floor 7',
  ])
  assert.equal(from('models/resnet.ts', '../kernels/conv/steps.ts'), [
    'kernels/conv/steps.ts is a part of its room: import an op that index.ts exports',
  ])
})

test('folders import one way, and only what may read files imports Node', () => {
  assert.equal(lint({ 'methods/moco.ts': part, 'models/resnet.ts': use('../methods/moco.ts') }), [
    'models imports only from models, kernels, engine',
  ])
  assert.equal(lint({ 'models/resnet.ts': "import 'node:fs'\n" }), [
    'models/resnet.ts may not import the package node:fs',
  ])
  assert.equal(lint({ 'engine/node.ts': part, 'models/resnet.ts': use('../engine/node.ts') }), [
    'engine/node.ts needs Node: only run-folder/, cli/ and node.ts import it',
  ])
})

test('a cycle of types alone is a cycle', () => {
  const a = "import type { B } from './b.ts'\n\nexport type A = B | null\n"
  const b = "import type { A } from './a.ts'\n\nexport type B = A | null\n"
  assert.is(lint({ 'engine/a.ts': a, 'engine/b.ts': b }).length > 0, true)
})

test('an exported name is declared once, and both files are told', () => {
  const files = {
    'kernels/tiles/plan.ts': 'export interface Place {\n  readonly at: number\n}\n',
    'cli/introduce.ts': 'export type Place = string\n\nexport const place = 1\n',
  }
  assert.equal(lint(files).sort(), [
    'cli/introduce.ts exports Place, and so does kernels/tiles/plan.ts: rename one of them',
    'kernels/tiles/plan.ts exports Place, and so does cli/introduce.ts: rename one of them',
  ])
  const overloads =
    'export function place(x: number): number\nexport function place(x: string): string\nexport function place(x: unknown) {\n  return x\n}\n'
  const own = 'type Place = string\n\nexport const at: Place = "here"\n'
  assert.equal(lint({ 'engine/a.ts': overloads, 'engine/b.ts': own }), [])
  assert.equal(lint({ 'engine/a.ts': part, 'test/a.test.ts': part }), [])
})

test('a file has at most 250 lines, and a function 40 besides its WGSL', () => {
  const lines = (count: number) => 'a()\n'.repeat(count)
  const made = (body: string) => `const f = () => {\n${body}}\n`
  const text = (tag: string) => `a(${tag}\`\n${'x\n'.repeat(50)}\`)\n`
  const fit = {
    'engine/file.ts': lines(250),
    'engine/function.ts': made(lines(38)),
    'engine/wgsl.ts': made(text('wgsl') + text('kernel') + lines(36)),
    'engine/inner.ts': made(made(text('wgsl')) + lines(35)),
    'test/file.ts': lines(251) + made(lines(39)),
  }
  assert.equal(lint(fit), [])
  const tooLong = {
    'engine/file.ts': lines(251),
    'engine/function.ts': made(lines(39)),
    'engine/wgsl.ts': made(text('wgsl') + lines(39)),
    'engine/inner.ts': made(made(text('wgsl')) + lines(40)),
    'engine/text.ts': made(text('')),
  }
  const refused = [41, 42, 45, 54].map(
    (count) => `a function has at most 40 lines besides WGSL, this one has ${count}: divide it`,
  )
  assert.equal(lint(tooLong).sort(), [
    'a file has at most 250 lines, engine/file.ts has 251: divide it along an idea',
    ...refused,
  ])
})

test('what was thrown is put into words in one place', () => {
  const words = 'export const wordsOf = (e: unknown) => e instanceof Error ? e.message : '
  assert.equal(
    lint({
      'engine/a.ts': `${words}String(e)\n`,
      'kernels/reason-of.ts': `${words.replace('words', 'reason')}String(e)\n`,
      'engine/other.ts': `${words.replace('words', 'told')}''\n`,
    }),
    ['call reasonOf of kernels/reason-of.ts'],
  )
})

test('a test that expects any error is refused', () => {
  const call = (rest: string) =>
    lint({
      'test/a.test.ts': `import * as assert from 'uvu/assert'\n\nassert.throws(() => 1${rest})\n`,
    })
  assert.is(call('').length, 1)
  assert.is(call(", 'text'").length, 1)
  assert.is(call(', /pattern/').length, 0)
})

test.run()
