// The forms of kernels on subgroup matrices.

import { normGradient } from '../conv/data-gradient-norm.ts'
import { normGradientForm } from '../conv/forward.ts'
import { type Forms, onMatrices, provide } from '../form.ts'
import { matrixTiles } from '../similarity/tiles.ts'
import { subgroupTilesF16, subgroupTilesF16x3 } from '../similarity/tiles-subgroup.ts'
import { matrixArithmetic } from '../tiles/plan.ts'
import { onSubgroups } from '../tiles/subgroup-arithmetic.ts'
import type { Matrices } from '../wgsl/subgroup-matrix.ts'
import { tensorCores } from '../wgsl/tensor-cores.ts'

/** The forms around some matrices. */
export const matrixForms = (by: Matrices): Forms =>
  new Map([
    provide(onMatrices, true),
    provide(matrixArithmetic, { f16: onSubgroups(by, false), f16x3: onSubgroups(by, true) }),
    provide(matrixTiles, { f16: subgroupTilesF16(by), f16x3: subgroupTilesF16x3(by) }),
    provide(normGradientForm, normGradient),
  ])

const plain = matrixForms(tensorCores(false))
const asking = matrixForms(tensorCores(true))

/** The forms on tensor cores. `chooses`: the device has subgroups of several sizes. */
export const onTensorCores = (chooses: boolean): Forms => (chooses ? asking : plain)
