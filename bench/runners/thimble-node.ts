/** Thimble in Node, as `import 'thimble'` gives it. */
import type { Runner } from '../drive.ts'
import type * as Thimble from '../../src/node.ts'
import { thimbleSession } from '../thimble.ts'

let thimble: typeof Thimble
// Not bundled: the same path from build/.
export const start: Runner['start'] = async () => {
  thimble = await import('../../dist/node.js')
}
export const open: Runner['open'] = (network, bytes) => thimbleSession(thimble.loadModel, network, bytes)
