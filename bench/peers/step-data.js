// The step that every library times: ResNet-18 in its CIFAR form, width 16, 16 images of 32 x 32,
// cross-entropy, SGD. Weights and data come from one seeded generator, so that all of them must
// report the same four losses.

export const CASE = { width: 16, batch: 16, size: 32, classes: 10, lr: 0.05 }
/** Losses of the first four steps, on which TensorFlow.js, jax-js and tensorgrad agree, and how far
 *  off one may be. */
export const LOSSES = [2.52064, 1.21961, 0.70108, 0.4624]
export const TOLERANCES = [1e-4, 1e-4, 1e-3, 1e-3]

/** Uniform numbers in [0, 1): mulberry32. */
export function uniform(seed) {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** `count` normal numbers times `scale`, by Box and Muller. */
export function randn(count, seed, scale = 1) {
  const next = uniform(seed)
  const out = new Float32Array(count)
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - next()))
    const angle = 2 * Math.PI * next()
    out[i] = scale * radius * Math.cos(angle)
    if (i + 1 < count) out[i + 1] = scale * radius * Math.sin(angle)
  }
  return out
}

/** Weights of the i-th convolution [size, size, C, K], counted in torchvision's order. */
export const convWeights = (i, [height, width, C, K]) =>
  randn(height * width * C * K, 1000 + i, Math.sqrt(2 / (height * width * C)))

/** Weights of the classifier [C, classes]. */
export const classifierWeights = (C, classes) => randn(C * classes, 2000, Math.sqrt(1 / C))

export const images = (batch, size) => randn(batch * size * size * 3, 77) // [N, H, W, 3]

export function labels(batch, classes) {
  const next = uniform(78)
  return Int32Array.from({ length: batch }, () => Math.floor(next() * classes))
}

/** The ResNet-18 of `CASE` for libraries that have none: its convolutions, and its blocks by the
 *  numbers of these. */
export function resnet18() {
  const convs = []
  const conv = (k, i, o, stride) =>
    convs.push({ k, i, o, stride, w: convWeights(convs.length, [k, k, i, o]) }) - 1
  const stem = conv(3, 3, CASE.width, 1)
  const blocks = []
  let C = CASE.width
  for (let stage = 0; stage < 4; stage++)
    for (let block = 0; block < 2; block++) {
      const K = CASE.width << stage
      const stride = block === 0 && stage > 0 ? 2 : 1
      const [first, second] = [conv(3, C, K, stride), conv(3, K, K, 1)]
      blocks.push({ first, second, shortcut: stride > 1 ? conv(1, C, K, stride) : -1 })
      C = K
    }
  return { convs, stem, blocks, features: C, classifier: classifierWeights(C, CASE.classes) }
}
