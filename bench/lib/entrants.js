// Who races: Kindred at each precision, the same loss unfused, and the peers that are installed.

import { isInstalled, peerVersion, torchHere } from './environment.js'

// Relative differences from float64 that its precisions explain: strict f32; TF32's and bf16's
// products.
const torchTolerances = { f32: 1e-3, tf32: 2e-2, bf16: 0.2 }

/** The contestants of a bench, and why others are missing. Their modules lie in the bench's own
 *  folder. Each is
 *
 *    name, module, python   what it is called, its file, and the interpreter of a Python one
 *    settings, problem      what its process is told, and what its problem has beyond the size
 *    needsLogits            whether it stores all logits in one WebGPU buffer
 *    tolerance              relative difference from the others that its precision explains
 */
export function entrantsOf(bench, flags) {
  const { peers, python, adapter, only } = flags
  const entrants = oursOf(bench, flags)
  const missing = []
  const problem = bench.variants && { variant: bench.name }
  const add = (name, module, more = {}) =>
    entrants.push({
      name,
      module,
      problem,
      settings: { adapter, dtype: 'f32' },
      needsLogits: true,
      ...more,
    })
  if (!flags.variant || flags.variant.includes(bench.name)) {
    add('unfused', `${bench.name}/unfused.js`)
    if (peers) addPeers(bench, python, add, missing)
  }
  const wanted = ({ name }) =>
    !only || only.some((word) => name.toLowerCase().includes(word.toLowerCase()))
  return { entrants: entrants.filter(wanted), missing }
}

/** Kindred's fused losses: every variant that was asked for at every precision. */
function oursOf(bench, { dtype, adapter, variant = [undefined] }) {
  const plain = dtype.length === 1 && dtype[0] === 'f32'
  return variant.flatMap((v) =>
    dtype.map((type) => ({
      name: ['kindred', ...(variant.length > 1 ? [v] : []), ...(plain ? [] : [type])].join(' '),
      module: `${bench.name}/kindred.js`,
      settings: { adapter, dtype: type },
      problem: v && { variant: v },
      needsLogits: false,
    })),
  )
}

function addPeers({ name }, python, add, missing) {
  const install = 'not installed; cd bench && npm install'
  if (isInstalled('@tensorflow/tfjs'))
    add(`TensorFlow.js ${peerVersion('@tensorflow/tfjs')}`, `${name}/tfjs.js`)
  else missing.push(`TensorFlow.js: ${install}`)
  if (isInstalled('@jax-js/jax')) add(`jax-js ${peerVersion('@jax-js/jax')}`, `${name}/jax.js`)
  else missing.push(`jax-js: ${install}`)
  const torch = torchHere(python)
  if (torch.missing) {
    missing.push(`PyTorch: ${torch.missing}`)
    return
  }
  for (const how of ['eager', 'compile'])
    for (const [precision, tolerance] of Object.entries(torchTolerances)) {
      const settings = { how, precision }
      // CUDA has no limit of a binding: where memory ends, it says so.
      const more = { settings, tolerance, python, needsLogits: false }
      add(`torch ${how} ${precision} (${torch.version})`, `torch/${name}.py`, more)
    }
}
