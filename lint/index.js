// Kindred's own lint rules.

import imports from './imports.js'
import names from './names.js'
import sizes from './sizes.js'
import throws from './throws.js'

export default { meta: { name: 'kindred' }, rules: { imports, names, sizes, throws } }
