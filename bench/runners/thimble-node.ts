/** Thimble in Node, as `import 'thimble'` gives it. */
import type { Runner } from '../drive.ts'
import { thimbleSession } from '../thimble.ts'

let thimble: typeof import('../../src/node.ts')
export const start: Runner['start'] = async () => { thimble = await import('../../src/node.ts') }
export const open: Runner['open'] = (network, bytes) => thimbleSession(thimble.loadModel, network, bytes)
