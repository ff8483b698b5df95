// Fakes a GPUDevice. It accepts every call of the engine, computes nothing, and calls `onDispatch`
// for each dispatch that is submitted. So the kernels for a device can be printed without one.

const UNIFORM = 0x40
const MOST_PARAMS = 1 << 20 // bytes; what is written at once and larger is data

const base = {
  maxComputeWorkgroupStorageSize: 49152,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupSizeX: 1024,
  maxComputeWorkgroupsPerDimension: 65535,
  maxStorageBufferBindingSize: 2 ** 31 - 4,
  maxBufferSize: 2 ** 38,
  maxStorageBuffersPerShaderStage: 16,
  maxUniformBufferBindingSize: 65536,
  minUniformBufferOffsetAlignment: 64,
  minStorageBufferOffsetAlignment: 16,
}

/** WebGPU's default limits, which every device has. */
const bare = {
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxStorageBufferBindingSize: 2 ** 27,
  maxBufferSize: 2 ** 28,
  maxStorageBuffersPerShaderStage: 8,
  minUniformBufferOffsetAlignment: 256,
  minStorageBufferOffsetAlignment: 256,
}

const matrix = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 }

/** The kinds of device that get different kernels, by the name that --kernels takes. */
const kinds = {
  bare: {
    features: [],
    info: { description: 'a GPU with default limits, on paper' },
    limits: bare,
  },
  device: {
    features: ['shader-f16', 'subgroups'],
    info: { description: 'llvmpipe, on paper', subgroupMinSize: 8, subgroupMaxSize: 8 },
  },
  gpu: {
    features: ['shader-f16', 'subgroups'],
    info: { description: 'a GPU, on paper', subgroupMinSize: 32, subgroupMaxSize: 32 },
  },
  matrices: {
    features: ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'],
    info: {
      description: 'a GPU with subgroup matrices, on paper',
      subgroupMinSize: 32,
      subgroupMaxSize: 32,
      subgroupMatrixConfigs: [matrix],
    },
  },
  amd: {
    features: [
      'shader-f16',
      'subgroups',
      'subgroup-size-control',
      'chromium-experimental-subgroup-matrix',
    ],
    info: {
      description: 'a GPU with subgroup matrices and subgroups of two sizes, on paper',
      subgroupMinSize: 32,
      subgroupMaxSize: 64,
      subgroupMatrixConfigs: [matrix],
    },
    limits: { maxComputeWorkgroupStorageSize: 65536 },
  },
}

/** Kinds that `paperDevice` takes. */
export const paperKinds = Object.keys(kinds)

/** What `paperDevice` needs to stand for a GPUDevice that is there. */
export const paperKindOf = ({ features, limits, adapterInfo }) => {
  const own = Object.fromEntries(Object.keys(base).map((name) => [name, limits[name]]))
  const { vendor, architecture, device, description, isFallbackAdapter } = adapterInfo
  const { subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs = [] } = adapterInfo
  const info = { vendor, architecture, device, description, isFallbackAdapter, subgroupMinSize }
  return {
    features: [...features],
    limits: own,
    info: { ...info, subgroupMaxSize, subgroupMatrixConfigs: [...subgroupMatrixConfigs] },
  }
}

/** A device of a kind, a name or what `paperKindOf` returns. `onDispatch` is given
 *  { code, entryPoint, constants, groups, params, bound } of a dispatch, where `bound` lists the
 *  storage bindings, { buffer, offset, bytes, writes }, and { copied } of a copy, in bytes. */
export function paperDevice(kind, onDispatch) {
  const { features, info, limits } = typeof kind === 'string' ? kinds[kind] : kind
  const queue = {
    writeBuffer(buffer, offset, data, from = 0, size) {
      const source = ArrayBuffer.isView(data)
        ? new Uint8Array(data.buffer, data.byteOffset + from * data.BYTES_PER_ELEMENT)
        : new Uint8Array(data, from)
      const written = source.subarray(0, size ?? source.length)
      if (!(buffer.usage & UNIFORM) || written.length > MOST_PARAMS) return // no Params
      buffer.bytes ??= new Uint8Array(buffer.size)
      buffer.bytes.set(written, offset)
    },
    submit: (list) =>
      list.forEach((commands) => commands.forEach((command) => onDispatch(command()))),
    onSubmittedWorkDone: () => Promise.resolve(),
  }
  return {
    features: new Set(features),
    limits: { ...base, ...limits },
    adapterInfo: { vendor: 'paper', architecture: '', device: '', ...info },
    queue,
    lost: new Promise(() => {}),
    destroy() {},
    addEventListener() {},
    removeEventListener() {},
    pushErrorScope() {},
    popErrorScope: () => Promise.resolve(null),
    createBuffer: ({ size, usage }) => ({
      size,
      usage,
      bytes: null,
      destroy() {},
      mapAsync: () => Promise.resolve(),
      getMappedRange: (_, bytes = size) => new ArrayBuffer(bytes),
      unmap() {},
    }),
    createShaderModule: ({ code }) => ({
      code,
      getCompilationInfo: () => Promise.resolve({ messages: [] }),
    }),
    createBindGroupLayout: (layout) => layout,
    createPipelineLayout: (layout) => layout,
    createBindGroup: (group) => group,
    createComputePipeline: ({ compute: { module, entryPoint, constants = {} } }) => ({
      code: module.code,
      entryPoint,
      constants,
    }),
    createCommandEncoder: encoder,
  }
}

function encoder() {
  const commands = []
  const beginComputePass = () => {
    let state = {}
    return {
      setPipeline: (pipeline) => (state = { ...state, pipeline }),
      setBindGroup: (_, group, [offset = 0] = []) => (state = { ...state, group, offset }),
      dispatchWorkgroups(...groups) {
        const { pipeline, group, offset } = state
        commands.push(() => ({
          ...pipeline,
          groups,
          params: paramsOf(pipeline.code, group, offset),
          bound: boundBy(group),
        }))
      },
      end() {},
    }
  }
  const copyBufferToBuffer = (...args) => commands.push(() => ({ copied: args.at(-1) }))
  return { beginComputePass, copyBufferToBuffer, finish: () => commands }
}

const isUniform = (layout, binding) =>
  layout.entries.find((entry) => entry.binding === binding)?.buffer.type === 'uniform'

/** The storage buffers of a bind group. */
const boundBy = ({ layout, entries }) =>
  entries
    .filter(({ binding }) => !isUniform(layout, binding))
    .map(({ binding, resource: { buffer, offset = 0, size = buffer.size - offset } }) => ({
      ...{ buffer, offset, bytes: size },
      writes: layout.entries.find((entry) => entry.binding === binding).buffer.type === 'storage',
    }))

/** The values of a kernel's Params, by name. */
function paramsOf(code, group, offset) {
  const own = group.entries.find(({ binding }) => isUniform(group.layout, binding))
  const fields = /struct Params \{([^}]*)\}/.exec(code)?.[1] ?? ''
  const { buffer, offset: start = 0 } = own?.resource ?? {}
  if (!buffer?.bytes) return {}
  const view = new DataView(buffer.bytes.buffer)
  const read = { u32: 'getUint32', i32: 'getInt32', f32: 'getFloat32' }
  const named = [...fields.replaceAll(/\/\/.*/g, '').matchAll(/(\w+)\s*:\s*(u32|i32|f32)/g)]
  return Object.fromEntries(
    named.map(([, name, type], i) => [name, view[read[type]](start + offset + 4 * i, true)]),
  )
}
