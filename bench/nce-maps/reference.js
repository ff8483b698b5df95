// AMDIM's loss in float64 (arXiv:1906.00910, section 3.3-3.4), with its penalty.

/** {loss, gradients: [of the vectors, of the maps]} of the sum of both. */
export function reference({ sources, maps }, { N, L, R, clip, penalty }) {
  const gradients = [new Float64Array(N * R), new Float64Array(N * L * R)]
  const root = Math.sqrt(R)
  let [loss, squares] = [0, 0]
  for (let i = 0; i < N; i++) {
    const raw = new Float64Array(N * L)
    for (let at = 0; at < N * L; at++) {
      for (let r = 0; r < R; r++) raw[at] += sources[i * R + r] * maps[at * R + r]
      raw[at] /= root
      squares += raw[at] ** 2
    }
    const t = raw.map((x) => Math.tanh(x / clip))
    const s = t.map((x) => clip * x)
    const isOwn = (at) => Math.floor(at / L) === i
    let negatives = 0
    for (let at = 0; at < N * L; at++) if (!isOwn(at)) negatives += Math.exp(s[at])
    let A = 0
    for (let at = i * L; at < (i + 1) * L; at++) {
      loss += Math.log(Math.exp(s[at]) + negatives) - s[at]
      A += 1 / (Math.exp(s[at]) + negatives)
    }
    for (let at = 0; at < N * L; at++) {
      const ds = isOwn(at) ? -negatives / (Math.exp(s[at]) + negatives) : Math.exp(s[at]) * A
      const draw = (ds * (1 - t[at] ** 2)) / (N * L) + (2 * penalty * raw[at]) / (N * N * L)
      for (let r = 0; r < R; r++) {
        gradients[0][i * R + r] += (draw * maps[at * R + r]) / root
        gradients[1][at * R + r] += (draw * sources[i * R + r]) / root
      }
    }
  }
  return { loss: loss / (N * L) + (penalty * squares) / (N * N * L), gradients }
}
