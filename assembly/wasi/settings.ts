/** Where the configuration lives, and where the module's own static data ends: what the packer must know. */
import { Config } from './config'

/** The host reads this address from the export of the same name. */
export const config: usize = memory.data(offsetof<Config>(), 16)

// @ts-ignore: decorator
@inline
export function settings(): Config {
  return changetype<Config>(config)
}

/** First address behind the static data. The packer reads the constant from this function's code. */
export function static_end(): usize {
  return __heap_base
}
