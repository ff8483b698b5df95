// The commands kindred embed, search and curate: their options and help.

import { type Command, InvalidArgumentError } from 'commander'
import { command as commandLine } from '../command.ts'
import { adapterOption, robustnessOption } from '../gpu-options.ts'
import { readCount, readInteger } from '../numbers.ts'
import { precisionHelp } from '../precision.ts'
import type { Finish } from '../program.ts'
import { sources } from '../train-options.ts'
import { type ClassifyFlags, classifyImages } from './classify.ts'
import { type CurateFlags, curateDuplicates, curateOutliers, curateSelection } from './curate.ts'
import { type EmbedFlags, embedImages } from './embed.ts'
import { type SearchFlags, searchImages } from './search.ts'

/** Adds `kindred embed`, `kindred search`, `kindred classify` and `kindred curate`. */
export function addSee(program: Command, finish: Finish) {
  addEmbed(program).action((run: string, images: string[], flags: EmbedFlags) =>
    finish(embedImages(run, images, flags)),
  )
  addSearch(program).action((run: string, images: string[], flags: SearchFlags) =>
    finish(searchImages(run, images, flags)),
  )
  addClassify(program).action((network: string, images: string[], flags: ClassifyFlags) =>
    finish(classifyImages(network, images, flags)),
  )
  const curate = program
    .command('curate')
    .description('look through a set of images: copies, odd ones, those most worth a label')
  addDuplicates(curate).action((run: string, flags: CurateFlags) =>
    finish(curateDuplicates(run, flags)),
  )
  addOutliers(curate).action((run: string, flags: CurateFlags) =>
    finish(curateOutliers(run, flags)),
  )
  addSelect(curate).action((n: number, run: string, flags: CurateFlags) =>
    finish(curateSelection(n, run, flags)),
  )
}

const RUN = 'run folder of a training, or a checkpoint'

const common = (own: Command) =>
  own
    .option('--data <source>', `other images than the run's: ${sources()}`)
    .option('--half <name>', 'train or test: that half of the images alone (default: all)')
    .option('--checkpoint <file>', 'newest, best, or a checkpoint (default: newest)')
    .option(
      '--layer <name>',
      "features (the encoder's) or embedding (the head's) (default: what the run's kNN compares)",
    )
    .option('--precision <kind>', `${precisionHelp} (default: as the run)`)
    .addOption(adapterOption())
    .addOption(robustnessOption())
    .option('--force', 'replace files that exist')
    .option('--json', 'print one machine-readable line only')

const addEmbed = (program: Command) =>
  common(
    program
      .command('embed')
      .argument('<run>', RUN)
      .argument('[images...]', "image files; the run's own set without them")
      .description('write the features of images to a file, for other programs')
      .requiredOption('--out <file>', 'file to make; its ending chooses the format, see below')
      .option('--map <kind>', 'add 2-D coordinates: pca or umap')
      .option('--seed <n>', 'seed of umap (default: 0)', readInteger)
      .option('--no-unit', 'leave rows as long as the encoder makes them, not at length 1'),
  ).addHelpText(
    'after',
    `
Formats (--out):
  NAME.safetensors  features [M, D], names (a JSON list in U8), labels [M],
                    test [M] (1 in the test half), map [M, 2]
  NAME.npy          features [M, D] for numpy.load; NAME.names.csv beside it has
                    name, class, half and coordinates of each row
  NAME.csv          name, class, half, x, y, then a column for each feature
  NAME.parquet      name, class, half, x, y and features, a list of each image
  FOLDER            vectors.tsv, metadata.tsv and sprite.png for TensorFlow's
                    projector (tensorboard --logdir FOLDER, or
                    projector.tensorflow.org)

Rows are in the order of the names, training images first.

Examples:
  ${commandLine('embed', 'runs/photos', '--out', 'photos.safetensors')}
  ${commandLine('embed', 'runs/photos', '--map', 'umap', '--out', 'photos.csv')}
  ${commandLine('embed', 'runs/photos', 'a.jpg', 'b.jpg', '--out', 'two.npy')}`,
  )

const addSearch = (program: Command) =>
  common(
    program
      .command('search')
      .argument('<run>', RUN)
      .argument('<images...>', 'image files to search for')
      .description('find the images that are nearest to given ones')
      .option('--k <n>', 'images to find for each (default: 10)', readCount)
      .option('--html <file>', 'write a gallery too, one file that opens anywhere'),
  ).addHelpText(
    'after',
    `
Each line has rank, cosine (1 for an equal image), class and path. An image that
is in the set itself is left out of its own list.

Examples:
  ${commandLine('search', 'runs/photos', 'cat.jpg', '--html', 'cat.html')}
  ${commandLine('search', 'runs/photos', 'cat.jpg', '--data', 'folder:other', '--k', '5')}`,
  )

const addClassify = (program: Command) =>
  program
    .command('classify')
    .argument('<network>', 'file of a fine-tuned network, as eval finetune saves it')
    .argument('[images...]', 'image files')
    .description('tell what images are, by a fine-tuned network')
    .option('--data <source>', `a set of images instead of files: ${sources()}`)
    .option('--half <name>', 'train or test: that half of the set alone (default: all)')
    .option('--top <n>', 'classes to print of each image (default: 1)', readCount)
    .option('--precision <kind>', `${precisionHelp} (default: as the run)`)
    .addOption(adapterOption())
    .addOption(robustnessOption())
    .option('--json', 'print one machine-readable line only')
    .addHelpText(
      'after',
      `
Each line has the path, the class and its probability, between tabs; with --top
the next classes follow.

Examples:
  ${commandLine('eval', 'finetune', 'runs/photos', '--labels', '10%')}
  ${commandLine('classify', '--top', '3')} \\
    runs/photos/few-labels/fine-tuned-10pc-seed0.safetensors cat.jpg`,
    )

const listing = (own: Command) =>
  common(
    own
      .option('--html <file>', 'write a gallery too, one file that opens anywhere')
      .option('--link <folder>', 'make a new folder of links to the listed images')
      .option('-0, --null', 'end each path with a NUL instead of a newline, for xargs -0'),
  )

const NOTHING =
  'Paths are printed on standard output, all else on standard error. No image is\n' +
  'deleted, moved or changed.'

const addDuplicates = (curate: Command) =>
  listing(
    curate
      .command('duplicates')
      .argument('<run>', RUN)
      .description('list groups of images that are almost the same')
      .option(
        '--threshold <cosine>',
        'group all images whose cosine is at least this, above 0 and at most 1, whatever ' +
          'their pixels (default: see below)',
        readThreshold,
      )
      .option('--omit-first', 'leave out the first of each group, its largest file'),
  ).addHelpText(
    'after',
    `
Looks at the 20 nearest images of each by the encoder, and keeps those whose
pixels agree (a correlation of 0.975 or more of their grey values), where one may
be a crop of the other that keeps 85 % of its sides or more. So it finds images
that were saved again, resized or cropped a little. Groups are separated by an
empty line.

Colour is not compared: a recoloured or grey copy counts as a copy. So do images
that differ only in a small spot, or by a few grey levels. Look at the gallery
before you remove any with --omit-first.

${NOTHING}

Examples:
  ${commandLine('curate', 'duplicates', 'runs/photos', '--html', 'copies.html')}
  ${commandLine('curate', 'duplicates', 'runs/photos', '--omit-first')} > extra.txt`,
  )

const addOutliers = (curate: Command) =>
  listing(
    curate
      .command('outliers')
      .argument('<run>', RUN)
      .description('list the images that are least like all others')
      .option('--top <n>', 'images to list (default: 20)', readCount)
      .option('--k <n>', 'neighbours that count (default: 10)', readCount),
  ).addHelpText(
    'after',
    `
The score of an image is the mean of 1 - cosine over its --k nearest others. The
most unlike image comes first.

${NOTHING}

Example:
  ${commandLine('curate', 'outliers', 'runs/photos', '--top', '50', '--html', 'odd.html')}`,
  )

const addSelect = (curate: Command) =>
  listing(
    curate
      .command('select')
      .argument('<n>', 'number of images', readCount)
      .argument('<run>', RUN)
      .description('list the images most worth a label')
      .option('--method <name>', 'k-centre or typical (default: see below)')
      .option('--labelled <file>', 'paths of images that have labels already, one a line')
      .option('--seed <n>', 'seed of the clusters of typical (default: 0)', readInteger),
  ).addHelpText(
    'after',
    `
Methods (--method):
  typical   the most typical image of each of N clusters (TypiClust): best for
            few labels, the default for N up to 50
  k-centre  again and again the image farthest from all chosen ones, so that no
            image is far from a label: the default for more

Then copy each listed image to labelled/CLASS/, leave the run's own images where
they are, and measure, or train on, the labelled ones:
  ${commandLine('eval', 'linear', 'runs/photos', '--data', 'folder:labelled')}
  ${commandLine('eval', 'finetune', 'runs/photos', '--data', 'folder:labelled', '--labels', '100%')}

${NOTHING}

Examples:
  ${commandLine('curate', 'select', '20', 'runs/photos', '--link', 'to-label')}
  ${commandLine('curate', 'select', '100', 'runs/photos', '--labelled', 'done.txt')}`,
  )

/** Reads a cosine above 0. */
function readThreshold(text: string) {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0 && value <= 1))
    throw new InvalidArgumentError('must be a number above 0, at most 1')
  return value
}
