// The layers of models, those of transformers, ConvNeXt and MLPs among them.

import { dropPath } from '../kernels/elementwise/drop-path.ts'
import { type MaskOptions, dropout } from '../kernels/elementwise/dropout.ts'
import { layerNorm } from '../kernels/norm/layer-norm.ts'
import { checkOptions, checkValue, count, positive, share, text } from '../kernels/options.ts'
import { usedTwice } from './layer-options.ts'
import { LayerBuilder } from './layers.ts'
import { type Layer, type Mode, layerDraws } from './model.ts'

/** Makes layers and collects their parameters. Each method takes the layer's name and returns its
 *  forward. Initial values depend on (seed, name) alone. Every method throws Error for a name that
 *  is used twice. */
export class Builder extends LayerBuilder {
  readonly #drawing = new Set<string>() // names of the layers that draw

  /** Makes a layer norm of the last axis, C channels, weight and bias [C] from 1 and 0. `eps` is
   *  1e-5 by default, as in torch; timm's transformers and ConvNeXt have 1e-6. */
  layerNorm(name: string, C: number, options: { readonly eps?: number } = {}): Layer {
    checkValue('Builder.layerNorm', `C of ${name}`, C, count)
    const { eps = 1e-5 } = checkOptions('Builder.layerNorm', options, { eps: positive })
    const gamma = this.parameter(`${name}.weight`, new Float32Array(C).fill(1), [C])
    const beta = this.parameter(`${name}.bias`, new Float32Array(C), [C])
    return (x) => layerNorm(x, gamma, beta, { eps })
  }

  /** Makes a layer that in training drops each element with probability p (`dropout`). In training
   *  with p above 0 the mode needs `draws`. */
  dropout(name: string, p: number): Layer {
    return this.#drawn(name, p, dropout)
  }

  /** Makes a layer that in training drops each sample's branch with probability p (`dropPath`), for
   *  residual branches. In training with p above 0 the mode needs `draws`. */
  dropPath(name: string, p: number): Layer {
    return this.#drawn(name, p, dropPath)
  }

  #drawn(name: string, p: number, op: typeof dropout): Layer {
    checkValue('Builder', 'the name of a layer', name, text)
    checkValue('Builder', `p of ${name}`, p, share)
    if (this.#drawing.has(name)) throw usedTwice(name)
    this.#drawing.add(name)
    const options = (mode: Mode): MaskOptions => ({ ...layerDraws(name, mode), stream: name })
    return (x, mode) => (p === 0 ? x : op(x, p, options(mode)))
  }
}
