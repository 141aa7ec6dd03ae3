/** Where a program lies in a runtime's memory. */

/** First address that a program may use: the runtime's own static data lies below (checked when it is instantiated). */
export const PROGRAM_BASE = 1024

/** Bytes of a page of WebAssembly memory. */
export const PAGE = 65536
