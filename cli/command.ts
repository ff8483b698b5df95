// Commands as they are printed: what the user can paste into the shell that this program was
// started from.

import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { printable } from '../kernels/printable.ts'

/** The command line that runs kindred with these arguments, quoted where the shell needs it. */
export const command = (...args: readonly string[]): string =>
  [...program(), ...args].map((word) => quoted(word)).join(' ')

/** The command that goes on with the run in `dir`, with more arguments behind it. */
export const resumeCommand = (method: string, dir: string, ...more: readonly string[]): string =>
  command('train', method, '--resume', dir.startsWith('-') ? `./${dir}` : dir, ...more)

/** The command that this process was started with. */
export const sameCommand = (): string => command(...process.argv.slice(2))

/** How kindred is started here: by its name where that is found, by npx within a project that has
 * it, or by its file. */
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

/** Whether npx finds kindred from this folder without the network: the project around it is
 * Kindred, or has it. */
function reachedByNpx(cwd: string): boolean {
  for (let folder = cwd; ; folder = dirname(folder)) {
    const isRoot = ['package.json', 'node_modules'].some((name) => existsSync(join(folder, name)))
    if (isRoot)
      return existsSync(join(folder, 'node_modules', '.bin', 'kindred')) || isKindred(folder)
    if (dirname(folder) === folder) return false
  }
}

/** Whether a folder is a checkout, whose own program npx runs. */
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

/** The path from `cwd`, where that is no longer than the path itself. */
function shortest(path: string, cwd: string): string {
  const whole = resolve(cwd, path)
  const near = relative(existing(cwd), existing(whole))
  return near.length < whole.length && existsSync(resolve(cwd, near)) ? near : whole
}

function existing(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** A word as a shell reads it back: bare where nothing in it means anything to a shell, else in
 * quotes. */
export function quoted(word: string, platform: NodeJS.Platform = process.platform): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word
  if (platform === 'win32') return /^[\w\\@+=:,./-]+$/.test(word) ? word : `"${word}"`
  if (printable(word) === word) return `'${word.replaceAll("'", "'\\''")}'`
  // between $' and ' bash, zsh and ksh read bytes that are spelled out
  const spelled = Array.from(word, (c) =>
    printable(c) === c ? c.replace(/[\\']/, '\\$&') : bytesOf(c),
  )
  return `$'${spelled.join('')}'`
}

/** The bytes of a character in UTF-8: '\\xc2\\x9b'. */
const bytesOf = (character: string) =>
  Array.from(
    new TextEncoder().encode(character),
    (byte) => `\\x${byte.toString(16).padStart(2, '0')}`,
  ).join('')
