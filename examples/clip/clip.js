// CLIP (Radford et al. 2021, https://arxiv.org/abs/2103.00020) on two small towers: a vision
// transformer and a transformer over the bytes of captions.

import {
  AdamW,
  Builder,
  augment,
  byteTokens,
  clamp,
  clipLoss,
  cosine,
  exp,
  l2Normalize,
  load,
  loadModel,
  neg,
  parametersOf,
  restore,
  save,
  saveModel,
  snapshot,
  textTransformer,
  vit,
  warmup,
} from 'kindred/node'

const LENGTH = 44 // bytes of a caption, at most
const NORMAL = { mean: [0.48, 0.46, 0.41], std: [0.27, 0.26, 0.28] } // of CLIP, rounded
const MOST = Math.log(100) // of log(1 / T), as in the paper

/** Makes CLIP on this Gpu. `step(batch)` trains on pictures and captions as `pairs` draws them, and
 *  returns the loss [], which lives until the next step ends. */
export function openClip(gpu, options = {}) {
  const { side = 32, width = 64, dim = 64, steps = 300, lr = 1e-3, seed = 0 } = options
  const image = vit(gpu, { size: side, patch: 8, width, depth: 4, heads: 4, dropPath: 0.1, seed })
  const text = textTransformer(gpu, { length: LENGTH, width, depth: 2, heads: 4, seed })
  const project = projections(gpu, width, dim, seed)
  const logScale = gpu.variable(Math.log(1 / 0.07), []) //              log(1 / T), learned
  const parts = { image, text, project, logScale }
  const optimizer = new AdamW(parametersOf(parts), { weightDecay: 0.1, clip: 1, treat })
  const schedule = warmup(Math.ceil(steps / 20), cosine(lr, steps))
  const state = { step: 0 }

  /** Unit rows of pictures u8 [N, side, side, 3], and of tokens [N, length]. */
  const towers = (pictures, tokens, mode) => {
    const x = augment(pictures, { normalize: NORMAL }, { seed, step: 0, view: 0 }) // u8 -> f32
    const of = (network) => ({ ...mode, draws: { seed, step: () => state.step, network } })
    return [
      l2Normalize(project.image(image.forward(x, of('image')))),
      l2Normalize(project.text(text.forward(tokens, of('text')))),
    ]
  }
  const of = Object.values(optimizer.trained) //                        no gradient of frozen parameters
  const captured = gpu.capture((pictures, tokens) => {
    const [z1, z2] = towers(pictures, tokens, { training: true })
    const T = exp(neg(clamp(logScale, { max: MOST }))) //                1 / T is at most 100
    const loss = clipLoss(z1, z2, T, { normalized: true })
    optimizer.step(gpu.backward(loss, undefined, { of }), () => schedule(state.step))
    gpu.everyStep(() => state.step++)
    return loss
  })

  return {
    ...{ gpu, parts, optimizer, state, captured, towers },
    step: ({ images, shape, captions }) =>
      captured.run({ values: images, shape }, byteTokens(captions, { length: LENGTH })),
    /** Unit rows [N, dim] of both, without a gradient. */
    embed: ({ images, shape, captions }) =>
      gpu.noGrad(() => {
        const { values, shape: sizes } = byteTokens(captions, { length: LENGTH })
        const given = [gpu.tensor(images, shape), gpu.tensor(values, sizes)]
        return towers(...given, { training: false })
      }),
  }
}

/** Linear maps of both towers' features to the common space, without bias, as one model. */
function projections(gpu, width, dim, seed) {
  const build = new Builder(gpu, seed)
  const [image, text] = ['image', 'text'].map((name) =>
    build.linear(name, [width, dim], { bias: false, std: width ** -0.5 }),
  )
  const { parameters, norms } = build
  return { parameters, norms, features: dim, forward: image, image, text }
}

/** Three groups of parameters, and half of the image tower frozen, as if it were pretrained. */
function treat(name, { shape }) {
  if (/^image\.(patch_embed|cls_token|pos_embed|blocks\.[01]\.)/.test(name)) return { frozen: true }
  const decays = shape.length === 2 && !name.includes('embed') // matrices alone
  return {
    ...(!decays && { weightDecay: 0 }), //              biases, norms, embeddings, temperature
    ...(name.startsWith('image.') && { lr: 0.3 }), //   the rest of the image tower learns slower
  }
}

/** Saves everything that a training needs to go on as if it had not stopped. */
export async function saveClip({ gpu, parts, optimizer, state }, path) {
  const tensors = await saveModel(gpu, parts)
  for (const [name, moments] of await snapshot(gpu, optimizer.state))
    tensors.set(`optimizer.${name}`, moments)
  await save(path, tensors, { step: String(state.step), t: String(optimizer.t) })
}

/** Puts what `saveClip` saved into a new CLIP of the same sizes. */
export async function resumeClip({ gpu, parts, optimizer, state }, path) {
  const { tensors, metadata } = await load(path)
  loadModel(gpu, parts, tensors)
  const moments = [...tensors].flatMap(([name, tensor]) =>
    name.startsWith('optimizer.') ? [[name.slice('optimizer.'.length), tensor]] : [],
  )
  restore(gpu, optimizer.state, new Map(moments))
  state.step = Number(metadata.step)
  optimizer.t = Number(metadata.t)
}
