/**
 * The few names of the peers that bench/ uses. Their packages live in bench/package.json's own tree and are not
 * installed when the repository's types are checked.
 */
type Loose = any

declare module '@litertjs/core' {
  export type CompiledModel = Loose
  export type Tensor = Loose
  export const CompiledModel: Loose
  export const Tensor: Loose
  export const loadAndCompile: Loose
  export const loadLiteRt: Loose
}
declare module '@tensorflow/tfjs-backend-wasm' {
  export const setThreadsCount: Loose
  export const setWasmPaths: Loose
}
declare module '@tensorflow/tfjs-converter' {
  export const loadGraphModel: Loose
}
declare module '@tensorflow/tfjs-core' {
  export const env: Loose
  export const io: Loose
  export type Tensor = Loose
  export const ready: Loose
  export const setBackend: Loose
  export const tensor: Loose
}
declare module 'onnxruntime-common' {
  export type InferenceSession = Loose
  export type Tensor = Loose
  export const Tensor: Loose
}
declare module 'onnxruntime-node' {
  export const InferenceSession: Loose
  export const Tensor: Loose
}
declare module 'onnxruntime-web/wasm' {
  export const InferenceSession: Loose
  export const Tensor: Loose
  export const env: Loose
}
declare module 'playwright-core' {
  export type BrowserContext = Loose
  export type Page = Loose
  export const chromium: Loose
}
