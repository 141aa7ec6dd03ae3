/** Thimble in Node, as `import 'thimble'` gives it. */
import type { Runner } from '../drive.ts'
import { thimbleSession } from '../thimble.ts'

let thimble: typeof import('../../src/node.ts')
// Not bundled: the same path from build/.
export const start: Runner['start'] = async () => {
  thimble = (await import('../../dist/node.js')) as unknown as typeof thimble
}
export const open: Runner['open'] = (network, bytes) => thimbleSession(thimble.loadModel, network, bytes)
