// The commands kindred export and kindred import: their options and help.

import type { Command } from 'commander'
import { command as commandLine } from '../command.ts'
import { adapterOption } from '../gpu-options.ts'
import { readChannels, readFolder, readPixels } from '../numbers.ts'
import type { Finish } from '../program.ts'
import { sources } from '../train-options.ts'
import { type ExportFlags, exportEncoder } from './export.ts'
import { type ImportFlags, importEncoder } from './import.ts'

/** Adds `kindred export` and `kindred import`. */
export function addCarry(program: Command, finish: Finish) {
  addExport(program).action((run: string, flags: ExportFlags) => finish(exportEncoder(run, flags)))
  addImport(program).action((file: string, flags: ImportFlags) =>
    finish(importEncoder(file, flags)),
  )
}

const addExport = (program: Command) =>
  program
    .command('export')
    .argument('<run>', 'run folder of a training, or a checkpoint')
    .description("write a run's encoder for other programs, or the whole run for a page")
    .requiredOption('--to <file>', 'file to make; its ending chooses the format, see below')
    .option('--checkpoint <file>', 'newest, best, or a checkpoint (default: newest)')
    .option('--unit', 'onnx: end with rows of length 1, as kNN compares them')
    .option('--half', 'onnx: store and compute in f16; input and output stay f32')
    .option('--with-images', 'zip: carry the images too, as pixels, at most 1 GiB')
    .option('--no-images', 'zip: leave out the images that the run keeps')
    .option('--data <source>', 'zip: where those images are (default: where the run says)')
    .addOption(adapterOption())
    .option('--force', 'replace files that exist')
    .option('--json', 'print one machine-readable line only')
    .addHelpText(
      'after',
      `
Formats (--to):
  NAME.onnx         for ONNX Runtime and others: images [N, 3, H, W] to
                    [N, features], any N; metadata say how images are prepared
  NAME.safetensors  torchvision's names and layouts, without the classifier
  FOLDER            encoder.safetensors and encoder.json, for a page
  NAME.zip          the whole run, to go on with in a page or on another
                    machine. A page decodes photos otherwise: a run on a folder
                    goes on there with the images of --with-images alone

Examples:
  ${commandLine('export', 'runs/photos', '--to', 'photos.onnx', '--unit')}
  ${commandLine('export', 'runs/photos', '--to', 'photos.safetensors')}
  ${commandLine('export', 'runs/photos', '--to', 'photos.zip', '--with-images')}`,
    )

const addImport = (program: Command) =>
  program
    .command('import')
    .argument('<file>', "safetensors file with torchvision's names, or the .zip of a whole run")
    .description('make a run folder of a checkpoint of another program, or of a packed run')
    .requiredOption('--out <folder>', 'run folder to make', readFolder)
    .option('--model <name>', 'resnet8, resnet18, resnet34 or resnet50; needed but for a .zip')
    .option('--stem <kind>', 'cifar or imagenet (default: cifar)')
    .option(
      '--width <channels>',
      "channels of the encoder's first stage (default: 64)",
      readChannels,
    )
    .option(
      '--size <px>',
      'side of the images (default: 32, or 224 with --stem imagenet)',
      readPixels,
    )
    .option(
      '--normalize <name>',
      'imagenet, cifar10 or none: how its images are normalised (default: as the stem)',
    )
    .option('--prefix <text>', "what stands before the model's names (default: found by itself)")
    .option(
      '--data <source>',
      `images of the run: ${sources()} (default: procedural; of a .zip: its own)`,
    )
    .addOption(adapterOption())
    .option('--json', 'print machine-readable lines only')
    .addHelpText('after', importHelp)

const importHelp = `
Prefixes such as module.encoder_q. (MoCo), backbone. and encoder. are found and
printed, and so are the names in the file that are not used. A file that lacks a
tensor of the model, or has one of another shape, is refused, each by name.
To begin a training with such a file: kindred train METHOD --init FILE.

A .zip is a whole run, as kindred export or a page has written it. It takes
--out, --data and --json alone. Images that it carries go into the run folder,
where the run finds them. --data leaves them out, and says where the same images
are on this machine. kindred train METHOD --resume FOLDER goes on.

Examples:
  ${commandLine('import', 'resnet18.safetensors', '--model', 'resnet18')} \\
    --stem imagenet --data folder:photos --out runs/imagenet
  ${commandLine('import', 'photos.zip', '--out', 'runs/photos')}`
