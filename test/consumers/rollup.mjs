/** Usage: node rollup.mjs web|node ENTRY OUT. A warning is an error. */
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { rollup } from 'rollup'

const [target, input, dir] = process.argv.slice(2)
const build = await rollup({
  input,
  external: [/^node:/],
  plugins: [nodeResolve(target === 'node' ? { exportConditions: ['node'] } : { browser: true })],
  onwarn(warning) {
    throw new Error(warning.message)
  },
})
await build.write({ dir, entryFileNames: target === 'node' ? 'main.mjs' : 'main.js' })
