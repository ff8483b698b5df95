// kindred profile: the time of each kernel of a training step.

import { countSteps } from '../data/loader.ts'
import type { Split } from '../data/dataset.ts'
import { type Profile, profile } from '../engine/debug/profile.ts'
import type { Gpu } from '../engine/gpu.ts'
import { writeAtomic } from '../engine/node-files.ts'
import type { Trainer } from '../methods/entry.ts'
import { methodOf } from '../methods/registry.ts'
import { type Fed, openFeed } from '../training/feed.ts'
import { trainerOf, trainingImages } from '../training/prepare.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { openRunGpu } from './gpu-options.ts'
import { closeImages, openRunImages, settledImages } from './images.ts'
import { say } from './interrupt.ts'
import { adapterOf } from './introduce.ts'
import { readOverrides, settled, withFile } from './overrides.ts'
import { startProgress } from './progress.ts'
import { checkRoom } from './room.ts'
import type { CommandFlags } from './train-command.ts'

/** Options of `kindred profile`: those of a training, and its own. */
export interface ProfileFlags extends CommandFlags {
  /** Path of a trace file to write. */
  readonly trace?: string
  /** Timed steps; 5 by default. */
  readonly runs?: number
  /** True adds up times by layer. */
  readonly layers?: boolean
}

const WARM = 4 // steps before the timed ones: from the third on they are replayed
const FINE = ['-timestamp_quantization']

/** Makes a few steps of a training, as `kindred train` would with these options, and prints the
 *  time of each kernel. Writes no run folder. Returns the exit code. Throws Error in one line. */
export async function profileMethod(name: string, flags: ProfileFlags): Promise<number> {
  const method = methodOf(name)
  const overrides = await readOverrides(name, flags)
  const settings = withFile(flags, overrides)
  const draft = settled(name, settings, false, overrides).config
  const progress = startProgress({ json: flags.json ?? false })
  let data = await openRunImages(draft, progress)
  try {
    const given = { ...settings, images: trainingImages(draft, data).size }
    const gpu = await openRunGpu(flags, draft, FINE)
    try {
      const { config } = settled(name, given, gpu.software, overrides)
      data = await settledImages(data, draft, config, progress)
      const { trainer, fed } = await begun(gpu, config, data, flags)
      const { found, wallMs } = await measured(gpu, trainer, fed, flags)
      const { batch } = config
      const what = `${method.title}: ${method.describe(config)}, batch ${batch}, on ${adapterOf(gpu)}`
      if (flags.trace !== undefined)
        await writeAtomic(flags.trace, new TextEncoder().encode(found.chromeTrace()))
      say(progress, [what, ...lines(found, wallMs, flags.trace)].join('\n'), {
        ...{ event: 'profile', adapter: adapterOf(gpu), batch, wallMs },
        ...{ resolution: found.resolution, kernels: found.rows, layers: found.layers },
      })
      return 0
    } finally {
      gpu.destroy()
    }
  } finally {
    progress.stop()
    await closeImages(data)
  }
}

/** Makes the method, and reads the first batch. */
async function begun(
  gpu: Gpu,
  config: TrainConfig,
  data: Split,
  { resident = 'auto', capture = true }: ProfileFlags,
): Promise<{ trainer: Trainer; fed: Fed }> {
  const images = trainingImages(config, data)
  const stepsPerEpoch = countSteps(images, { batch: config.batch }) // throws if there is no step
  checkRoom(gpu, config, images, resident)
  const trainer = trainerOf(gpu, config, { stepsPerEpoch, images, capture })
  const feed = await openFeed(gpu, images, resident)
  const { batch, seed } = config
  for await (const fed of feed({ batch, seed, epoch: 0, start: 0 })) return { trainer, fed }
  throw new Error('profile: the data set has no batch')
}

/** Steps on one batch again and again. */
async function measured(
  gpu: Gpu,
  trainer: Trainer,
  { images, indices }: Fed,
  { runs = 5, layers = false }: ProfileFlags,
) {
  const step = () => void trainer.step(images, indices)
  for (let i = 0; i < WARM; i++) step()
  await gpu.sync()
  const walls: number[] = []
  for (let i = 0; i < runs; i++) {
    const start = performance.now()
    step()
    await gpu.sync()
    walls.push(performance.now() - start)
  }
  walls.sort((a, b) => a - b)
  return {
    found: await profile(gpu, step, { runs, layers }),
    wallMs: walls[Math.floor(runs / 2)] ?? NaN,
  }
}

const lines = (found: Profile, wallMs: number, trace: string | undefined) => [
  found.table(),
  `a whole step: ${wallMs.toFixed(1)} ms of wall time, unprofiled`,
  ...(trace === undefined ? [] : [`trace: ${trace}, for ui.perfetto.dev or chrome://tracing`]),
]
