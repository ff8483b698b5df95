// Tests that text fits narrow terminals, and that commands stay whole.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { programOf } from '../../cli/program.ts'
import { wrapped, wrappedNote } from '../../cli/wrapped.ts'

const test = suite('text for a terminal')

const is = (text: string, columns: number | undefined, ...lines: readonly string[]) => {
  assert.equal(wrapped(text, columns).split('\n'), lines)
}

test('lines are broken at spaces, below their last column', () => {
  is('one two three', 8, 'one two', 'three')
  is('one two three', 13, 'one two three')
  is('  a    one two three', 16, '  a    one two', '       three')
  is('  a-long-name  one two', 16, '  a-long-name  one', '  two')
  is('uncommonly', 4, 'uncommonly')
  is('', 4, '')
})

test('a paragraph is filled anew, and lists and headings are not', () => {
  is('one two\nthree four', 12, 'one two', 'three four')
  is('one two\nthree four', 10, 'one two', 'three four')
  is('one two three\nfour five\n\nsix', 10, 'one two', 'three four', 'five', '', 'six')
  is('Head:\n  one two three', 10, 'Head:', '  one two', '  three')
  is('a  one two three\nb  four', 10, 'a  one two', '   three', 'b  four')
})

test('commands and what goes to a file stay as they are', () => {
  is('  npx kindred train simclr', 10, '  npx kindred train simclr')
  is('  npx kindred \\\n    --out a b c d', 10, '  npx kindred \\', '    --out a b c d')
  is('one two three', undefined, 'one two three')
})

test('a note is broken line by line, and its command stays whole', () => {
  const note = (text: string, columns: number, ...lines: readonly string[]) =>
    assert.equal(wrappedNote(text, columns, 'npx kindred').split('\n'), lines)
  note('one two\nthree four', 8, 'one two', 'three', 'four')
  note('  one two three\n  four', 10, '  one two', '  three', '  four')
  note('go on with: npx kindred train a', 12, 'go on with:', 'npx kindred train a')
  note('a b c (see npx kindred doctor)', 9, 'a b c', '(see', 'npx kindred doctor)')
  note('a b c (npx kindred doctor)', 9, 'a b c', '(npx kindred doctor)')
  note('npx kindred train simclr', 9, 'npx kindred train simclr')
  note('Name                    1.0%', 30, 'Name                    1.0%')
})

test('the help of every command fits 60 columns, but for commands to copy', () => {
  const { columns } = process.stdout
  process.stdout.columns = 60
  try {
    const all = [programOf(() => {})]
    for (let own = all[0], i = 0; own; own = all[++i]) {
      all.push(...own.commands)
      let help = ''
      const write = (text: string) => void (help += text)
      own.configureOutput({ writeOut: write, getOutHelpWidth: () => 60 }).outputHelp()
      const lines = help.split('\n')
      const long = lines.filter(
        (line, n) =>
          line.length > 60 && !/^\s*npx |\\$/.test(line) && !lines[n - 1]?.endsWith('\\'),
      )
      assert.equal(long, [], own.name())
    }
    assert.ok(all.length > 20, `${all.length} commands`)
  } finally {
    process.stdout.columns = columns
  }
})

test.run()
