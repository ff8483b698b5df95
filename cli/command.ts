// Commands as messages print them, ready to paste into the user's shell.

import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { printable } from '../kernels/printable.ts'

/** Returns the command line that runs kindred with these arguments, quoted for the shell. */
export const command = (...args: readonly string[]): string =>
  [...program(), ...args].map((word) => quoted(word)).join(' ')

/** Returns the command that resumes the run in `dir`, followed by more arguments. */
export const resumeCommand = (method: string, dir: string, ...more: readonly string[]): string =>
  command('train', method, '--resume', dir.startsWith('-') ? `./${dir}` : dir, ...more)

/** Returns the command that started this process. */
export const sameCommand = (): string => command(...process.argv.slice(2))

/** Returns the words that start kindred here: its name if it is on the PATH, npx in a project that
 *  has it, else node and its file. */
export function program(
  script = process.argv[1] ?? '',
  { cwd = process.cwd(), env = process.env }: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): readonly string[] {
  const isNamed = basename(script).replace(/\.(cmd|ps1)$/, '') === 'kindred'
  const isNpx = isNamed && env['npm_command'] === 'exec'
  if (isNamed && !isNpx && !dirname(script).endsWith(join('node_modules', '.bin')))
    return ['kindred']
  if (isNpx || reachedByNpx(cwd)) return ['npx', 'kindred']
  return ['node', shortest(script === '' ? fileURLToPath(import.meta.url) : script, cwd)]
}

/** Tells whether npx finds kindred from this folder without the network. It does if the enclosing
 *  project is Kindred or has it installed. */
function reachedByNpx(cwd: string): boolean {
  for (let folder = cwd; ; folder = dirname(folder)) {
    const isRoot = ['package.json', 'node_modules'].some((name) => existsSync(join(folder, name)))
    if (isRoot)
      return existsSync(join(folder, 'node_modules', '.bin', 'kindred')) || isKindred(folder)
    if (dirname(folder) === folder) return false
  }
}

/** Tells whether a folder is a checkout of Kindred. npx runs the checkout's own program. */
function isKindred(folder: string): boolean {
  try {
    const { name, bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      readonly name?: unknown
      readonly bin?: unknown
    } // npm's own format
    return name === 'kindred' && bin !== undefined
  } catch {
    return false
  }
}

/** Returns the path relative to `cwd` if that is shorter, else the absolute path. */
function shortest(path: string, cwd: string): string {
  const whole = resolve(cwd, path)
  const near = relative(existing(cwd), existing(whole))
  return near.length < whole.length && existsSync(resolve(cwd, near)) ? near : whole
}

/** Resolves the links of a path. Returns a path that does not exist unchanged. */
function existing(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** Quotes a word for the shell. Leaves it bare if it has no special character. */
export function quoted(word: string, platform: NodeJS.Platform = process.platform): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word
  if (platform === 'win32') return /^[\w\\@+=:,./-]+$/.test(word) ? word : `"${word}"`
  if (printable(word) === word) return `'${word.replaceAll("'", "'\\''")}'`
  // bash, zsh and ksh read escaped bytes between $' and '
  const spelled = Array.from(word, (c) =>
    printable(c) === c ? c.replace(/[\\']/, '\\$&') : bytesOf(c),
  )
  return `$'${spelled.join('')}'`
}

/** Escapes a character as its bytes in UTF-8: '\\xc2\\x9b'. */
const bytesOf = (character: string) =>
  Array.from(
    new TextEncoder().encode(character),
    (byte) => `\\x${byte.toString(16).padStart(2, '0')}`,
  ).join('')
