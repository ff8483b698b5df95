// Checks what plain JavaScript passes to a public function: names of options, their values,
// tensors. Imports nothing, so that every other file may import it.

/** What a value must be. */
export interface Rule {
  /** Completes the sentence "<name> must be ...". */
  readonly words: string
  readonly fits: (value: unknown) => boolean
  /** The values to choose from, where they are words. */
  readonly choices?: readonly string[]
}

/** The rule of an option that must be given. */
export interface Needed extends Rule {
  readonly needed: true
}

/** One rule for each option of T. Those without a default are `Needed`. */
export type Rules<T> = {
  readonly [K in keyof T]-?: Partial<Pick<T, K>> extends Pick<T, K> ? Rule : Needed
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** Whether a value is a tensor, a variable included. */
export const isTensor = (value: unknown): value is { readonly shape: readonly number[] } =>
  isObject(value) && 'gpu' in value && 'shape' in value

export const rule = (words: string, fits: Rule['fits']): Rule => ({ words, fits })

export const flag = rule('true or false', (v) => typeof v === 'boolean')
export const number = rule('a number', (v) => typeof v === 'number' && !Number.isNaN(v))
export const finiteNumber = rule('a finite number', (v) => Number.isFinite(v))
export const notNegative = rule(
  'a number from 0 to 3.4e38',
  (v) => typeof v === 'number' && v >= 0 && Math.fround(v) < Infinity,
)
export const positive = rule('a number above 0', (v) => typeof v === 'number' && v > 0)
export const share = rule('a number from 0 to 1', (v) => typeof v === 'number' && v >= 0 && v <= 1)
export const count = rule('a whole number from 1 on', (v) => Number.isInteger(v) && Number(v) >= 1)
/** An array of whole numbers from 1 on, at least one. */
export const counts = rule(
  'an array of whole numbers from 1 on',
  (v) => Array.isArray(v) && v.length > 0 && v.every(count.fits),
)
export const whole = rule('a whole number from 0 on', (v) => Number.isInteger(v) && Number(v) >= 0)
export const callback = rule('a function', (v) => typeof v === 'function')
export const tensor = rule('a tensor', isTensor)
export const variable = rule('a variable', (v) => isTensor(v) && 'mutable' in v)
export const record = rule('an object', (v) => isObject(v) && !Array.isArray(v))
export const text = rule('a string', (v) => typeof v === 'string')
/** Allows anything: other code checks it, with a message of its own. */
export const anything = rule('given', () => true)
/** Allows anything. The words complete the message for a missing option. */
export const said = (words: string): Rule => rule(words, () => true)
/** A number, or a function that returns it for each step. */
export const scalar = rule('a number or a function of none, () => number', (v) =>
  typeof v === 'function' ? v.length === 0 : number.fits(v),
)
/** A number, or a function of the step. */
export const scheduled = rule(
  'a number or a function of the step, t => number',
  (v) => typeof v === 'function' || number.fits(v),
)

const listed = (words: readonly string[]) =>
  words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`

/** One of several words. */
export const oneOf = (...choices: readonly string[]): Rule => ({
  words: listed(choices.map((choice) => `'${choice}'`)),
  fits: (v) => typeof v === 'string' && choices.includes(v),
  choices,
})

/** The rule, or null. */
export const orNull = ({ words, fits, ...more }: Rule): Rule => ({
  ...more,
  words: `${words}, or null`,
  fits: (v) => v === null || fits(v),
})

/** Either of two rules. */
export const either = (a: Rule, b: Rule): Rule =>
  rule(`${a.words}, or ${b.words}`, (v) => a.fits(v) || b.fits(v))

/** An object that has all of these members. */
export const having = (words: string, ...members: readonly string[]): Rule =>
  rule(words, (v) => isObject(v) && members.every((member) => member in v))

/** The Gpu that models, scalers and others are made on. */
export const onGpu = having('a Gpu, as openGpu() resolves to', 'variable', 'run', 'device')

/** An array of two numbers. */
export const twoNumbers = rule(
  'two numbers',
  (v) => Array.isArray(v) && v.length === 2 && v.every(number.fits),
)

/** The rule of an option that has no default. */
export const needed = (of: Rule): Needed => ({ ...of, needed: true })

/** Checks options and returns them, {} for undefined. Throws TypeError, in the name of `owner`, for
 *  an option that is unknown, is missing, or breaks its rule. */
export function checkOptions<T extends object>(
  owner: string,
  given: T | undefined,
  rules: Rules<T>,
): T {
  const known: Readonly<Record<string, Rule | Needed>> = rules
  if (given !== undefined && (!isObject(given) || Array.isArray(given) || isTensor(given)))
    throw new TypeError(
      `${owner}: options must be an object with ${Object.keys(known).join(', ')}, got ${describe(given)}`,
    )
  const options = given ?? ({} as T) // missing options throw below
  const values = options as Readonly<Record<string, unknown>>
  for (const name of Object.keys(options)) {
    const wanted = Object.hasOwn(known, name) ? known[name] : undefined
    if (!wanted) throw unknownOption(owner, name, Object.keys(known))
    if (values[name] !== undefined && !wanted.fits(values[name]))
      checkValue(owner, name, values[name], wanted)
  }
  for (const name in known) {
    const wanted = known[name]
    if (wanted && 'needed' in wanted && values[name] === undefined)
      throw new TypeError(`${owner}: ${name} is missing; it must be ${wanted.words}`)
  }
  return options
}

/** Checks the value of an argument and returns it. Throws TypeError in the name of `owner`. */
export function checkValue<T>(
  owner: string,
  name: string,
  value: T,
  { words, fits, choices }: Rule,
): T {
  if (fits(value)) return value
  const near = typeof value === 'string' && choices ? nearestName(value, choices) : undefined
  const hint =
    value instanceof Promise ? '; await it' : near === undefined ? '' : `; did you mean '${near}'?`
  throw new TypeError(`${owner}: ${name} must be ${words}, got ${describe(value)}${hint}`)
}

/** Checks a number now, or each number that a function returns when it is called. */
export function checkScalar(
  owner: string,
  name: string,
  value: number | (() => number),
  of: Rule,
): number | (() => number) {
  const words = `${of.words}, or a function of none, () => number`
  const fits = (v: unknown) => (typeof v === 'function' ? v.length === 0 : of.fits(v))
  checkValue(owner, name, value, { words, fits })
  return typeof value === 'function' ? () => checkValue(owner, name, value(), of) : value
}

/** Throws TypeError unless the argument is a tensor. */
export function checkTensor(owner: string, name: string, value: unknown) {
  if (!isTensor(value)) throw notTensor(owner, name, value)
}

/** The error for a value that should be a tensor. */
export function notTensor(owner: string, name: string, value: unknown): TypeError {
  const numbers = typeof value === 'number' || Array.isArray(value) || ArrayBuffer.isView(value)
  const remedy = numbers
    ? '; put values on the GPU with gpu.tensor(values, shape)'
    : value instanceof Promise
      ? '; await it'
      : ''
  return new TypeError(`${owner}: ${name} must be a tensor, got ${describe(value)}${remedy}`)
}

function unknownOption(owner: string, name: string, known: readonly string[]): TypeError {
  const near = nearestName(name, known)
  const all = known.join(', ')
  const hint =
    near === undefined
      ? `; its options are ${all}`
      : `; did you mean '${near}'? Its options are ${all}`
  return new TypeError(`${owner}: there is no option '${name}'${hint}`)
}

/** The known name that a misspelt one probably means: one that differs by few letters, or has the
 *  same beginning. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const plain = (word: string) => word.toLowerCase().replaceAll(/[_-]/g, '')
  const given = plain(name)
  if (given.length < 2) return undefined
  const most = Math.max(1, Math.floor(given.length / 3))
  const measured = known.map((word) => ({ word, far: distance(given, plain(word)) }))
  const [best] = measured.sort((a, b) => a.far - b.far)
  if (best && best.far <= most) return best.word
  return known.find((word) => {
    const other = plain(word)
    return other.startsWith(given) || (other.length > 2 && given.startsWith(other))
  })
}

/** The fewest letters to add, drop, replace or swap with the next one that turn one word into
 *  another (Damerau 1964). */
function distance(a: string, b: string): number {
  let [before, row]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      const least = Math.min(
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
        (row[j - 1] ?? 0) + Number(!same),
      )
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      next.push(swapped ? Math.min(least, (before[j - 2] ?? 0) + 1) : least)
    }
    before = row
    row = next
  }
  return row[b.length] ?? 0
}

const MAX_NAMES = 6

/** A value in a few words, for messages. */
export function describe(value: unknown): string {
  if (typeof value === 'string')
    return `'${value.length > 40 ? `${value.slice(0, 40)}...` : value}'`
  if (typeof value === 'function') return 'a function'
  if (!isObject(value)) return typeof value === 'bigint' ? `${value}n` : String(value)
  if (isTensor(value)) return `a ${showTensor(value)}`
  if (value instanceof Promise) return 'a promise'
  if (Array.isArray(value))
    return value.length === 0 ? 'an empty array' : `an array of ${value.length}`
  const { constructor: maker } = value as { constructor?: { name?: unknown } } // an object may have none
  const kind = typeof maker?.name === 'string' ? maker.name : ''
  if (ArrayBuffer.isView(value)) return `${withArticle(kind)} of ${value.byteLength} bytes`
  if (kind !== '' && kind !== 'Object') return withArticle(kind)
  const names = Object.keys(value)
  if (names.length === 0) return 'an empty object'
  return `an object with ${names.slice(0, MAX_NAMES).join(', ')}${names.length > MAX_NAMES ? ', ...' : ''}`
}

const withArticle = (name: string) => `${/^[AEIO]/.test(name) ? 'an' : 'a'} ${name}`

/** A tensor in a few words: 'Tensor f32 [2, 3]'. */
export const showTensor = (t: { readonly shape: readonly number[] }): string =>
  `${'mutable' in t ? 'Variable' : 'Tensor'} ${'dtype' in t ? String(t.dtype) : ''} [${t.shape.join(', ')}]`

/** The method that Node's `console.log` calls for an object's text. */
export const inspect: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never
