// Makes web/, the package kindred-web: of dist/ what a page can reach from index.js, and the
// libraries that it imports, each bundled into one file. So it has no dependencies, an import map
// needs one line, and `npm i kindred-web` brings neither Dawn nor sharp.

import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'acorn'
import { simple } from 'acorn-walk'
import { build } from 'esbuild'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
/** The types of the libraries that types of Kindred's refer to: a file, and those beside it that it
 *  needs. */
const types = {
  comlink: ['comlink/dist/esm/comlink.d.ts', 'comlink/dist/esm/protocol.d.ts'],
  valibot: ['valibot/dist/index.d.mts'],
  'ml-matrix': ['ml-matrix/matrix.d.ts'],
}

const posix = (path) => path.replaceAll('\\', '/')

/** The name of a library's file: '@noble/hashes/sha2.js' is 'noble-hashes-sha2'. */
const vendored = (name) => name.replace(/^@/, '').replace(/\.js$/, '').replaceAll('/', '-')

/** What a file imports: where each name stands in its text, and which exports it wants; '*' for
 *  all of them. */
function importsOf(text) {
  const found = []
  const add = ({ source, specifiers = [] }) => {
    if (source?.type !== 'Literal') return
    const wanted = specifiers.map(({ imported, type }) =>
      type === 'ImportDefaultSpecifier' ? 'default' : (imported?.name ?? '*'),
    )
    found.push({ start: source.start, end: source.end, name: source.value, wanted })
  }
  simple(parse(text, { ecmaVersion: 'latest', sourceType: 'module' }), {
    ImportDeclaration: add,
    ExportNamedDeclaration: ({ source }) => add({ source }),
    ExportAllDeclaration: add,
    ImportExpression: add,
  })
  return found.sort((a, b) => a.start - b.start)
}

/** What a file of types imports. */
const typeImportsOf = (text) =>
  [...text.matchAll(/(^(?:import|export)\b[^;'"]*?from |\bimport\()(['"])([^'"\n]+)\2/gm)].map(
    ({ index, 0: whole, 3: name }) => {
      const end = index + whole.length
      return { start: end - name.length - 2, end, name, wanted: ['*'] }
    },
  )

/** Copies the files that entries reach, their libraries imported from vendor/. Returns which
 *  exports of which libraries they want. */
function copyReached(entries, from, to, { fileOf, imports }) {
  const libraries = new Map()
  const open = [...entries]
  const seen = new Set(open)
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    const path = join(from, fileOf(file))
    const text = readFileSync(path, 'utf8').replace(/\n\/\/# sourceMappingURL=.*\n?$/, '\n')
    let [code, at] = ['', 0]
    for (const { start, end, name, wanted } of imports(text)) {
      if (name.startsWith('node:')) throw new Error(`web: ${file} imports ${name}`)
      let target = name
      if (name.startsWith('.')) {
        const next = posix(join(dirname(file), name))
        if (!seen.has(next)) open.push(next)
        seen.add(next)
      } else {
        libraries.set(name, new Set([...(libraries.get(name) ?? []), ...wanted]))
        const there = posix(relative(dirname(file), `vendor/${vendored(name)}.js`))
        target = there.startsWith('.') ? there : `./${there}`
      }
      code += text.slice(at, start) + JSON.stringify(target)
      at = end
    }
    mkdirSync(join(to, dirname(file)), { recursive: true })
    writeFileSync(join(to, fileOf(file)), code + text.slice(at))
  }
  return libraries
}

/** The licence of a library, as its package holds it. */
function licenceOf(name) {
  const [scope, second] = name.split('/')
  const folder = join(root, 'node_modules', scope.startsWith('@') ? `${scope}/${second}` : scope)
  const {
    name: called,
    version,
    license,
  } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one))
  const text = file ? readFileSync(join(folder, file), 'utf8') : `Licence: ${license}`
  return [`${called} ${version}`, text]
}

/** What is imported where it is needed, which no declaration names. */
const imported = {
  'umap-js': ['UMAP'],
  'ml-kmeans': ['kmeans'],
  fflate: ['gzipSync', 'unzipSync', 'zipSync'],
}

/** Bundles the wanted exports of libraries into a file each, and what they share into others.
 *  Returns the packages in them. */
async function bundleLibraries(libraries, outdir) {
  const contents = (name) => {
    const names = imported[name] ?? [...libraries.get(name)]
    return `export ${names.includes('*') || names.length === 0 ? '*' : `{ ${names} }`} from '${name}'`
  }
  const entries = {
    name: 'libraries',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^library:/ }, ({ path }) => ({
        path: path.slice('library:'.length),
        namespace: 'library',
      }))
      onLoad({ filter: /./, namespace: 'library' }, ({ path }) => ({
        contents: contents(path),
        resolveDir: root,
      }))
    },
  }
  const { metafile } = await build({
    entryPoints: [...libraries.keys()].map((name) => ({
      in: `library:${name}`,
      out: vendored(name),
    })),
    ...{ outdir, bundle: true, splitting: true, chunkNames: 'shared-[hash]', plugins: [entries] },
    ...{ format: 'esm', platform: 'neutral', target: 'es2022', mainFields: ['module', 'main'] },
    ...{ metafile: true, minifyWhitespace: true, legalComments: 'inline', logLevel: 'warning' },
  })
  return Object.keys(metafile.inputs).flatMap((path) => {
    const [, inside] = path.match(/.*node_modules\/((?:@[^/]+\/)?[^/]+)\//) ?? []
    return inside === undefined ? [] : [inside]
  })
}

const README = `# kindred-web

Contrastive representation learning on WebGPU, for web pages: the package \`kindred\` without what
needs Node, and without dependencies. Import \`kindred-web\` wherever its pages say \`kindred\`:

    import { openGpu, resnet18, simclr } from 'kindred-web'

Without a bundler, an import map needs one line:

    <script type="importmap">
      { "imports": { "kindred-web": "./node_modules/kindred-web/dist/index.js" } }
    </script>

The libraries in dist/vendor keep their licences, which dist/vendor/LICENSES.txt holds.
`

/** Makes the package. dist/ must be built. */
export async function webPackage() {
  const web = join(root, 'web')
  rmSync(web, { recursive: true, force: true })
  const { version, description, keywords, license, ...told } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  )
  const { './node': _, ...exports } = told.exports
  const entries = Object.values(exports).map((one) => one.default.replace('./dist/', ''))
  const dist = join(web, 'dist')
  const code = { fileOf: (file) => file, imports: importsOf }
  const libraries = copyReached(entries, join(root, 'dist'), dist, code)
  const used = await bundleLibraries(libraries, join(dist, 'vendor'))
  const declarations = {
    fileOf: (file) => file.replace(/\.[jt]s$/, '.d.ts'),
    imports: typeImportsOf,
  }
  const typed = copyReached(entries, join(root, 'dist/types'), join(dist, 'types'), declarations)
  for (const name of typed.keys()) {
    const [file, ...beside] = types[name] ?? []
    if (!file) throw new Error(`web: the types of ${name} are needed, and not known here`)
    const vendor = join(dist, 'types/vendor')
    mkdirSync(vendor, { recursive: true })
    cpSync(join(root, 'node_modules', file), join(vendor, `${vendored(name)}.d.ts`))
    for (const other of beside)
      cpSync(join(root, 'node_modules', other), join(vendor, basename(other)))
  }
  const licences = new Map([...new Set(used)].sort().map(licenceOf))
  const texts = [...licences].map(([name, text]) => `${name}\n\n${text.trim()}\n`)
  writeFileSync(join(dist, 'vendor/LICENSES.txt'), texts.join(`\n${'-'.repeat(80)}\n\n`))
  for (const name of ['LICENSE', 'CHANGELOG.md']) cpSync(join(root, name), join(web, name))
  writeFileSync(join(web, 'README.md'), README)
  const head = { name: 'kindred-web', version, description, keywords, license }
  const body = {
    type: 'module',
    sideEffects: ['./dist/vendor/**'],
    files: ['dist', 'CHANGELOG.md'],
    exports,
  }
  writeFileSync(join(web, 'package.json'), `${JSON.stringify({ ...head, ...body }, null, 2)}\n`)
}
