// Tests whether Dawn has a WebGPU adapter here that computes. Prints one JSON line. Exits with 0 if
// it has one, 3 if not, 4 if Dawn cannot be loaded. The trial runs in a child process, because an
// old driver may crash it or never return.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const [usable, none, noDawn] = [0, 3, 4]
const timeout = 120_000 // ms; the first shader takes seconds on a slow CPU

/** Prints one JSON line and sets the exit code. */
function answer(code, fields) {
  console.log(JSON.stringify({ usable: code === usable, ...fields }))
  process.exitCode = code
}

/** Returns the first line of an error's message. */
const told = (error) => String(error?.message ?? error).split('\n')[0]

/** Computes squares on the adapter and answers. Returns Dawn's instance. */
async function trial() {
  const dawn = await import('webgpu').catch((error) => answer(noDawn, { reason: told(error) }))
  if (!dawn) return
  const instance = dawn.create([]) // returned: if it is collected while in use, Node crashes
  const adapter = await instance.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter) return answer(none, { reason: 'Dawn finds no adapter' })
  const { vendor, architecture, device: name, description } = adapter.info
  const fields = {
    adapter: name || description || `${vendor} ${architecture}`,
    driver: description,
  }
  try {
    const device = await adapter.requestDevice()
    const values = await squares(device)
    device.destroy()
    if (values.some((value, i) => value !== i * i))
      throw new Error(`it computes wrong squares: ${values.join(' ')}`)
    answer(usable, fields)
  } catch (error) {
    answer(none, { ...fields, reason: told(error) })
  }
  return instance
}

/** Computes the squares of 0 to 63 on the device. */
async function squares(device) {
  device.pushErrorScope('validation')
  const code = `
    @group(0) @binding(0) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64)
    fn square(@builtin(local_invocation_index) i: u32) { y[i] = f32(i * i); }`
  const module = device.createShaderModule({ code })
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } })
  const [storage, copySource, copyTarget, mapRead] = [0x80, 0x4, 0x8, 0x1] // GPUBufferUsage
  const y = device.createBuffer({ size: 256, usage: storage | copySource })
  const staging = device.createBuffer({ size: 256, usage: copyTarget | mapRead })
  const layout = pipeline.getBindGroupLayout(0)
  const group = device.createBindGroup({
    layout,
    entries: [{ binding: 0, resource: { buffer: y } }],
  })
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  pass.setPipeline(pipeline)
  pass.setBindGroup(0, group)
  pass.dispatchWorkgroups(1)
  pass.end()
  encoder.copyBufferToBuffer(y, 0, staging, 0, 256)
  device.queue.submit([encoder.finish()])
  const error = await device.popErrorScope()
  if (error) throw error
  await staging.mapAsync(mapRead)
  return [...new Float32Array(staging.getMappedRange().slice(0))]
}

/** Runs the trial in a child process. Prints its answer, or how it ended without one. */
function probe() {
  const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), '--here'], {
    encoding: 'utf8',
    timeout,
    killSignal: 'SIGKILL',
  })
  const line = child.stdout.split('\n').find((text) => text.startsWith('{'))
  if (line) {
    console.log(line)
    process.exitCode = JSON.parse(line).usable ? usable : (child.status ?? none)
    return
  }
  const timedOut =
    child.error !== undefined && 'code' in child.error && child.error.code === 'ETIMEDOUT'
  const ending = timedOut
    ? `did not return in ${timeout / 1000} s`
    : `ended with ${child.signal ?? child.status}`
  answer(none, { reason: `Dawn ${ending}. ${child.stderr.trim().split('\n').at(-1)}`.trim() })
}

if (process.argv.includes('--here')) globalThis.held = await trial()
else probe()
