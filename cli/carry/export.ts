// kindred export: a run's encoder as a file for other programs, or the whole run.

import { lookAt } from '../../data/paths.ts'
import { counted } from '../../data/words.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { encodeSafetensors } from '../../engine/safetensors.ts'
import { exportOnnx } from '../../models/export-onnx.ts'
import { saveModel } from '../../models/state.ts'
import { printable } from '../../kernels/printable.ts'
import { openEncoder } from '../../run-folder/saved-encoder.ts'
import { UsageError } from '../../training/choice.ts'
import { jsonLine } from '../output.ts'
import { type GpuFlags, openRunGpu } from '../gpu-options.ts'
import { type FileParts, checkFree, leaveClean, writeNew } from '../see/out-file.ts'
import { writeFolder } from '../see/out-folder.ts'
import { seenOf } from '../see/pictures.ts'
import { type ExportedEncoder, pageSettings } from './exported.ts'
import { preparationOf } from '../../kernels/augment/preparation.ts'
import { exportRun } from './whole-run.ts'

/** Options of kindred export. */
export interface ExportFlags extends GpuFlags {
  readonly to: string
  readonly checkpoint?: string
  /** True ends ONNX with rows of length 1. */
  readonly unit?: boolean
  /** True stores and computes ONNX in f16. */
  readonly half?: boolean
  /** True carries the images in a .zip. */
  readonly withImages?: boolean
  /** False leaves out of a .zip the images that the run keeps. */
  readonly images?: boolean
  /** Where they are; by default as the run says. */
  readonly data?: string
  readonly force?: boolean
  readonly json?: boolean
}

/** Writes the encoder of a run, and returns the exit code. Throws Error in words. */
export async function exportEncoder(run: string, flags: ExportFlags): Promise<number> {
  const { to, checkpoint, force = false, json = false } = flags
  leaveClean()
  const kind = await checkTarget(flags)
  if (kind === 'zip') return exportRun(run, flags)
  const saved = await openEncoder(run, {
    layer: 'features',
    ...(checkpoint !== undefined && { checkpoint }),
  })
  for (const line of saved.damaged) console.error(`kindred: ${printable(line)}`)
  const gpu = await openRunGpu(flags)
  try {
    const model = await saved.build(gpu)
    const given = { ...saved, model }
    const files =
      kind === 'folder'
        ? await writeFolder('--to', to.replace(/\/+$/, ''), await pageFiles(gpu, given), force)
        : [to]
    if (kind === 'onnx') await writeNew('--to', to, [await onnxOf(gpu, given, flags)], force)
    if (kind === 'safetensors') await writeNew('--to', to, [await weightsOf(gpu, given)], force)
    const result = { ...seenOf(run, saved), kind, features: model.features, files }
    const words = `${saved.config.model.name} of ${counted(model.features, 'feature')} in `
    process.stdout.write(`${json ? jsonLine(result) : words + files.map(printable).join(', ')}\n`)
    return 0
  } finally {
    gpu.destroy()
  }
}

/** Reads the kind of file from the ending of --to. Throws UsageError for another ending or options
 *  of another kind, and Error for a file that exists. */
async function checkTarget({ to, unit, half, withImages, images, data, force }: ExportFlags) {
  const ending = /\.[^./]+$/.exec(to)?.[0] ?? ''
  const kind = to.endsWith('/') || ending === '' ? 'folder' : ending.slice(1)
  if (kind !== 'folder' && kind !== 'onnx' && kind !== 'safetensors' && kind !== 'zip')
    throw new UsageError(
      `--to: must end in .onnx, .safetensors or .zip, or be a folder without an ending, got ${to}`,
    )
  if (kind !== 'onnx' && (unit || half))
    throw new UsageError(`--${unit ? 'unit' : 'half'}: is of .onnx files; leave it out`)
  if (kind !== 'zip' && (withImages || data !== undefined))
    throw new UsageError(`--${withImages ? 'with-images' : 'data'}: is of .zip files; leave it out`)
  if (images === false && (kind !== 'zip' || withImages))
    throw new UsageError(
      `--no-images: ${withImages ? 'is the opposite of --with-images' : 'is of .zip files'}; leave it out`,
    )
  if (kind !== 'folder') await checkFree('--to', to, force)
  else {
    const { status } = await lookAt(to)
    if (status && !(force && status.isDirectory()))
      throw new Error(`--to: ${to} exists; add --force to replace files in it, or name another`)
  }
  return kind
}

/** Makes an ONNX file, which says how its images are prepared. */
function onnxOf(gpu: Gpu, { model, ...saved }: ExportedEncoder, flags: ExportFlags) {
  const { unit = false, half = false } = flags
  const { size } = saved.config
  const metadata = {
    'kindred.image': JSON.stringify(preparationOf(saved.transform, size)),
    'kindred.rows': unit ? 'of length 1' : 'as the encoder makes them',
  }
  return exportOnnx(gpu, model, { input: [size, size, 3], unit, half, metadata })
}

/** Makes a safetensors file with torchvision's names. */
async function weightsOf(gpu: Gpu, { model, ...saved }: ExportedEncoder): Promise<Uint8Array> {
  const metadata = {
    'kindred.image': JSON.stringify(preparationOf(saved.transform, saved.config.size)),
  }
  return encodeSafetensors({ tensors: await saveModel(gpu, model), metadata })
}

/** Makes the files that a page needs. */
const pageFiles = async (
  gpu: Gpu,
  given: ExportedEncoder,
): Promise<readonly (readonly [string, FileParts])[]> => [
  ['encoder.safetensors', [await weightsOf(gpu, given)]],
  ['encoder.json', [new TextEncoder().encode(`${JSON.stringify(pageSettings(given), null, 2)}\n`)]],
]
