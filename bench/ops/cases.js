// Every case of every op and loss against float64.

import { elementwise } from './elementwise.js'
import { layers } from './layers.js'
import { losses } from './losses.js'
import { reductions } from './reductions.js'
import { state } from './state.js'

export const CASES = [...elementwise, ...reductions, ...layers, ...losses, ...state]
