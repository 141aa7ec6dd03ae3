#!/usr/bin/env node
import module from 'node:module'
import { asksForOverview, overview } from './cli/commands.ts'
import { stopQuietlyOnClosedPipe } from './cli/pipe.ts'

stopQuietlyOnClosedPipe()
const argv = process.argv.slice(2)
if (asksForOverview(argv)) {
  process.stdout.write(overview())
} else {
  // Compiled code of the commands is kept from one call to the next, where this Node can (22.1 and newer).
  ;(module as { enableCompileCache?: () => void }).enableCompileCache?.()
  const { main } = await import('./cli/main.ts')
  process.exitCode = await main(argv)
}
