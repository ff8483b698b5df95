// Checks that a run can resume from its checkpoint: settings and images must be the same.

import type { Dataset } from '../data/dataset.ts'
import { counted } from '../data/words.ts'
import { printable } from '../kernels/printable.ts'
import { methodOf } from '../methods/registry.ts'
import { checkConfig } from './check-config.ts'
import type { TrainConfig } from './run-schema.ts'
import { type Digests, holdsImages, isOf } from './fingerprint.ts'
import { type Changes, changesSince, describeChanges, holdsSettings } from './history.ts'
import type { Checkpoint, TrainingStorage } from './storage.ts'

type Saved = Pick<Checkpoint, 'step' | 'metadata'>
type SavedFile = Pick<Checkpoint, 'step' | 'metadata' | 'path'>

/** Settings that may change in a resumed run: those with a flag beside --resume, and those that
 *  change no step. */
const FREE = ['epochs', 'schedule.lr', 'checkpointEvery']
const isFree = (path: string, changes: Changes) =>
  FREE.includes(path) ||
  path.startsWith('knn.') ||
  (path === 'schedule.firstEpoch' && 'epochs' in changes)

/** Names of a storage and of its settings. */
type Named = Pick<TrainingStorage, 'name' | 'nameOf'>

/** Throws Error with the settings that differ from the checkpoint's and must not. `what` names the
 *  configuration. */
export function checkSettings(
  storage: Named,
  { step, metadata }: Saved,
  config: TrainConfig,
  what = 'config.json',
) {
  const changes = changesSince(metadata, config)
  const fixed = Object.entries(changes).filter(([path]) => !isFree(path, changes))
  if (fixed.length === 0) return
  const back = fixed.map(([path, { from }]) => `${path} ${JSON.stringify(from)}`).join(', ')
  throw new Error(
    `${storage.name}: ${what} has other settings than the checkpoint of step ${step}: ` +
      `${describeChanges(Object.fromEntries(fixed))}; a run that has begun keeps them, but for ` +
      `${storage.nameOf('data')}, ${storage.nameOf('schedule.lr')} and ` +
      `${storage.nameOf('epochs')}; put back ${back}, or start a new run`,
  )
}

/** Checks what is to replace the configuration of a run. Throws Error in words for a wrong field,
 *  and for a setting that the newest checkpoint must keep. */
export async function checkReplacement(
  storage: Named & Pick<TrainingStorage, 'latest'>,
  config: unknown,
) {
  const checked = checkConfig(config, `${storage.name}: the new configuration`, 'mend it')
  const { checkpoint } = await storage.latest()
  if (checkpoint) checkSettings(storage, checkpoint, checked, 'the new configuration')
}

/** Tells whether a checkpoint is of an imported encoder: it holds settings but no digest of images,
 *  since no training has begun. */
export const isUntrained = ({ metadata }: Pick<Checkpoint, 'metadata'>): boolean =>
  holdsSettings(metadata) && !holdsImages(metadata)

/** Throws Error for the checkpoint of an imported encoder. */
export function checkTrained({ name }: Named, checkpoint: Checkpoint) {
  if (!isUntrained(checkpoint)) return
  const { path } = checkpoint
  throw new Error(
    `${name}: it holds an imported encoder, not a training to go on with; begin one with its ` +
      `weights, by kindred train simclr --init ${path} and the same --model, --stem and --width`,
  )
}

/** Says how a new run begins with the weights of a checkpoint. Code has no option for it. */
function fromWeights(storage: Named, path: string): string {
  const option = storage.nameOf('init')
  return option.startsWith('--') ? ` from its weights, with ${option} ${path}` : ''
}

/** A training to resume. */
export interface GoingOn {
  readonly storage: Named
  readonly config: Pick<TrainConfig, 'method' | 'epochs' | 'data'>
  readonly images: Dataset
  readonly digests: () => Promise<Digests>
  readonly stepsPerEpoch: number
}

/** Throws Error if a checkpoint is of other images, or of a step after the training's last. A
 *  checkpoint of an old version has no digest of images, and passes. */
export async function checkResumable({ step, metadata, path }: SavedFile, run: GoingOn) {
  const { storage, config, images, digests, stepsPerEpoch } = run
  const { name } = storage
  const source = `the data set ${printable(config.data)}`
  const isSame = await isOf(images, metadata, async () => (await digests()).images)
  const own =
    `give the data set that it was trained on as ${storage.nameOf('data')}, ` +
    'or start a new run on these'
  if (isSame === false)
    throw new Error(
      methodOf(config.method).perImage
        ? `${name}: its memory bank is of other images than ${source} holds now; ${own}`
        : `${name}: it was trained on other images than the ${images.size} that ${source} ` +
            `holds now; ${own}${fromWeights(storage, path)}`,
    )
  const { epochs } = config
  const total = epochs * stepsPerEpoch
  if (step > total)
    throw new Error(
      `${name}: its checkpoint is of step ${step}, and a run of ` +
        `${counted(epochs, 'epoch')} of ${counted(stepsPerEpoch, 'step')} ends at step ` +
        `${total}; ` +
        `give ${storage.nameOf('epochs')} ${Math.ceil(step / stepsPerEpoch)} or more`,
    )
}
