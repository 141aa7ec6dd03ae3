/** Usage: node webpack.mjs web|node ENTRY OUT. Warnings and errors are printed and end in exit code 1. */
import { resolve } from 'node:path'
import webpack from 'webpack'

const [target, entry, out] = process.argv.slice(2)
const compiler = webpack({
  mode: 'production',
  target: target === 'node' ? 'node20' : 'web',
  entry: resolve(entry),
  output: { path: resolve(out), filename: target === 'node' ? 'main.mjs' : 'main.js', module: true },
  experiments: { outputModule: true },
  performance: { hints: false },
})
compiler.run((error, stats) => {
  if (error) throw error
  if (stats.hasErrors() || stats.hasWarnings()) {
    console.error(stats.toString('errors-warnings'))
    process.exitCode = 1
  }
})
