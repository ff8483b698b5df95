// The options of `kindred train` as data: name, setting, type and help.

/** Type of an option's value. */
export type Reading =
  | 'count'
  | 'channels'
  | 'features'
  | 'positive'
  | 'temperature'
  | 'share'
  /** One of the words that the setting's rule allows. */
  | 'word'
  /** No value: true, or false for --no-... */
  | 'switch'

/** An option of one setting. */
export interface Flag {
  /** Option and value: '--queue <keys>'. */
  readonly option: string
  readonly help: string
  /** Path of the setting: 'momentum.start'. */
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

/** Options of the length, the batch and the rate of a training. */
export const epochsFlag = option('--epochs <n>', 'epochs', 'count', 'times through the data')
export const batchFlag = option(
  '--batch <n>',
  'batch',
  'count',
  "images per step (default: the preset's, less for a small set)",
)
export const lrFlag = option(
  '--lr <rate>',
  'schedule.lr',
  'positive',
  'learning rate per step, before the schedule',
)
/** An option of every method, listed after its own. */
export const chunkFlag = option(
  '--chunk <n>',
  'chunk',
  'count',
  'images encoded at a time: any batch fits the memory, with a second forward pass (default: all)',
)

/** Options of the methods with an encoder of the table and a head. */
export const towerFlags: readonly Flag[] = [
  option(
    '--model <name>',
    'model.name',
    'word',
    "encoder: resnet8, resnet18, resnet34, resnet50, vit-tiny, vit-small or convnext-tiny (default: the preset's; " +
      'resnet8 of width 16 on a CPU)',
  ),
  option(
    '--width <channels>',
    'model.width',
    'channels',
    "channels of a ResNet's first stage; 64 is the paper's",
  ),
  option(
    '--stem <kind>',
    'model.stem',
    'word',
    'of a ResNet: cifar (3x3, keeps the size) or imagenet (7x7 stride 2 and max-pool)',
  ),
  option(
    '--patch <px>',
    'model.patch',
    'count',
    "side of a transformer's patches, or of ConvNeXt's stem (default: by the size of the images)",
  ),
  option(
    '--drop-path <p>',
    'model.dropPath',
    'share',
    "probability of dropping a branch of a transformer's or ConvNeXt's last block (default: 0)",
  ),
  epochsFlag,
  batchFlag,
  lrFlag,
  option(
    '--temperature <t>',
    'temperature',
    'temperature',
    'temperature of the loss; a smaller one weights the nearest negatives more',
  ),
]

/** Returns the name of an option's value: bnSplits for '--bn-splits', shuffle for
 *  '--no-shuffle'. */
export const nameOf = ({ option: typed }: Pick<Flag, 'option'>): string =>
  longOf(typed)
    .replace(/^--(no-)?/, '')
    .replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())

/** Returns the option without its value: '--queue' of '--queue <keys>'. */
export const longOf = (typed: string): string => typed.split(' ')[0] ?? typed
