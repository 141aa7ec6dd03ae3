/** The runtime module: zero imports, exported memory, one executor. */
export {
  header,
  run,
  thimble_abi,
  thimble_input_ptr,
  thimble_input_bytes,
  thimble_output_ptr,
  thimble_output_bytes,
  thimble_invoke,
  thimble_reset,
  thimble_thread,
  flash_slices,
  flash_invoke,
  flash_reset,
} from './exec'
export * from './kernels'
export * from './pack'
export * from './checksum'
