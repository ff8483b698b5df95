import { readFileSync, readdirSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const folder = 'test/' // tests run from the project's root
const call = ['assert', 'throws('].join('.') // so that it is not found here
const skipped = [
  /^\/\/.*/,
  /^\/\*[^]*?\*\//,
  /^'(?:\\.|[^'\\])*'/,
  /^"(?:\\.|[^"\\])*"/,
  /^`(?:\\.|[^`\\])*`/,
]
const regex = /^\/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n[])+\/[a-z]*/

/** The second argument and what follows it, of source text that begins within a call's parentheses; empty if there is none. */
function secondArgument(source: string): string {
  let depth = 0
  let before = '(' // the last character that is no space: a slash after a value divides
  for (let at = 0; at < source.length;) {
    const rest = source.slice(at)
    const c = rest.charAt(0)
    const literals = /[\w)\]]/.test(before) ? skipped : [...skipped, regex]
    const [literal = c] = literals.flatMap((l) => l.exec(rest)?.[0] ?? [])
    if ('([{'.includes(c)) depth++
    if (')]}'.includes(c)) depth--
    if (depth < 0) return ''
    if (depth === 0 && c === ',') return source.slice(at + 1).replace(/^(?:\s|\/\/.*|\/\*[^]*?\*\/)+/, '')
    if (c.trim()) before = c
    at += literal.length
  }
  return ''
}

/** The lines of the calls of uvu's `throws` that would take any error. */
function anyError(source: string): number[] {
  return source.split(call).flatMap((_, i, parts) => {
    if (i === 0) return []
    const before = parts.slice(0, i).join(call)
    const expected = secondArgument(source.slice(before.length + call.length))
    return /^(?:\/|\(|says\()/.test(expected) ? [] : [before.split('\n').length]
  })
}

test('a throw is expected by a pattern or a function: a text is what uvu says on failure', () => {
  const bad = readdirSync(folder)
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => anyError(readFileSync(folder + name, 'utf8')).map((line) => `${name}:${line}`))
  assert.equal(bad, [], `${bad.join(', ')}: use refuses(act, message)`)
})

test('the search for such calls finds them', () => {
  const bad = [
    `f, 'text')`,
    `() => g('),', [1, 2], /[)/]'/), // it's\n 'text')`,
    '() => 4 / 2, `text`)',
    'f)',
    'f, "text")',
  ]
  for (const text of bad) assert.equal(anyError(`\n${call}${text}; h(1, /x/)`), [2], text)
  for (const text of [`() => g(1, 'x'), /text/)`, `f,\n  (e) => true,\n)`, `f, says('x'))`])
    assert.equal(anyError(call + text), [], text)
})

test.run()
