/** Starts worker.ts: threads of Node 20 do not inherit tsx. */
import { register } from 'tsx/esm/api'

register()
await import('./worker.ts')
