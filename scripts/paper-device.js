// Fakes a GPUDevice. It accepts every call of the engine, computes nothing, and calls `onDispatch`
// for each dispatch that is submitted. So the kernels for a device can be printed without one.

const [UNIFORM, STORAGE] = [0x40, 0x80]

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

const matrix = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 }

/** The kinds of device that get different kernels, by the name that --kernels takes. */
const kinds = {
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
}

/** Kinds that `paperDevice` takes. */
export const paperKinds = Object.keys(kinds)

/** Makes a fake device of a kind. Calls `onDispatch` with { code, entryPoint, constants, groups,
 *  params }. */
export function paperDevice(kind, onDispatch) {
  const { features, info } = kinds[kind]
  const queue = {
    writeBuffer(buffer, offset, data, from = 0, size) {
      if (!buffer.bytes) return // only uniform buffers, which hold Params, keep their bytes
      const source = ArrayBuffer.isView(data)
        ? new Uint8Array(data.buffer, data.byteOffset + from * data.BYTES_PER_ELEMENT)
        : new Uint8Array(data, from)
      buffer.bytes.set(source.subarray(0, size ?? source.length), offset)
    },
    submit: (list) =>
      list.forEach((commands) => commands.forEach((command) => onDispatch(command()))),
    onSubmittedWorkDone: () => Promise.resolve(),
  }
  return {
    features: new Set(features),
    limits: base,
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
      bytes: usage & UNIFORM && !(usage & STORAGE) ? new Uint8Array(size) : null,
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
        }))
      },
      end() {},
    }
  }
  return { beginComputePass, copyBufferToBuffer() {}, finish: () => commands }
}

/** Reads the values of a kernel's Params, by name. */
function paramsOf(code, group, offset) {
  const uniform = group.entries.map(({ resource }) => resource.buffer).find(({ bytes }) => bytes)
  const fields = /struct Params \{([^}]*)\}/.exec(code)?.[1] ?? ''
  if (!uniform) return {}
  const view = new DataView(uniform.bytes.buffer)
  const read = { u32: 'getUint32', i32: 'getInt32', f32: 'getFloat32' }
  const named = [...fields.replaceAll(/\/\/.*/g, '').matchAll(/(\w+)\s*:\s*(u32|i32|f32)/g)]
  return Object.fromEntries(
    named.map(([, name, type], i) => [name, view[read[type]](offset + 4 * i, true)]),
  )
}
