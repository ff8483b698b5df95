// The losses over pairs of views that bench/ntxent.js knows. To add one, add an entry:
//
//   export     what Kindred calls it; the bench says so when this build has none
//   about      one line for --help
//   call       (kindred, tensors, problem) -> the loss; tensors are z1, z2 [N, D], labels [N]
//   reference  (inputs, problem) -> {loss, gradients: [dz1, dz2]} in float64, of the inputs as they
// are before normalising
//   work       FLOPs of the matrix products that the algorithm needs, forward, and forward with
// backward

import { contrast, pairwise, softplus, throughUnit, unit } from '../lib/reference.js'

/** A loss over the logits of all 2N views with each other: rowLoss(s, i, {positive, rows, labels,
 *  z}). */
function amongAll(rowLoss) {
  return ({ z1, z2, labels }, { N, D, temperature }) => {
    const all = unit([...z1, ...z2], D)
    const context = {
      positive: (i) => (i + N) % (2 * N),
      labels: [...labels, ...labels],
      z: all.z,
      N,
      D,
    }
    const row = (s, i) => rowLoss(s, i, context)
    const { loss, dx, dy } = pairwise({ x: all.z, y: all.z, D, temperature, rowLoss: row })
    const dz = throughUnit(
      dx.map((g, i) => g + dy[i]),
      all,
      D,
    )
    return { loss, gradients: [dz.subarray(0, N * D), dz.subarray(N * D)] }
  }
}

/** A loss over the logits of the first views with the second. */
function across(rowLoss) {
  return ({ z1, z2 }, { D, temperature }) => {
    const [a, b] = [unit(z1, D), unit(z2, D)]
    const { loss, dx, dy } = pairwise({ x: a.z, y: b.z, D, temperature, rowLoss })
    return { loss, gradients: [throughUnit(dx, a, D), throughUnit(dy, b, D)] }
  }
}

const toItsPair = (s, i) => contrast(s, () => true, [[i, 1]])

/** DCLW's weight of a positive, 2 - N softmax(s+ / sigma), which carries no gradient. */
function positiveWeights({ z, N, D }, sigma = 0.5) {
  const e = Array.from({ length: N }, (_, i) => {
    let dot = 0
    for (let c = 0; c < D; c++) dot += z[i * D + c] * z[(N + i) * D + c]
    return Math.exp((dot - 1) / sigma)
  })
  const sum = e.reduce((a, b) => a + b, 0)
  return e.map((value) => 2 - (N * value) / sum)
}

/** M = 2N rows against each other. Logits are symmetric, so half of them need computing: M^2 D
 *  forward. Backward, they are computed again and multiply the rows: 4 M^2 D. */
const symmetric = ({ N, D }) => ({ forward: 4 * N * N * D, both: 20 * N * N * D })
/** N x N logits forward (2 N^2 D); backward again, and two products for both sides' gradients. */
const rectangular = ({ N, D }) => ({ forward: 2 * N * N * D, both: 8 * N * N * D })

export const variants = {
  ntxent: {
    export: 'ntXent',
    about: 'NT-Xent: SimCLR, arXiv:2002.05709, Eq. 1',
    call: (kindred, { z1, z2 }, { temperature }) => kindred.ntXent(z1, z2, temperature),
    reference: amongAll((s, i, { positive }) => contrast(s, (j) => j !== i, [[positive(i), 1]])),
    work: symmetric,
  },
  dcl: {
    export: 'dcl',
    about: 'DCL: the positive left out of the denominator, arXiv:2110.06848',
    call: (kindred, { z1, z2 }, { temperature }) => kindred.dcl(z1, z2, temperature),
    reference: amongAll((s, i, { positive }) =>
      contrast(s, (j) => j !== i && j !== positive(i), [[positive(i), 1]]),
    ),
    work: symmetric,
  },
  dclw: {
    export: 'dclw',
    about: 'DCLW: DCL with its positives weighted, sigma 0.5',
    call: (kindred, { z1, z2 }, { temperature }) => kindred.dclw(z1, z2, temperature),
    reference: amongAll((s, i, context) => {
      context.weights ??= positiveWeights(context)
      const positive = context.positive(i)
      return contrast(s, (j) => j !== i && j !== positive, [
        [positive, context.weights[i % context.N]],
      ])
    }),
    work: symmetric,
  },
  supCon: {
    export: 'supCon',
    about: 'SupCon: every view of the same label is a positive, arXiv:2004.11362, Eq. 2',
    call: (kindred, { z1, z2, labels }, { temperature }) =>
      kindred.supCon(z1, z2, labels, temperature),
    reference: amongAll((s, i, { labels }) => {
      const positives = labels.flatMap((label, j) => (j !== i && label === labels[i] ? [j] : []))
      return contrast(
        s,
        (j) => j !== i,
        positives.map((j) => [j, 1 / positives.length]),
      )
    }),
    work: symmetric,
  },
  sigLip: {
    export: 'sigLip',
    about: 'SigLIP: a sigmoid for every pair, scale 1 / temperature, bias -10, arXiv:2303.15343',
    call(kindred, { z1, z2 }, { temperature }) {
      const scalar = (value) => z1.gpu.tensor([value], [])
      return kindred.sigLip(z1, z2, scalar(-Math.log(temperature)), scalar(-10))
    },
    reference: across((s, i) => {
      let loss = 0
      for (const [j, value] of s.entries()) {
        const sign = j === i ? 1 : -1
        const a = -sign * (value - 10)
        loss += softplus(a)
        s[j] = -sign / (1 + Math.exp(-a))
      }
      return loss
    }),
    work: rectangular,
  },
  clipLoss: {
    export: 'clipLoss',
    about: 'CLIP: cross entropy both ways, arXiv:2103.00020, Figure 3',
    call: (kindred, { z1, z2 }, { temperature }) => kindred.clipLoss(z1, z2, temperature),
    reference({ z1, z2 }, problem) {
      const there = across(toItsPair)({ z1, z2 }, problem)
      const back = across(toItsPair)({ z1: z2, z2: z1 }, problem)
      const mean = (a, b) => a.map((g, i) => (g + b[i]) / 2)
      const [dz1, dz2] = there.gradients
      const [da, db] = back.gradients
      return { loss: (there.loss + back.loss) / 2, gradients: [mean(dz1, db), mean(dz2, da)] }
    },
    work: rectangular,
  },
}
