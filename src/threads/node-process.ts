/**
 * Node's `process`, undefined elsewhere. Read from globalThis: a bundler for pages puts a polyfill where the bare name
 * stands, or complains that it has none (Parcel).
 */
export function nodeProcess(): NodeJS.Process | undefined {
  const { process } = globalThis as { process?: NodeJS.Process }
  return process?.versions?.node === undefined ? undefined : process
}
