// kindred: the library, for browsers and Node. Files and Dawn are in 'kindred/node'.

export { Gpu, type GpuOptions, type StepResult } from './engine/gpu.ts'
export { type OpenOptions, openGpu } from './engine/open.ts'
export { DeviceLostError, GpuError } from './engine/errors.ts'
export {
  type AdamOptions,
  type LarsOptions,
  type Named,
  type Optimizer,
  type SgdOptions,
  Adam,
  AdamW,
  Lars,
  Sgd,
  biasOrNorm,
} from './engine/optimizer.ts'
export { type Schedule, constant, cosine, step, warmup } from './engine/schedule.ts'
export {
  type SafetensorsFile,
  type SavedTensor,
  decodeSafetensors,
  encodeSafetensors,
} from './engine/safetensors.ts'
export { restore, snapshot } from './engine/checkpoint.ts'
