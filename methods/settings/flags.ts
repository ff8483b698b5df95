// The options of `kindred train` as data: what each is called, which setting it gives, and what it
// says of itself.

/** How the text behind an option is read. */
export type Reading =
  | 'count'
  | 'channels'
  | 'features'
  | 'positive'
  | 'temperature'
  | 'share'
  /** One of the words that the setting's rule allows. */
  | 'word'
  /** Nothing stands behind it: true, or false for --no-... */
  | 'switch'

/** An option that gives one setting. */
export interface Flag {
  /** As it is typed, with what stands behind it: '--queue <keys>'. */
  readonly option: string
  readonly help: string
  /** The path of the setting: 'momentum.start'. */
  readonly setting: string
  readonly reading: Reading
}

/** Makes an option. */
export const option = (typed: string, setting: string, reading: Reading, help: string): Flag => ({
  option: typed,
  setting,
  reading,
  help,
})

/** Options of the length and the rate of a training. */
export const epochsFlag = option('--epochs <n>', 'epochs', 'count', 'times through the data')
export const batchFlag = option(
  '--batch <n>',
  'batch',
  'count',
  "images per step (default: the preset's, fewer for a small set)",
)
export const lrFlag = option(
  '--lr <rate>',
  'schedule.lr',
  'positive',
  'learning rate per step, before the schedule',
)
/** An option that every method takes, behind its own. */
export const chunkFlag = option(
  '--chunk <n>',
  'chunk',
  'count',
  'images encoded at a time, so that any batch fits the memory at the price of a second forward (default: all)',
)

/** Options of the methods with an encoder of the table and a head. */
export const towerFlags: readonly Flag[] = [
  option(
    '--model <name>',
    'model.name',
    'word',
    "encoder: resnet8, resnet18, resnet34 or resnet50 (default: the preset's; resnet8 of width 16 on a CPU)",
  ),
  option(
    '--width <channels>',
    'model.width',
    'channels',
    "channels of the encoder's first stage; 64 is the paper's",
  ),
  option(
    '--stem <kind>',
    'model.stem',
    'word',
    'cifar (3x3, keeps the size) or imagenet (7x7 stride 2 and max-pool)',
  ),
  epochsFlag,
  batchFlag,
  lrFlag,
  option(
    '--temperature <t>',
    'temperature',
    'temperature',
    "the loss's temperature: smaller looks harder at the nearest negatives",
  ),
]

/** The name of an option's value among those that a command was given: '--bn-splits' is bnSplits,
 *  '--no-shuffle' is shuffle. */
export const nameOf = ({ option: typed }: Pick<Flag, 'option'>): string =>
  longOf(typed)
    .replace(/^--(no-)?/, '')
    .replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())

/** The option as it is typed, without what stands behind it. */
export const longOf = (typed: string): string => typed.split(' ')[0] ?? typed
