// Kindred's own lint rules.

import imports from './imports.js'
import names from './names.js'
import reasons from './reasons.js'
import sizes from './sizes.js'
import throws from './throws.js'

export default { meta: { name: 'kindred' }, rules: { imports, names, reasons, sizes, throws } }
