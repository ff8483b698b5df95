// Contrastive losses and their gradients in float64, written for clarity: what every contestant is
// checked against. A loss is a mean over rows of a function of that row's logits s_ij = x_i.y_j /
// T, which replaces the row by its derivative.

/** Unit rows z of x [N, D] and their lengths. A dead row (no longer than 1e-12) gets no gradient,
 *  as in torch. */
export function unit(x, D) {
  const z = new Float64Array(x.length)
  const lengths = new Float64Array(x.length / D)
  for (let i = 0; i < lengths.length; i++) {
    let square = 0
    for (let c = i * D; c < (i + 1) * D; c++) square += x[c] * x[c]
    lengths[i] = Math.sqrt(square)
    for (let c = i * D; c < (i + 1) * D; c++) z[c] = x[c] / Math.max(lengths[i], 1e-12)
  }
  return { z, lengths }
}

/** Through the normalisation: dx = (dz - (dz.z) z) / |x|. */
export function throughUnit(dz, { z, lengths }, D) {
  const dx = new Float64Array(dz.length)
  for (const [i, length] of lengths.entries()) {
    if (length <= 1e-12) continue
    let dot = 0
    for (let c = i * D; c < (i + 1) * D; c++) dot += dz[c] * z[c]
    for (let c = i * D; c < (i + 1) * D; c++) dx[c] = (dz[c] - dot * z[c]) / length
  }
  return dx
}

/** The mean of `rowLoss(s, i)` over the rows of x, with its gradients by x [N, D] and y [M, D]. */
export function pairwise({ x, y, D, temperature, rowLoss }) {
  const [N, M] = [x.length / D, y.length / D]
  const [dx, dy] = [new Float64Array(x.length), new Float64Array(y.length)]
  const s = new Float64Array(M)
  let loss = 0
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < M; j++) {
      let dot = 0
      for (let c = 0; c < D; c++) dot += x[i * D + c] * y[j * D + c]
      s[j] = dot / temperature
    }
    loss += rowLoss(s, i) / N
    for (let j = 0; j < M; j++) {
      const g = s[j] / (N * temperature)
      if (g === 0) continue
      for (let c = 0; c < D; c++) {
        dx[i * D + c] += g * y[j * D + c]
        dy[j * D + c] += g * x[i * D + c]
      }
    }
  }
  return { loss, dx, dy }
}

/** log(sum of exp(s_j) over the kept j) - sum of weight x s_target. No kept j at all, as with one
 *  image: 0 and no gradient. */
export function contrast(s, keeps, targets) {
  const [[only, full] = []] = targets
  if (targets.length === 1 && full === 1 && keeps(only)) return againstOthers(s, keeps, only)
  let top = -Infinity
  for (const [j, value] of s.entries()) if (keeps(j)) top = Math.max(top, value)
  const pulls = targets.map(([j, weight]) => [j, weight, s[j]])
  let sum = 0
  for (const [j, value] of s.entries()) {
    s[j] = keeps(j) ? Math.exp(value - top) : 0
    sum += s[j]
  }
  if (sum === 0) return 0
  for (let j = 0; j < s.length; j++) s[j] /= sum
  let loss = top + Math.log(sum)
  for (const [j, weight, value] of pulls) {
    loss -= weight * value
    s[j] -= weight
  }
  return loss
}

/** The same with one target that is kept: log(1 + sum of exp(s_j - s_target) over the others),
 *  which cancels no digits. */
function againstOthers(s, keeps, target) {
  const value = s[target]
  let top = 0
  for (let j = 0; j < s.length; j++) {
    s[j] = j !== target && keeps(j) ? s[j] - value : -Infinity
    top = Math.max(top, s[j])
  }
  let others = 0
  for (let j = 0; j < s.length; j++) {
    s[j] = Math.exp(s[j] - top)
    others += s[j]
  }
  const total = others + Math.exp(-top)
  for (let j = 0; j < s.length; j++) s[j] /= total
  s[target] = -others / total
  return top === 0 ? Math.log1p(others) : top + Math.log(total)
}

/** log(1 + exp(a)), for any a. */
export const softplus = (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)))
