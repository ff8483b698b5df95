// Commander's complaints in the form of all others: name, rule, value, remedy. Its help at any
// width.

import {
  type AddHelpTextContext,
  type AddHelpTextPosition,
  Command,
  InvalidArgumentError,
  type Help,
  type HelpContext,
} from 'commander'
import { nearestName } from '../kernels/options.ts'
import { UsageError } from '../training/choice.ts'
import { command } from './command.ts'
import { wrapped } from './wrapped.ts'

/** A command of commander that complains by throwing UsageError. */
export class OwnCommand extends Command {
  override createCommand(name?: string): OwnCommand {
    return new OwnCommand(name)
  }

  /** Wraps what stands beside options in narrow terminals, too. */
  override createHelp(): Help {
    return Object.assign(super.createHelp(), { minWidthToWrap: 16 })
  }

  /** Adds text to the help, wrapped to the width of the terminal. */
  override addHelpText(
    position: AddHelpTextPosition,
    text: string | ((context: AddHelpTextContext) => string),
  ): this {
    const told = typeof text === 'string' ? () => text : text
    return super.addHelpText(position, (context) => wrapped(told(context), process.stdout.columns))
  }

  /** Throws UsageError with commander's complaint in our form. */
  override error(message: string): never {
    const complaint = message.replace(/^error: /, '')
    for (const [form, reworded] of forms) {
      const match = form.exec(complaint)
      if (match) throw new UsageError(reworded(this, match))
    }
    throw new UsageError(complaint)
  }

  /** Prints the help. Throws UsageError instead where a command must follow and none does. */
  override help(context?: HelpContext | ((text: string) => string)): never {
    if (typeof context === 'function') return super.help(context)
    if (context?.error && this.parent) throw new UsageError(wrongCommand(this, undefined))
    return super.help(context)
  }

  /** Prints the help, also for --help. Throws UsageError instead for a command that is unknown. */
  override outputHelp(context?: HelpContext | ((text: string) => string)): void {
    const [name] = this.args.filter((word) => !['help', '--help', '-h'].includes(word))
    const isKnown = this.commands.some((each) => each.name() === name)
    if (this.commands.length > 0 && name !== undefined && /^[^-]/.test(name) && !isKnown)
      throw new UsageError(wrongCommand(this, name))
    if (typeof context === 'function') super.outputHelp(context)
    else super.outputHelp(context)
  }
}

type Reworded = (own: Command, match: readonly string[]) => string

/** Commander's sentences, each with ours. */
const forms: readonly (readonly [RegExp, Reworded])[] = [
  [
    /^option '(\S+).*?' argument '(.*)' is invalid\. (.*?)\.?$/s,
    (_, [, option = '', value = '', rule = '']) =>
      `${option}: ${rule.replace('Allowed choices are', 'must be one of')}, got ${value || "''"}`,
  ],
  [
    /^command-argument value '(.*)' is invalid for argument '(.*?)'\. (.*?)\.?$/s,
    (own, [, value = '', name = '', rule = '']) => wrongArgument(own, { value, name, rule }),
  ],
  [
    /^option '((\S+).*)' argument missing/,
    (_, [, whole = '', option = '']) => `${option}: must have a value, as in ${whole}, got none`,
  ],
  [
    /^required option '((\S+).*)' not specified/,
    (own, [, whole = '', option = '']) => {
      const wrong = own.args.find((word) => /^--?\w/.test(word)) // commander names it no more
      const hint = wrong === undefined ? '' : `; ${wrong} is not known`
      return `${option}: must be given, as in ${whole}, got none${hint}`
    },
  ],
  [/^unknown option '(.*?)'/s, (own, [, option = '']) => unknownOption(own, option)],
  [/^unknown command '(.*?)'/s, (own, [, name]) => wrongCommand(own, name)],
  [
    /^missing required argument '(.*)'/,
    (own, [, name = '']) =>
      `${pathOf(own).join(' ')}: must be followed by <${name}>, got none; ${usageOf(own)}`,
  ],
  [
    /^too many arguments/,
    (own) => {
      const most = own.registeredArguments.length
      const others = own.args.slice(most).join(' ')
      return (
        `${pathOf(own).join(' ')}: takes ${most || 'no'} argument${most === 1 ? '' : 's'}; ` +
        `leave out ${others}`
      )
    },
  ],
]

/** Writes the complaint about a wrong value of an argument. */
const wrongArgument = (
  own: Command,
  { value, name, rule }: { readonly value: string; readonly name: string; readonly rule: string },
): string => `${pathOf(own).join(' ')}: <${name}> ${rule}, got ${value || "''"}; ${usageOf(own)}`

/** Says how a command and what it needs are typed: 'type: kindred search <run> <images...>'. */
function usageOf(own: Command): string {
  const needed = own.registeredArguments.filter(({ required }) => required)
  const names = needed.map((each) => `<${each.name()}${each.variadic ? '...' : ''}>`)
  return `type: ${command(...pathOf(own))} ${names.join(' ')}`
}

/** Writes the complaint about a negative number where an argument must be another, null if it is
 *  none: commander takes it for an option. */
function wrongNegative(own: Command, value: string): string | null {
  if (!/^-[\d.]/.test(value)) return null
  for (const each of own.registeredArguments)
    try {
      each.parseArg?.(value, undefined)
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error
      return wrongArgument(own, { value, name: each.name(), rule: error.message })
    }
  return null
}

/** Writes the complaint about an unknown option, with the nearest known one. */
function unknownOption(own: Command, option: string): string {
  const negative = wrongNegative(own, option)
  if (negative !== null) return negative
  const names = own.options.flatMap(({ long }) => long ?? [])
  const near = nearestName(option, names)
  const help = `${command(...pathOf(own), '--help')} lists the options`
  return `${option}: is not known; ${near === undefined ? help : `did you mean ${near}?`}`
}

/** Commands by other words for them. */
const otherWords: Readonly<Record<string, readonly string[]>> = {
  nearest: ['search'],
  neighbours: ['search'],
  neighbors: ['search'],
  similar: ['search'],
  copies: ['curate', 'duplicates'],
  probe: ['eval', 'linear'],
  'fine-tune': ['eval', 'finetune'],
  evaluate: ['eval'],
  predict: ['classify'],
}

/** Writes the complaint about a wrong or missing command behind `own`, with an example. */
function wrongCommand(own: Command, got: string | undefined): string {
  const path = pathOf(own)
  const names = own.commands.map((each) => each.name())
  const rule = path.length === 0 ? 'command: must be' : `${path.join(' ')}: must be followed by`
  const remedy = remedyFor(own, got) ?? `type ${command(...path, '--help')} for help`
  return `${rule} one of ${names.join(', ')}, got ${got ?? 'none'}; ${remedy}`
}

/** Says what to type for a wrong or missing command behind `own`, null if that is unknown. */
function remedyFor(own: Command, got: string | undefined): string | null {
  if (got === 'serve' || got === 'service')
    return 'a server is a program of yours, see docs/serving.md'
  const names = own.commands.map((each) => each.name())
  const elsewhere = got === undefined ? undefined : meant(rootOf(own), got)
  const near = got === undefined ? names[0] : nearestName(got, names)
  const words = elsewhere ?? (near === undefined ? null : [...pathOf(own), near])
  return words && `type for example: ${command(...words)}`
}

/** Finds the command that a word means anywhere: one of its name behind another, or by another
 *  word. */
function meant(root: Command, word: string): readonly string[] | undefined {
  const name = word.toLowerCase()
  const holder = root.commands.find(({ commands }) => commands.some((each) => each.name() === name))
  if (holder) return [holder.name(), name]
  return Object.hasOwn(otherWords, name) ? otherWords[name] : undefined
}

const rootOf = (own: Command): Command => (own.parent ? rootOf(own.parent) : own)

/** Lists the words that lead to a command: ['train', 'simclr']. */
const pathOf = (own: Command): readonly string[] =>
  own.parent ? [...pathOf(own.parent), own.name()] : []
