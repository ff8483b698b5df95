// The lint rule `kindred/names`: an exported name is declared once in the whole project, so that a
// search for it finds one thing.

import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { layers, root } from './imports.js'

/** A declaration at the beginning of a line, where oxfmt puts it. */
const declaration =
  /^export (?:declare |abstract |async )*(?:function\*?|const|let|class|interface|type|enum) (\w+)/gm

/** Names that two files declare on purpose: kindred/node replaces openGpu by that of Node. */
const twice = ['openGpu']

const folders = [...Object.keys(layers), 'cli', 'examples/photos'].filter(
  (name) => !/^bench$|\./.test(name),
)

/** Returns the files that declare each exported name. */
function declarations() {
  const files = new Map()
  for (const folder of folders.filter((name) => existsSync(join(root, name))))
    for (const name of readdirSync(join(root, folder), { recursive: true })) {
      if (!name.endsWith('.ts')) continue
      const path = `${folder}/${name.split(sep).join('/')}`
      for (const [, exported] of readFileSync(join(root, path), 'utf8').matchAll(declaration))
        files.set(exported, (files.get(exported) ?? new Set()).add(path))
    }
  return files
}

let index = null

const names = {
  meta: { type: 'problem' },
  create(context) {
    const path = relative(root, context.filename).split(sep).join('/')
    if (!folders.some((folder) => path.startsWith(`${folder}/`))) return {}
    const check = (node, name) => {
      index ??= declarations()
      const others = [...(index.get(name) ?? [])].filter((other) => other !== path)
      if (others.length === 0 || twice.includes(name)) return
      const message = `${path} exports ${name}, and so does ${others.join(', ')}: rename one of them`
      context.report({ node, message })
    }
    return {
      ExportNamedDeclaration({ declaration: declared }) {
        if (declared?.id) check(declared, declared.id.name)
        for (const { id } of declared?.declarations ?? []) check(declared, id.name)
      },
    }
  },
}

export default names
