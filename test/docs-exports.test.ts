// Every export is on a page: a function with its arguments, a class as it is made, another value by
// its name.

import { readFileSync, readdirSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as kindred from '../node.ts'

const test = suite('exports in docs')

const pages = readdirSync('docs')
  .filter((name) => name.endsWith('.md'))
  .map((name) => readFileSync(`docs/${name}`, 'utf8'))
  .join('\n')

const isClass = (value: unknown) =>
  typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value))

/** What a page must have of an export. */
function needed(name: string, value: unknown): RegExp {
  const before = String.raw`(?<![\w.])`
  if (isClass(value)) return new RegExp(`${before}${name}\\b`)
  if (typeof value === 'function') return new RegExp(`${before}${name}[(\`]`) // or a tag of templates
  return new RegExp(`${before}${name}\\b`)
}

test('every export is documented', () => {
  const missing = Object.entries(kindred)
    .filter(([name, value]) => !needed(name, value).test(pages))
    .map(([name]) => name)
  assert.equal(missing, [], 'not on any page of docs/')
})

test.run()
