import * as assert from 'uvu/assert'
import { add } from '../../../kernels/elementwise/add.ts'
import { mul } from '../../../kernels/elementwise/mul.ts'
import { nceMaps, nceMapsOp } from '../../../kernels/loss/nce-maps.ts'
import { concat } from '../../../kernels/shape/concat.ts'
import { selectPosition } from '../../../kernels/shape/select-position.ts'
import type { Tensor } from '../../../kernels/op.ts'
import { reshape } from '../../../kernels/shape/reshape.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { multiscaleNce } from '../../../methods/multiscale.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { Golden, goldenNames } from '../../fixtures/golden.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { needing } from '../../fixtures/needing.ts'
import { contrastiveLosses, spreads } from '../../fixtures/nan-losses.ts'
import { refuses } from '../../fixtures/refusal.ts'
import { dot, logSumExp, meanOf } from '../../fixtures/similarities.ts'
import { variants } from '../../fixtures/variants.ts'

const [test, full] = quickAndFull(gpuSuite('nceMaps'))
const onF16 = needing('shader-f16', test, full)

/** Registers what a variant claims: emulated matrices take long to compile. */
const by = (variant: string) => (variant.includes('16') ? onF16 : test)

interface Case {
  readonly N: number
  readonly L: number
  readonly R: number
  readonly clip: number
  readonly penalty: number
  /** Of the features. */
  readonly scale?: number
}

/** The loss and the penalty, written out over every source, image and place. */
function reference(
  { N, L, R, clip, penalty }: Case,
  sources: number[],
  maps: number[],
): [number, number] {
  const row = (x: number[], n: number) => x.slice(n * R, (n + 1) * R)
  const raw = Array.from({ length: N }, (_, i) =>
    Array.from({ length: N * L }, (__, at) => dot(row(sources, i), row(maps, at)) / Math.sqrt(R)),
  )
  const losses = raw.flatMap((scores, i) => {
    const s = scores.map((x) => clip * Math.tanh(x / clip))
    const isOwn = (at: number) => Math.floor(at / L) === i
    const negatives = s.filter((_, at) => !isOwn(at))
    return s.filter((_, at) => isOwn(at)).map((own) => logSumExp([own, ...negatives]) - own)
  })
  return [meanOf(losses), penalty * meanOf(raw.flat().map((x) => x * x))]
}

const cases: readonly Case[] = [
  { N: 1, L: 1, R: 1, clip: 20, penalty: 0.05 },
  { N: 1, L: 3, R: 2, clip: 20, penalty: 0.05 },
  { N: 3, L: 4, R: 7, clip: 20, penalty: 0.05, scale: 3 },
  { N: 4, L: 16, R: 16, clip: 5, penalty: 0, scale: 2 },
  { N: 33, L: 2, R: 5, clip: 2, penalty: 0.3, scale: 3 }, // one row more than a CPU's tile
  { N: 5, L: 25, R: 65, clip: 20, penalty: 0.05, scale: 4 },
  { N: 65, L: 3, R: 9, clip: 10, penalty: 0.05, scale: 3 }, // one row more than a GPU's tile
  { N: 9, L: 49, R: 20, clip: 10, penalty: 0.05, scale: 2 },
]

/** Tolerance of scores whose factors are rounded to f16: 2^-11 each, of numbers up to `scale`^2 R /
 *  3 / √R. */
const toleranceOf = (variant: string, { R, scale = 1 }: Case) =>
  variant.endsWith('f16') ? (2 ** -10 * scale * scale * Math.sqrt(R)) / 3 + 1e-4 : 1e-4

for (const [variant, apply] of variants(nceMapsOp, ['GPU kernels', 'f16x3', 'f16'])) {
  for (const c of variant.includes('16') ? cases.slice(2, 6) : cases)
    by(variant)(`equals its formula for ${JSON.stringify(c)}${variant}`, ({ gpu }) => {
      const { N, L, R, clip, penalty, scale = 1 } = c
      const both = (sources: Tensor, maps: Tensor) => apply({ clip, penalty }, sources, maps)
      const scaled = (count: number, seed: number) =>
        random(count, seed).map((v) => Math.fround(v * scale))
      return checkOp(
        gpu,
        both,
        (sources, maps) => [reference(c, sources, maps)[0]],
        [
          [N, R],
          [N, L, R],
        ],
        { tolerance: toleranceOf(variant, c), values: [scaled(N * R, 1), scaled(N * L * R, 2)] },
      )
    })
}

/** The loss of two crossed views and their penalty, means of both directions. */
function crossedReference(c: Case, sources: number[], maps: number[]): [number, number] {
  const [S, M] = [c.N * c.R, c.N * c.L * c.R]
  const there = reference(c, sources.slice(0, S), maps.slice(M))
  const back = reference(c, sources.slice(S), maps.slice(0, M))
  return [(there[0] + back[0]) / 2, (there[1] + back[1]) / 2]
}

for (const [variant, apply] of variants(nceMapsOp, ['GPU kernels', 'f16x3', 'f16']))
  for (const c of variant === '' ? cases : cases.slice(2, 5))
    by(variant)(`crossed views, ${JSON.stringify(c)}${variant}`, async ({ gpu }) => {
      const { N, L, R, clip, penalty, scale = 1 } = c
      const scaled = (count: number, seed: number) =>
        random(count, seed).map((v) => Math.fround(v * scale))
      await checkOp(
        gpu,
        (sources, maps) => apply({ clip, penalty, crossed: true }, sources, maps),
        (sources, maps) => [crossedReference(c, sources, maps)[0]],
        [
          [2 * N, R],
          [2 * N, L, R],
        ],
        {
          tolerance: toleranceOf(variant, c),
          values: [scaled(2 * N * R, 1), scaled(2 * N * L * R, 2)],
        },
      )
    })

test('the penalty of crossed views', ({ gpu }) =>
  checkOp(
    gpu,
    (a, b) => nceMaps(a, b, { crossed: true, clip: 10 }).penalty,
    (a, b) => [crossedReference({ N: 5, L: 3, R: 7, clip: 10, penalty: 0.05 }, a, b)[1]],
    [
      [10, 7],
      [10, 3, 7],
    ],
  ))

for (const c of cases)
  test(`the penalty and both together, ${JSON.stringify(c)}`, async ({ gpu }) => {
    const { N, L, R, clip, penalty, scale = 1 } = c
    const scaled = (count: number, seed: number) =>
      random(count, seed).map((v) => Math.fround(v * scale))
    const values = [scaled(N * R, 1), scaled(N * L * R, 2)]
    const shapes = [
      [N, R],
      [N, L, R],
    ]
    const options = { clip, penalty }
    const squares = (a: Tensor, b: Tensor) => nceMaps(a, b, options).penalty
    await checkOp(gpu, squares, (a, b) => [reference(c, a, b)[1]], shapes, { values })
    const weighted = (a: Tensor, b: Tensor) => {
      const { loss, penalty: cost } = nceMaps(a, b, options)
      return add(mul(loss, a.gpu.tensor([-3], [])), mul(cost, a.gpu.tensor([0.7], [])))
    }
    const expected = (a: number[], b: number[]) => {
      const [loss, cost] = reference(c, a, b)
      return [-3 * loss + 0.7 * cost]
    }
    await checkOp(gpu, weighted, expected, shapes, { values })
  })

/** A golden case's maps of one scale, [N, R, H, W] in the file, and r1 as [N, R]. */
function scales(gpu: Gpu, golden: Golden, view: string) {
  const [r1, r5, r7] = ['r1', 'r5', 'r7'].map((r) => golden.images(gpu, `in.${r}_${view}`))
  if (!r1 || !r5 || !r7) throw new Error('no features')
  return { image: r1, r1: reshape(r1, [r1.shape[0] ?? 0, -1]), r5, r7 }
}

for (const name of goldenNames('amdim_nce_'))
  test(`${name} agrees with the original code`, async ({ gpu }) => {
    const golden = new Golden(name)
    const [one, two] = [scales(gpu, golden, 'x1'), scales(gpu, golden, 'x2')]
    const places = [one, two].map(({ r5 }, v) =>
      selectPosition(r5, golden.indices(gpu, `in.r5_src_loc_${v + 1}`)),
    )
    const [from1, from2] = places
    if (!from1 || !from2) throw new Error('no places')
    const clip = Number(golden.config['tclip'])
    const { oneToFive, oneToSeven, fiveToFive, penalty, total } = multiscaleNce(
      [one, two],
      [from1, from2],
      {
        clip,
      },
    )
    const names = {
      loss_1t5: oneToFive,
      loss_1t7: oneToSeven,
      loss_5t5: fiveToFive,
      lgt_reg: penalty,
    }
    for (const [out, tensor] of Object.entries({ ...names, loss_inf: total }))
      await golden.match(gpu, `out.${out}`, tensor)
    const gradients = gpu.backward(total)
    for (const [view, { image, r5, r7 }] of [one, two].entries())
      for (const [r, x] of Object.entries({ r1: image, r5, r7 }))
        await golden.matchImages(gpu, `grad.${r}_x${view + 1}`, gradients.of(x))
    golden.done()
  })

test('is log(1 + (N - 1) L) when all scores are equal', async ({ gpu }) => {
  for (const [N, L] of [
    [2, 1],
    [40, 25],
    [24, 49],
  ] as const) {
    const [a, b] = [N * 4, N * L * 4].map((count) => new Float32Array(count).fill(0.5))
    const { loss } = nceMaps(gpu.tensor(a ?? [], [N, 4]), gpu.tensor(b ?? [], [N, L, 4]))
    close(await gpu.read(loss), [Math.log(1 + (N - 1) * L)], 1e-6, `N = ${N}, L = ${L}`)
  }
})

test('keeps the digits of a small loss', async ({ gpu }) => {
  const c = { N: 6, L: 4, R: 6, clip: 20, penalty: 0.05 }
  const own = (n: number, r: number) => (r === n ? 5 : 0)
  const sources = random(36, 1).map((v, e) => Math.fround(0.1 * v + own(Math.floor(e / 6), e % 6)))
  const maps = random(144, 2).map((v, e) => Math.fround(0.1 * v + own(Math.floor(e / 24), e % 6)))
  const [expected] = reference(c, sources, maps)
  assert.ok(expected < 2e-3 && expected > 1e-5, `${expected}`)
  const [loss = NaN] = await gpu.read(
    nceMaps(gpu.tensor(sources, [6, 6]), gpu.tensor(maps, [6, 4, 6])).loss,
  )
  assert.ok(Math.abs(loss - expected) < 1e-4 * expected, `got ${loss}, expected ${expected}`)
})

for (const [variant, apply] of contrastiveLosses.nceMaps.by(['GPU kernels', 'f16x3', 'f16']))
  by(variant)(`NaN makes the loss and its gradients NaN${variant}`, ({ gpu }) =>
    spreads(gpu, contrastiveLosses.nceMaps, apply),
  )

test('two runs give the same bits', async ({ gpu }) => {
  const [N, L, R] = [40, 25, 12]
  const once = async () => {
    const sources = gpu.tensor(random(N * R, 1), [N, R])
    const maps = gpu.tensor(random(N * L * R, 2), [N, L, R])
    const { loss, penalty } = nceMaps(sources, maps)
    const gradients = gpu.backward(add(loss, penalty))
    return Promise.all(
      [loss, gradients.of(sources), gradients.of(maps)].map((t) => gpu.read(t ?? loss)),
    )
  }
  assert.equal(await once(), await once())
})

for (const [variant, apply] of variants(nceMapsOp, ['GPU kernels', 'f16x3', 'f16']))
  by(variant)(
    `a loss scaled for f16 has its gradient scaled, bit for bit${variant}`,
    async ({ gpu }) => {
      const [N, L, R] = [5, 4, 9]
      const sources = gpu.tensor(random(N * R, 1), [N, R])
      const maps = gpu.tensor(random(N * L * R, 2), [N, L, R])
      const loss = apply({ clip: 20, penalty: 0.05 }, sources, maps)
      const gradients = async (scale: number) => {
        const found = gpu.backward(loss, gpu.tensor([scale], []))
        return Promise.all(
          [sources, maps].map(async (x) => [...(await gpu.read(found.of(x) ?? x))]),
        )
      }
      const [plain, scaled] = [await gradients(1), await gradients(65536)]
      assert.equal(
        scaled,
        plain.map((row) => row.map((v) => v * 65536)),
      )
    },
  )

test('nothing of N x N x L numbers is stored', async ({ gpu }) => {
  const [N, L, R] = [96, 49, 2]
  const before = gpu.stats().bytes
  const sources = gpu.tensor(random(N * R, 1), [N, R])
  const maps = gpu.tensor(random(N * L * R, 2), [N, L, R])
  const { loss } = nceMaps(sources, maps)
  await gpu.read(gpu.backward(loss).of(maps) ?? loss)
  const used = gpu.stats().bytes - before
  assert.ok(used < (N * N * L * 4) / 4, `${used} bytes for ${N * N * L * 4} of scores`)
})

test('a place is picked, and gets the gradient', async ({ gpu }) => {
  const [N, L, C] = [3, 4, 2]
  const values = random(N * L * C)
  const at = [2, 0, 3]
  await checkOp(
    gpu,
    (maps) => selectPosition(maps, gpu.tensor(Int32Array.from(at), [N])),
    (maps) => at.flatMap((place, n) => maps.slice((n * L + place) * C, (n * L + place + 1) * C)),
    [[N, 2, 2, C]],
    { values: [values] },
  )
  const wrong = await gpu.read(
    selectPosition(gpu.tensor(values, [N, L, C]), gpu.tensor([0, 4, -1], [N])),
  )
  assert.equal([...wrong].map(Number.isNaN), [false, false, true, true, true, true])
})

test('places are drawn uniformly, anew in every step and view, by the seed alone', async ({
  gpu,
}) => {
  const [N, L] = [2000, 25]
  const maps = gpu.tensor(
    Float32Array.from({ length: N * L }, (_, e) => e % L),
    [N, L, 1],
  )
  const draw = async (seed: number, step: number, view: number) => [
    ...(await gpu.read(selectPosition(maps, { seed, step, view }))),
  ]
  const first = await draw(1, 0, 0)
  const both = concat([maps, maps], 0)
  assert.equal(
    [...(await gpu.read(selectPosition(both, { seed: 1, step: 0, view: [0, 1] })))],
    [...first, ...(await draw(1, 0, 1))],
    'two views at once draw what each draws alone',
  )
  assert.equal(first, await draw(1, 0, 0))
  for (const other of [await draw(2, 0, 0), await draw(1, 1, 0), await draw(1, 0, 1)]) {
    const same = other.filter((place, n) => place === first[n]).length
    assert.ok(same < (2.5 * N) / L, `${same} of ${N} places are the same`)
  }
  const counts = Array.from({ length: L }, (_, l) => first.filter((place) => place === l).length)
  assert.ok(Math.min(...counts) > 40 && Math.max(...counts) < 125, counts.join()) // 80 ± 5 deviations
})

test('refuses what it cannot mean', ({ gpu }) => {
  const [a, b] = [gpu.tensor(random(6), [2, 3]), gpu.tensor(random(12), [2, 2, 3])]
  refuses(
    () => nceMaps(a, gpu.tensor(random(12), [2, 3, 2])),
    'nceMaps: maps must be [N, ..., R] for sources [N, R], got [2, 3, 2] for [2, 3]',
  )
  refuses(
    () =>
      nceMaps(gpu.tensor(random(9), [3, 3]), gpu.tensor(random(18), [3, 2, 3]), { crossed: true }),
    'nceMaps: crossed views must have as many images each, got sources [3, 3]',
  )
  refuses(
    () => selectPosition(gpu.tensor(random(18), [3, 2, 3]), { seed: 0, step: 0, view: [0, 1] }),
    'selectPosition: the views must have as many images each, got 2 views and maps [3, 2, 3]',
  )
  refuses(() => nceMaps(a, b, { clip: 0 }), 'nceMaps: the clip must be a positive number, got 0')
  refuses(
    () => nceMaps(a, b, { penalty: -1 }),
    'nceMaps: the penalty must be 0 or a positive number, got -1',
  )
  refuses(
    () => selectPosition(a, { seed: 0, step: 0, view: 0 }),
    'selectPosition: maps must be [N, ..., C] with at least one position, got [2, 3]',
  )
  refuses(
    () => selectPosition(b, gpu.tensor([1, 2, 3], [3])),
    'selectPosition: needs one position per image, got [3] for [2, 2, 3]',
  )
})

test.run()
