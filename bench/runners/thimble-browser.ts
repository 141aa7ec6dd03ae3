/** Thimble in a page, as a bundler takes it in. */
import { loadModel } from '../../dist/browser.js'
import type { Runner } from '../drive.ts'
import { thimbleSession } from '../thimble.ts'

export const start: Runner['start'] = async () => {}
export const open: Runner['open'] = (network, bytes) => thimbleSession(loadModel, network, bytes)
