// kindred summary: the layers of an encoder, with shapes, parameters and FLOPs.

import type { Command } from 'commander'
import { encoders } from '../methods/settings/encoders.ts'
import { summary } from '../models/summary.ts'
import { UsageError, choice } from '../training/choice.ts'
import { command } from './command.ts'
import { type GpuFlags, adapterOption, openRunGpu } from './gpu-options.ts'
import { readChannels, readCount, readPixels } from './numbers.ts'
import { jsonLine } from './output.ts'

interface SummaryFlags extends GpuFlags {
  readonly size?: number
  readonly width?: number
  readonly stem?: 'cifar' | 'imagenet'
  readonly patch?: number
  readonly batch?: number
  readonly json?: boolean
}

const IMAGENET = 64 // pixels, above which presets have its stem
const [LEAST, MOST] = [60, 80] // columns of a table

/** Adds the command, and returns it. */
export const addSummary = (program: Command): Command =>
  program
    .command('summary')
    .argument('<encoder>', [...encoders.keys()].join(', '))
    .description('list the layers of an encoder: output shapes, parameters, FLOPs, bytes')
    .option('--size <px>', 'side of the images (default: 32)', readPixels)
    .option('--width <channels>', "channels of a ResNet's first stage (default: 64)", readChannels)
    .option('--stem <kind>', 'of a ResNet: cifar or imagenet (default: cifar up to 64 px)')
    .option('--patch <px>', 'side of the patches (default: by the size)', readCount)
    .option('--batch <n>', 'images (default: 1)', readCount)
    .addOption(adapterOption())
    .option('--json', 'print one machine-readable line only')
    .addHelpText(
      'after',
      `
FLOPs are those of convolutions and matrix products, two for each multiply-add.

Example:
  ${command('summary', 'resnet50', '--size', '224')}`,
    )

/** Prints the layers of the encoder `name`. Throws UsageError for an unknown one. */
export async function summarise(name: string, flags: SummaryFlags): Promise<number> {
  const row = encoders.get(name)
  if (!row) throw choice('summary: encoder', name, [...encoders.keys()])
  for (const setting of ['width', 'stem', 'patch'] as const)
    if (flags[setting] !== undefined && !(setting in row.rules))
      throw new UsageError(`--${setting}: ${name} has no such setting; leave it out`)
  const { size = 32, width = 64, patch, batch = 1, json = false } = flags
  const { stem = size > IMAGENET ? 'imagenet' : 'cifar' } = flags
  if (!['cifar', 'imagenet'].includes(stem)) throw choice('--stem', stem, ['cifar', 'imagenet'])
  const gpu = await openRunGpu(flags)
  try {
    const settings = { name, stem, width, ...(patch !== undefined && { patch }), seed: 0, size }
    const found = summary(row.make(gpu, settings), [batch, size, size, 3])
    const columns = Math.min(MOST, Math.max(LEAST, process.stdout.columns ?? MOST))
    console.log(json ? jsonLine(found) : found.table(columns))
  } finally {
    gpu.destroy()
  }
  return 0
}
