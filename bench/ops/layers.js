// Products, convolutions, pools and batch norm in float64. Their factors may be rounded to f16, and
// so may what they keep for the backward pass.

import { build, constant, input, reader, total } from './float64.js'

const matmul = (M, K, N, transA = false, transB = false) => ({
  op: 'matmul',
  rounds: true,
  inputs: [input(transA ? [K, M] : [M, K]), input(transB ? [N, K] : [K, N], { seed: 2 })],
  call: (k, a, b) => k.matmul(a, b, { transA, transB }),
  reference: (a, b) =>
    build([M, N], (m, n) =>
      total(K, (i) => (transA ? a(i, m) : a(m, i)) * (transB ? b(n, i) : b(i, n))),
    ),
})

const reflected = (i, n) => (i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i)

function convolution(x, w, { stride, padding, reflect = false, groups = 1, bias = () => 0 }) {
  const [N, H, W, C] = x.shape
  const own = C / groups
  const [kH, kW, , K] = w.shape
  const out = (n, k) => Math.floor((n + 2 * padding - k) / stride) + 1
  const at = (i, n) => (reflect ? reflected(i, n) : i)
  return build(
    [N, out(H, kH), out(W, kW), K],
    (n, i, j, k) =>
      bias(k) +
      total(kH, (r) =>
        total(kW, (s) => {
          const [h, v] = [i * stride + r - padding, j * stride + s - padding]
          const first = Math.floor((k * groups) / K) * own
          return total(own, (c) => x(n, at(h, H), at(v, W), first + c) * w(r, s, c, k))
        }),
      ),
  )
}

const conv = (
  [N, H, W, C],
  [k, K],
  { stride = 1, padding = 0, padMode = 'zeros', groups = 1, biased = false } = {},
) => ({
  op: 'conv2d',
  about: [groups > 1 && `in ${groups} groups`, biased && 'with a bias'].filter(Boolean).join(', '),
  rounds: true,
  inputs: [
    input([N, H, W, C]),
    input([k, k, C / groups, K], { seed: 2, scale: 0.5 }),
    ...(biased ? [input([K], { seed: 3 })] : []),
  ],
  call: (kindred, x, w, bias = null) =>
    kindred.conv2d(x, w, { stride, padding, padMode, groups, bias }),
  reference: (x, w, bias) =>
    convolution(x, w, { stride, padding, reflect: padMode === 'reflect', groups, bias }),
})

const [N, H, W, C] = [2, 7, 6, 5]

function pool(op, size, stride, combine) {
  const [h, w] = [Math.floor((H - size) / stride) + 1, Math.floor((W - size) / stride) + 1]
  return {
    op,
    inputs: [input([N, H, W, C])],
    call: (k, x) => k[op](x, { size, stride }),
    reference: (x) =>
      build([N, h, w, C], (n, i, j, c) =>
        combine(
          Array.from({ length: size * size }, (_, t) =>
            x(n, i * stride + Math.floor(t / size), j * stride + (t % size), c),
          ),
        ),
      ),
  }
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length

/** Batch norm of rows [M, C] with gamma and beta [C]. */
function normalized(x, gamma, beta, width) {
  const M = x.values.length / width
  const of = (m, c) => x.values[m * width + c]
  const columns = Array.from({ length: width }, (_, c) => {
    const average = total(M, (m) => of(m, c)) / M
    return [average, Math.sqrt(total(M, (m) => (of(m, c) - average) ** 2) / M + 1e-5)]
  })
  return x.values.map((v, e) => {
    const [average, deviation] = columns[e % width]
    return ((v - average) / deviation) * gamma(e % width) + beta(e % width)
  })
}

/** Norm of x [rows, C] in G groups of channels, each over P rows. */
function grouped(x, gamma, beta, G, P = 1) {
  const width = x.shape.at(-1)
  const K = width / G
  return x.values.map((v, e) => {
    const [row, c] = [Math.floor(e / width), e % width]
    const start = (row - (row % P)) * width + c - (c % K)
    const at = (r) => x.values[start + Math.floor(r / K) * width + (r % K)]
    const average = total(P * K, at) / (P * K)
    const deviation = Math.sqrt(total(P * K, (r) => (at(r) - average) ** 2) / (P * K) + 1e-5)
    return ((v - average) / deviation) * gamma(c) + beta(c)
  })
}

const scalesOf = (width) => [input([width], { scale: 0.4, shift: 1 }), input([width], { seed: 3 })]
const SCALES = scalesOf(C)
const training = { training: true }

/** softmax(q k^T / sqrt(D)) v of each head: q [N, T, H, D], k and v [N, S, H, D]. */
function attended(q, k, v, { causal = false, lengths }) {
  const [count, T, heads, D] = q.shape
  const [, S] = k.shape
  const keys = (n, i) => Math.min(S, causal ? i + 1 : S, lengths?.[n] ?? S)
  const exps = build([count, T, heads, S], (n, i, h, j) =>
    j < keys(n, i) ? Math.exp(total(D, (e) => q(n, i, h, e) * k(n, j, h, e)) / Math.sqrt(D)) : 0,
  )
  const exp = reader(exps, [count, T, heads, S])
  const sums = build([count, T, heads], (n, i, h) => total(S, (j) => exp(n, i, h, j)))
  const sum = reader(sums, [count, T, heads])
  return build(
    q.shape,
    (n, i, h, d) => total(keys(n, i), (j) => exp(n, i, h, j) * v(n, j, h, d)) / sum(n, i, h),
  )
}

const attention = ([n, T, S, heads, D], { causal = false, lengths, about = '' } = {}) => ({
  op: 'attention',
  about,
  inputs: [
    input([n, T, heads, D], { scale: 2 }),
    ...[2, 3].map((seed) => input([n, S, heads, D], { seed, scale: 2 })),
    ...(lengths ? [constant([n], Int32Array.from(lengths))] : []),
  ],
  call: (kindred, q, k, v, limits = null) =>
    kindred.attention(q, k, v, { causal, lengths: limits }),
  reference: (q, k, v) => attended(q, k, v, { causal, lengths }),
})

export const layers = [
  attention([1, 65, 65, 2, 16]),
  attention([2, 70, 40, 1, 64], { causal: true, about: 'causal' }),
  attention([2, 9, 70, 1, 130], { lengths: [70, 33], about: 'of some keys, wide' }),
  attention([1, 34, 35, 1, 7], { about: 'of heads of 7' }),
  matmul(3, 5, 7),
  matmul(33, 21, 35),
  matmul(36, 68, 64, true, false),
  matmul(68, 30, 36, false, true),
  matmul(132, 40, 148),
  {
    op: 'matmul',
    about: 'of a batch, one matrix for all',
    rounds: true,
    inputs: [input([2, 3, 9, 12]), input([12, 20], { seed: 2 })],
    call: (k, a, b) => k.matmul(a, b),
    reference: (a, b) =>
      build([2, 3, 9, 20], (i, j, m, n) => total(12, (e) => a(i, j, m, e) * b(e, n))),
  },
  {
    op: 'linear',
    rounds: true,
    inputs: [input([9, 20]), input([33, 20], { seed: 2 }), input([33], { seed: 3 })],
    call: (k, x, w, b) => k.linear(x, w, b),
    reference: (x, w, b) => build([9, 33], (n, o) => total(20, (i) => x(n, i) * w(o, i)) + b(o)),
  },
  {
    op: 'linear',
    about: 'of [..., in]',
    rounds: true,
    inputs: [input([3, 5, 20]), input([33, 20], { seed: 2 }), input([33], { seed: 3 })],
    call: (k, x, w, b) => k.linear(x, w, b),
    reference: (x, w, b) =>
      build([3, 5, 33], (n, t, o) => total(20, (i) => x(n, t, i) * w(o, i)) + b(o)),
  },
  conv([2, 9, 9, 3], [3, 8], { stride: 2, padding: 1 }),
  conv([1, 8, 8, 12], [3, 20], { padding: 1 }),
  conv([2, 6, 6, 16], [1, 20]),
  conv([1, 9, 7, 4], [5, 6], { stride: 2, padding: 2, padMode: 'reflect' }),
  conv([1, 8, 8, 12], [3, 20], { padding: 1, biased: true }),
  conv([2, 5, 6, 16], [1, 20], { biased: true }),
  conv([2, 9, 11, 8], [7, 8], { padding: 3, groups: 8, biased: true }),
  conv([2, 9, 8, 5], [3, 10], { padding: 1, stride: 2, groups: 5 }),
  conv([1, 6, 6, 8], [3, 12], { padding: 1, groups: 4 }),
  pool('maxPool', 3, 2, (values) => Math.max(...values)),
  pool('avgPool', 2, 2, mean),
  {
    op: 'adaptiveAvgPool',
    inputs: [input([N, 6, 6, C])],
    call: (k, x) => k.adaptiveAvgPool(x, [2, 3]),
    reference: (x) =>
      build([N, 2, 3, C], (n, i, j, c) =>
        mean(Array.from({ length: 6 }, (_, t) => x(n, 3 * i + (t >> 1), 2 * j + (t & 1), c))),
      ),
  },
  {
    op: 'globalAvgPool',
    inputs: [input([N, H, W, C])],
    call: (k, x) => k.globalAvgPool(x),
    reference: (x) =>
      build([N, C], (n, c) => total(H * W, (p) => x(n, Math.floor(p / W), p % W, c)) / (H * W)),
  },
  {
    op: 'addPooled',
    inputs: [input([N, 3, 3, 7]), input([N, H, 7, C])],
    call: (k, branch, x) => k.addPooled(branch, x, { size: 3, stride: 2 }),
    reference: (branch, x) =>
      build([N, 3, 3, 7], (n, i, j, c) => {
        const at = (t) => x(n, 2 * i + Math.floor(t / 3), 2 * j + (t % 3), c)
        return branch(n, i, j, c) + (c < C ? total(9, at) / 9 : 0)
      }),
  },
  {
    op: 'residualUnit',
    inputs: [input([N, H, W, C]), input([1, 1, C, 6]), input([1, 1, 6, C])],
    call: (k, x, w1, w2) => k.residualUnit(x, w1, w2),
    reference: (x, w1, w2) =>
      build([N, H, W, C], (n, i, j, c) => {
        const h = (d) =>
          Math.max(
            0,
            total(C, (e) => x(n, i, j, e) * w1(0, 0, e, d)),
          )
        return x(n, i, j, c) + total(6, (d) => h(d) * w2(0, 0, d, c))
      }),
  },
  {
    op: 'batchNorm',
    rounds: true,
    inputs: [input([N, H, W, C], { scale: 2, shift: 0.5 }), ...SCALES],
    call: (k, x, gamma, beta) => k.batchNorm(x, gamma, beta, null, training),
    reference: (x, gamma, beta) => normalized(x, gamma, beta, C),
  },
  {
    op: 'batchNorm',
    about: 'with a residual and relu',
    rounds: true,
    inputs: [input([N, H, W, C], { scale: 2 }), ...SCALES, input([N, H, W, C], { seed: 5 })],
    call: (k, x, gamma, beta, residual) =>
      k.batchNorm(x, gamma, beta, null, { ...training, residual, relu: true }),
    reference: (x, gamma, beta, residual) =>
      normalized(x, gamma, beta, C).map((v, e) => Math.max(0, v + residual.values[e])),
  },
  {
    op: 'layerNorm',
    inputs: [input([N, 5, 70], { scale: 2, shift: 0.5 }), ...scalesOf(70)],
    call: (k, x, gamma, beta) => k.layerNorm(x, gamma, beta),
    reference: (x, gamma, beta) => grouped(x, gamma, beta, 1),
  },
  {
    op: 'groupNorm',
    inputs: [input([N, H, W, 12], { scale: 2, shift: 0.5 }), ...scalesOf(12)],
    call: (k, x, gamma, beta) => k.groupNorm(x, 3, gamma, beta),
    reference: (x, gamma, beta) => grouped(x, gamma, beta, 3, H * W),
  },
  {
    op: 'convNorm',
    rounds: true,
    inputs: [input([2, 6, 6, 8]), input([3, 3, 8, C], { seed: 2, scale: 0.5 }), ...SCALES],
    call: (k, x, w, gamma, beta) =>
      k.convNorm(x, w, gamma, beta, null, { ...training, padding: 1 }),
    reference: (x, w, gamma, beta) =>
      normalized({ values: convolution(x, w, { stride: 1, padding: 1 }) }, gamma, beta, C),
  },
]
