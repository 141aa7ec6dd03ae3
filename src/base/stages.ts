/** Where loading is, for whoever measures it: `bench --load`. */

export type Stage =
  | 'probe the engine'
  | 'import the compiler'
  | 'parse'
  | 'settle shapes'
  | 'lower'
  | 'plan'
  | 'compile the wasm'
  | 'instantiate'
  | 'check the seal'
  | 'read the program'
  | 'pack weights'
  | 'check the records'

/** Called when a stage begins. */
export const stages: { begin?: ((stage: Stage) => void) | undefined } = {}
