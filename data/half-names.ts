// Reads halves of a set from the names of folders: train, Testing, val2017, mydata-train.

const word = (names: string) =>
  new RegExp(
    `^(?:seg|images?|imgs?|data|dataset)?[ _-]?(?:${names})[ _-]?(?:set|data|dataset|images?|imgs?)?\\d*$`,
    'i',
  )
const TRAIN = word('train|training|trn')
/** Names of test halves, the preferred ones first. */
const TESTS = [
  word('test|testing|tst'),
  word('val'),
  word('valid'),
  word('validation'),
  word('eval|dev'),
]

/** Tells whether a name is that of a training half: 'train', 'Training', 'train_images'. */
export const isTrain = (name: string): boolean => TRAIN.test(name)

/** Tells whether a name is that of a training or test half. */
export const isHalf = (name: string): boolean =>
  [TRAIN, ...TESTS].some((pattern) => pattern.test(name))

export interface Halves {
  readonly train: string
  /** Test halves, the preferred one first. */
  readonly tests: readonly string[]
}

/** Finds the halves among the folders of a folder: those named as halves, else those that differ in
 *  a half's word alone, as mydata-train and mydata-val do. Returns null where there is no such
 *  pair, or more than one. */
export function halvesIn(names: readonly string[]): Halves | null {
  const sorted = [...names].sort()
  const own = paired(sorted.map((name) => ({ name, half: name })))
  if (own) return own
  const pairs = [...groups(sorted).values()].flatMap((group) => paired(group) ?? [])
  return pairs.length === 1 && pairs[0] ? pairs[0] : null
}

/** A folder's name, and the part of it that may name a half. */
interface Named {
  readonly name: string
  readonly half: string
}

function paired(names: readonly Named[]): Halves | null {
  const train = names.filter(({ half }) => TRAIN.test(half)).map(({ name }) => name)
  const tests = TESTS.flatMap((pattern) => names.filter(({ half }) => pattern.test(half)))
  const last = train.includes('train') ? 'train' : train.at(-1)
  return last !== undefined && tests.length > 0
    ? { train: last, tests: tests.map(({ name }) => name) }
    : null
}

/** Groups names by the rest of them beside a half's word: x_train and X-test by 'x *'. */
function groups(names: readonly string[]): Map<string, Named[]> {
  const found = new Map<string, Named[]>()
  for (const name of names) {
    const parts = name
      .normalize('NFC')
      .toLowerCase()
      .split(/[ _.-]+/)
    if (parts.length < 2) continue
    parts.forEach((half, i) => {
      if (!isHalf(half)) return
      const rest = parts.map((part, j) => (j === i ? '*' : part)).join(' ')
      found.set(rest, [...(found.get(rest) ?? []), { name, half }])
    })
  }
  return found
}

/** Returns the class names that look like halves, when both kinds are among them (trainA, testA) or
 *  all do (test, val). Names such as trainer, contest and interval do not. */
export function halfLike(classes: readonly string[]): readonly string[] {
  const kinds = classes.map(halfWord)
  const like = classes.filter((_, i) => kinds[i] !== null)
  const isMixed = kinds.includes('train') && kinds.includes('test')
  return isMixed || like.length === classes.length ? like : []
}

/** Returns the kind of half that a name begins or ends with; null for none. */
function halfWord(name: string): 'train' | 'test' | null {
  const words = 'training|train|testing|test|validation|valid|val'
  const kind = (found: string) => (/^tr/i.test(found) ? 'train' : 'test')
  for (const [, first = '', rest = ''] of name.matchAll(new RegExp(`^(${words})(.*)$`, 'gi')))
    if (!/^\p{Ll}/u.test(rest)) return kind(first)
  for (const [, rest = '', last = ''] of name.matchAll(new RegExp(`^(.*?)(${words})$`, 'gi')))
    if (!/\p{L}$/u.test(rest) || (/\p{Ll}$/u.test(rest) && /^\p{Lu}/u.test(last))) return kind(last)
  return null
}

/** Returns the class names when all look like parts of one set: fold1, fold2. */
export const partLike = (classes: readonly string[]): readonly string[] =>
  classes.every((name) => /^(fold|split|part|batch|chunk|shard|subset)[ _.-]?\d+$/i.test(name))
    ? classes
    : []
