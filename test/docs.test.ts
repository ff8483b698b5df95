// Runs every program in README.md and docs/ as it is printed. A block of code that begins with an
// import is a program, unless `<!-- not run: WHY -->` stands before it; other blocks are fragments.
// A block of text after a program, below 'It prints', is what the program must print.
// Checks too that code beside a paper's pseudo-code is in the file named at the head of its column.

import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { transformSync } from 'esbuild'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const library = pathToFileURL(resolve('dist/node.js')).href
const pages = [
  'README.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

interface Program {
  readonly page: string
  readonly line: number
  readonly code: string
  /** What the page says that it prints; undefined if it says nothing. */
  readonly prints: string | undefined
}

/** The programs of a page. */
function programsOf(page: string): Program[] {
  const text = readFileSync(page, 'utf8')
  return [
    ...text.matchAll(
      /(<!-- not run: [^\n]*-->\n+)?^```(?:ts|js)\n(import .*?)^```$(?:\n+It prints\n+```text\n(.*?)^```$)?/gms,
    ),
  ].flatMap(({ index, 1: marked, 2: code = '', 3: prints }) =>
    marked === undefined
      ? [{ page, line: text.slice(0, index).split('\n').length + 1, code, prints }]
      : [],
  )
}

/** The program as a module of its own, on fewer images. */
const moduleOf = ({ code }: Program) =>
  transformSync(code.replaceAll('procedural()', 'procedural({ train: 128, test: 64 })'), {
    loader: 'ts',
    format: 'esm',
    target: 'es2022',
  }).code.replaceAll(/(["'])kindred(\/node)?\1/g, JSON.stringify(library))

/** Runs a module in a folder of its own. Returns what it printed, and what it said on failure. */
function outcome(
  dir: string,
  source: string,
): Promise<{ readonly failure: string | null; readonly printed: string }> {
  mkdirSync(dir)
  writeFileSync(join(dir, 'program.mjs'), source)
  return new Promise((done) => {
    const child = spawn(process.execPath, ['program.mjs'], {
      cwd: dir,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [said, printed] = ['', '']
    child.stdout.on('data', (chunk) => (printed += chunk))
    child.stderr.on('data', (chunk) => (said += chunk))
    child.on('close', (code) => {
      const failure = code === 0 ? null : said.replaceAll(/^Warning: .*\n/gm, '')
      done({ failure, printed })
    })
  })
}

interface Claim {
  readonly file: string
  readonly code: string
}

/** The code that a page's tables quote beside a paper, each with the file named over its column. */
function claimsOf(page: string): Claim[] {
  const tables = readFileSync(page, 'utf8').matchAll(
    /^\|[^|\n]*\| `(\w+\/[\w-]+\.ts)` \|\n\|.*\n((?:\|.*\n)+)/gm,
  )
  return [...tables].flatMap(({ 1: file = '', 2: rows = '' }) =>
    rows
      .trim()
      .split('\n')
      .flatMap((row) => [...(row.split(' | ')[1] ?? '').matchAll(/`([^`]+)`/g)])
      .map(([, code = '']) => ({ file, code })),
  )
}

/** Code without line breaks and the commas and spaces that they bring. */
const oneLine = (code: string) =>
  code
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/,? ([)\]])/g, '$1')
    .replaceAll(/([([]) /g, '$1')

const test = suite<{ dir: string }>('docs')
test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-docs-'))
})
test.after(({ dir }) => rmSync(dir, { recursive: true }))

for (const page of pages)
  for (const program of programsOf(page))
    test(`${page}:${program.line} runs`, async ({ dir }) => {
      const name = `${page.replace('/', '-')}-${program.line}`
      const { failure, printed } = await outcome(join(dir, name), moduleOf(program))
      assert.is(failure, null)
      if (program.prints !== undefined) assert.is(printed, program.prints)
    })

for (const page of pages)
  test(`${page} quotes lines that are in the code`, () => {
    for (const { file, code } of claimsOf(page)) {
      const text = oneLine(readFileSync(file, 'utf8').replaceAll(/ \/\/ .*/g, ''))
      assert.ok(text.includes(oneLine(code)), `${file} has no '${code}'`)
    }
  })

test('papers stand beside the code of all three methods', () => {
  const files = pages.flatMap((page) => claimsOf(page).map(({ file }) => file))
  for (const method of ['simclr', 'moco', 'moco-v3', 'amdim', 'multiscale'])
    assert.ok(files.includes(`methods/${method}.ts`), method)
})

test.run()
