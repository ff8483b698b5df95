// The contrastive losses, by the float64 references that their own benches have. A reference that
// knows its gradients returns { loss, gradients }.

import { moco } from '../infonce/inputs.js'
import { reference as infoNce } from '../infonce/reference.js'
import { features } from '../nce-maps/inputs.js'
import { reference as nceMaps } from '../nce-maps/reference.js'
import { views } from '../ntxent/inputs.js'
import { variants } from '../ntxent/variants.js'
import { constant, input, total } from './float64.js'

const given = (shape, values) => ({ shape, values, gradient: true })
const pairSizes = [
  { N: 3, D: 7 },
  { N: 33, D: 40 },
  { N: 65, D: 128 },
]

const pairs = Object.values(variants).flatMap(({ export: op, call, reference }) =>
  pairSizes.map((size) => {
    const problem = { ...size, temperature: 0.5, seed: 1 }
    const { z1, z2, labels } = views(problem)
    const shape = [size.N, size.D]
    return {
      op,
      rounds: true,
      inputs: [given(shape, z1), given(shape, z2), constant([size.N], labels)],
      call: (k, ...[a, b, y]) => call(k, { z1: a, z2: b, labels: y }, problem),
      exact: () => reference({ z1, z2, labels }, problem),
    }
  }),
)

const queues = [
  { N: 3, C: 7, K: 33 },
  { N: 33, C: 128, K: 257 },
].map((size) => {
  const problem = { ...size, temperature: 0.1, seed: 1 }
  const { q, k, queue } = moco(problem)
  const { N, C, K } = size
  return {
    op: 'infoNce',
    rounds: true,
    inputs: [given([N, C], q), constant([N, C], k), constant([K, C], queue)],
    call: (kindred, ...[a, b, keys]) => kindred.infoNce(a, b, keys, problem.temperature),
    exact: () => infoNce({ q, k, queue }, problem),
  }
})

const maps = [
  { N: 3, L: 4, R: 7 },
  { N: 16, L: 25, R: 65 },
].map((size) => {
  const problem = { ...size, clip: 20, penalty: 0.05, seed: 1 }
  const own = features(problem)
  const { N, L, R, clip, penalty } = problem
  return {
    op: 'nceMaps',
    rounds: true,
    inputs: [given([N, R], own.sources), given([N, L, R], own.maps)],
    call(k, sources, places) {
      const found = k.nceMaps(sources, places, { clip, penalty })
      return k.add(found.loss, found.penalty)
    },
    exact: () => nceMaps(own, problem),
  }
})

const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))
const [N, C, M, T, SHIFT] = [5, 12, 9, 0.5, 1.5]

/** Rows of unit length, as a function of a row and a column. */
function unitRows(x) {
  const [rows, D] = x.shape
  const length = (i) => Math.sqrt(total(D, (c) => x(i, c) ** 2))
  const lengths = Array.from({ length: rows }, (_, i) => length(i))
  return (i, c) => x(i, c) / lengths[i]
}

/** The supervised contrastive loss of one set of rows. */
function supConOfRows(x, labels) {
  const [rows, D] = x.shape
  const z = unitRows(x)
  const rowLoss = (i) => {
    const s = Array.from({ length: rows }, (_, j) => total(D, (c) => z(i, c) * z(j, c)) / T)
    const others = s.map((_, j) => j).filter((j) => j !== i)
    const same = others.filter((j) => labels(j) === labels(i))
    const log = Math.log(others.reduce((sum, j) => sum + Math.exp(s[j]), 0))
    return same.length === 0 ? 0 : same.reduce((sum, j) => sum + log - s[j], 0) / same.length
  }
  return [total(rows, rowLoss) / rows]
}

const squareApart = (a, i, b, j, D) => total(D, (c) => (a(i, c) - b(j, c)) ** 2)

const ofRows = [
  [5, 7],
  [67, 36],
].flatMap((shape) => {
  const [rows, D] = shape
  const labels = Int32Array.from({ length: rows }, (_, i) => i % 3)
  return [
    {
      op: 'supCon',
      about: 'of rows',
      rounds: true,
      inputs: [input(shape), constant([rows], labels)],
      call: (k, z, classes) => k.supCon(z, classes, T),
      reference: supConOfRows,
    },
    {
      op: 'uniformity',
      rounds: true,
      inputs: [input(shape)],
      call: (k, z) => k.uniformity(z),
      reference(x) {
        const z = unitRows(x)
        const pair = (i, j) => (i === j ? 0 : Math.exp(-2 * squareApart(z, i, z, j, D)))
        const sum = total(rows, (i) => total(rows, (j) => pair(i, j)))
        return [Math.log(sum / (rows * (rows - 1)))]
      },
    },
    {
      op: 'alignment',
      inputs: [input(shape), input(shape, { seed: 2 })],
      call: (k, a, b) => k.alignment(a, b, { alpha: 3 }),
      reference(a, b) {
        const [u, v] = [unitRows(a), unitRows(b)]
        return [total(rows, (i) => squareApart(u, i, v, i, D) ** 1.5) / rows]
      },
    },
  ]
})

export const losses = [
  ...pairs,
  ...queues,
  ...maps,
  ...ofRows,
  {
    op: 'nce',
    about: 'of similarities',
    rounds: true,
    inputs: [
      input([N, C]),
      constant([N, C], input([N, C], { seed: 2 }).values),
      constant([M, C], input([M, C], { seed: 3 }).values),
    ],
    call: (k, f, own, noise) => k.nce(k.similarities(f, own, noise, T), f.gpu.tensor([SHIFT], [1])),
    reference: (f, own, noise) => [
      total(N, (i) => {
        const like = (row, j) => total(C, (c) => f(i, c) * row(j, c)) / T
        const others = total(M, (j) => softplus(like(noise, j) - SHIFT))
        return softplus(SHIFT - like(own, i)) + others
      }) / N,
    ],
  },
]
