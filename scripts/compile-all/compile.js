// Compiles pipelines one by one and prints lines of JSON to stderr, since Dawn dumps SPIR-V to
// stdout:
//   { adapter }        the adapter's name
//   { left: id }       left out, because the adapter lacks a feature or has too little memory
//   { begun: id }      and then { id, error }, where null is no error; a compiler may end
//                      the process
//   { end: true }      all are done
// Runs under Node, where Dawn compiles by Tint, and under Deno, where wgpu compiles by naga.
//
//   node compile.js PIPELINES.json FIRST [BACKEND]

import { readFileSync } from 'node:fs'

const [file, first, backend] = process.argv.slice(2)
const inDeno = 'Deno' in globalThis
const tell = (line, written) => process.stderr.write(`${JSON.stringify(line)}\n`, written)

const entry = inDeno ? navigator.gpu : await dawn()
globalThis.held = entry // if it is collected while in use, Node crashes
const adapter = await entry.requestAdapter({ powerPreference: 'high-performance' })
const limits = {}
for (const name in adapter.limits)
  if (typeof adapter.limits[name] === 'number') limits[name] = adapter.limits[name]
const features = [...adapter.features].filter((name) => known().includes(name))
const device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits: limits })
tell({ adapter: adapter.info.description || backend || 'unnamed' })

const pipelines = JSON.parse(readFileSync(file, 'utf8'))
for (const { id, name, code, constants, entries } of pipelines.slice(Number(first))) {
  if (!offered(code)) {
    tell({ left: id })
    continue
  }
  tell({ begun: id })
  device.pushErrorScope('validation')
  device.pushErrorScope('internal')
  const module = device.createShaderModule({ label: name, code })
  const layout = device.createPipelineLayout({
    bindGroupLayouts: [device.createBindGroupLayout({ entries })],
  })
  device.createComputePipeline({ layout, compute: { module, entryPoint: name, constants } })
  const errors = [await device.popErrorScope(), await device.popErrorScope()]
  const error = errors.find(Boolean)?.message ?? null
  tell(/larger than the maximum allowed/.test(error) ? { left: id } : { id, error })
}
await new Promise((written) => tell({ end: true }, written)) // exit() drops the rest
process.exit(0)

/** Features that kernels use. */
function known() {
  const subgroups = ['subgroups', 'subgroup-size-control', 'chromium-experimental-subgroup-matrix']
  return ['shader-f16', ...subgroups]
}

/** Whether the device has the features that a program enables. */
function offered(code) {
  const enabled = [...code.matchAll(/\benable\s+(\w+);/g)].map(([, word]) => word)
  return enabled.every((word) =>
    features.includes(word === 'f16' ? 'shader-f16' : word.replaceAll('_', '-')),
  )
}

async function dawn() {
  const { create } = await import('webgpu')
  const toggles = ['allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia']
  if (process.env.DUMP === '1') toggles.push('dump_shaders')
  const on = `enable-dawn-features=${toggles.join(',')}`
  return create(backend ? [`backend=${backend}`, on] : [on])
}
