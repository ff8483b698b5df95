// Who races: Kindred at each precision, the same loss unfused, and the peers that are installed.

import { isInstalled, peerVersion, torchHere } from './environment.js'

/** The contestants of a bench, and why others are missing. Their modules lie in the bench's own folder. */
export function entrantsOf(bench, flags) {
  const { dtype, peers, adapter, only, variant = [] } = flags
  const settings = { adapter, dtype: 'f32' }
  const entrants = []
  const missing = []
  const add = (name, module, more = {}) =>
    entrants.push({ name, module, settings, needsLogits: true, ...more })
  for (const type of dtype)
    for (const v of variant.length > 0 ? variant : [undefined]) {
      const name = ['kindred', ...(variant.length > 1 ? [v] : []), ...(dtype.length > 1 ? [type] : [])].join(
        ' ',
      )
      const problem = v && { variant: v }
      add(name, `${bench.name}/kindred.js`, {
        settings: { adapter, dtype: type },
        problem,
        needsLogits: false,
      })
    }
  if (variant.length === 0 || variant.includes(bench.name)) {
    add('unfused', `${bench.name}/unfused.js`)
    if (peers) addPeers(bench, add, missing)
  }
  const wanted = ({ name }) => !only || only.some((word) => name.toLowerCase().includes(word.toLowerCase()))
  return { entrants: entrants.filter(wanted), missing }
}

function addPeers({ name }, add, missing) {
  const install = 'not installed; cd bench && npm install'
  if (isInstalled('@tensorflow/tfjs'))
    add(`TensorFlow.js ${peerVersion('@tensorflow/tfjs')}`, `${name}/tfjs.js`)
  else missing.push(`TensorFlow.js: ${install}`)
  if (isInstalled('@jax-js/jax')) add(`jax-js ${peerVersion('@jax-js/jax')}`, `${name}/jax.js`)
  else missing.push(`jax-js: ${install}`)
  const torch = torchHere()
  if (torch.missing) missing.push(`PyTorch: ${torch.missing}`)
  else
    for (const how of ['eager', 'compile'])
      for (const precision of ['f32', 'tf32', 'bf16'])
        add(`torch ${torch.version} ${how} ${precision}`, `torch/${name}.py`, {
          settings: { how, precision },
          needsLogits: false, // CUDA has no limit of a binding; where memory ends it says so
        })
}
