// Which kernels a device gets, by what it says of itself.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { onTensorCores } from '../../kernels/devices/matrix-forms.ts'
import { tilesFor } from '../../kernels/tiles/plan.ts'
import { traitsOf } from '../../engine/traits.ts'
import { paperRun } from '../fixtures/paper-run.ts'

const all = [
  'shader-f16',
  'subgroups',
  'subgroup-size-control',
  'chromium-experimental-subgroup-matrix',
]
const matrix = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 }

/** A device with subgroups of these sizes. */
function device(
  subgroupMinSize: number,
  subgroupMaxSize: number,
  features: readonly string[] = all,
) {
  const given = {
    features: new Set(features),
    limits: { maxComputeWorkgroupStorageSize: 65536 },
    adapterInfo: { subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs: [matrix] },
  }
  return given as unknown as GPUDevice // what traitsOf reads
}

const told = (of: GPUDevice) => {
  const { matrices, choosesSubgroups } = traitsOf(of)
  return { matrices, choosesSubgroups }
}

test('subgroup matrices need subgroups of 32, by nature or on request', () => {
  assert.equal(told(device(32, 32)), { matrices: true, choosesSubgroups: false }) // NVIDIA
  assert.equal(told(device(32, 64)), { matrices: true, choosesSubgroups: true }) // AMD
  assert.equal(told(device(64, 64)), { matrices: false, choosesSubgroups: false })
  assert.equal(told(device(8, 16)), { matrices: false, choosesSubgroups: false })
  const without = (name: string) => all.filter((feature) => feature !== name)
  assert.equal(told(device(32, 64, without('subgroup-size-control'))), {
    matrices: false,
    choosesSubgroups: false,
  })
  assert.is(told(device(32, 64, without('shader-f16'))).matrices, false)
})

test('a device that is asked for subgroups of 32 gets no subgroup of 64 x 64 sums', () => {
  const tiles = (choosesSubgroups: boolean) =>
    tilesFor(
      paperRun({ precision: 'f16', matrices: true, forms: onTensorCores(choosesSubgroups) }),
      {
        a: 'f16x8',
        b: 'f32x4',
      },
    )
  const widest = (choosesSubgroups: boolean) =>
    Math.max(...tiles(choosesSubgroups).map(({ M, N, threads }) => (M * N) / threads))
  assert.is(widest(false), 128)
  assert.is(widest(true), 64)
  assert.is(tiles(true).length, 3)
})

test.run()
