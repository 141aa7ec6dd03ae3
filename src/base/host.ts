/**
 * Types of the host: what the project's own libraries call it where they know it (DOM, Node's or Workers' types), else
 * the part of it that is needed, so that declarations ask for no library beyond ES2022.
 */
type Global<Name extends string, Otherwise> =
  typeof globalThis extends Record<Name, { prototype: infer T }> ? T : Otherwise

/** A `WebAssembly.Module`. */
export type WasmModule = typeof globalThis extends { WebAssembly: { Module: { prototype: infer T } } } ? T : object
/** A `URL`. */
export type HostUrl = Global<'URL', { readonly href: string; toString(): string }>
/** A fetch `Request`. */
export type HostRequest = Global<'Request', { readonly method: string; readonly url: string; readonly headers: object }>
/** A fetch `Response`. */
export type HostResponse = Global<
  'Response',
  { readonly ok: boolean; readonly status: number; readonly url: string; arrayBuffer(): Promise<ArrayBuffer> }
>
/** A `Blob` or `File`. */
export type HostBlob = Global<
  'Blob',
  { readonly size: number; readonly type: string; arrayBuffer(): Promise<ArrayBuffer> }
>
