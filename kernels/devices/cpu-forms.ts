// The forms of kernels for adapters on the CPU, in which eight lanes of a subgroup load for each
// other.

import { streamForm } from '../attention/passes.ts'
import { SOFTWARE_ROWS, softwareStream } from '../attention/stream-software.ts'
import { convForwardForm } from '../conv/forward.ts'
import { convForwardSoftware } from '../conv/forward-software.ts'
import { convWeightGradientForm } from '../conv/weight-gradient.ts'
import { convWeightGradientSoftware } from '../conv/weight-gradient-software.ts'
import { type Forms, provide } from '../form.ts'
import { gemmForm } from '../matmul/gemm.ts'
import { gemmSoftware } from '../matmul/gemm-software.ts'
import { cpuTiles } from '../similarity/tiles.ts'
import { softwareTiles } from '../similarity/tiles-software.ts'
import { broadcast } from '../wgsl/broadcast-load.ts'
import { fragmentForm } from '../wgsl/fragment-load.ts'

export const cpuForms: Forms = new Map([
  provide(fragmentForm, broadcast),
  provide(cpuTiles, softwareTiles),
  provide(gemmForm, gemmSoftware),
  provide(convForwardForm, convForwardSoftware),
  provide(convWeightGradientForm, convWeightGradientSoftware),
  provide(streamForm, { rows: SOFTWARE_ROWS, kernel: softwareStream }),
])
