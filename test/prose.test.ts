// Lines of prose have at most 100 columns, in every page. Tables and code may be wider.

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const pagesOf = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))

const examples = readdirSync('examples', { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? pagesOf(join('examples', entry.name)) : [],
)

/** The lines of prose that are too wide, by number. */
const tooWide = (text: string) =>
  text
    .replaceAll(/^```.*?^```$/gms, (code) => code.replaceAll(/.+/g, ''))
    .split('\n')
    .flatMap((line, i) => (line.length > 100 && !/^(\||    )/.test(line) ? [i + 1] : []))

test('lines of prose have at most 100 columns', () => {
  const wide = 'word '.repeat(21)
  assert.equal(
    tooWide(`${wide}\n| ${wide}\n    ${wide}\n\`\`\`js\n${wide}\n\`\`\`\n${wide}`),
    [1, 7],
  )
  const pages = [...pagesOf('.'), ...pagesOf('docs'), ...pagesOf('bench'), ...examples]
  assert.ok(pages.length > 30)
  for (const page of pages) assert.equal(tooWide(readFileSync(page, 'utf8')), [], page)
})

test.run()
