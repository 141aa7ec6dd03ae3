#!/usr/bin/env node
import { main } from './cli/main.ts'
import { stopQuietlyOnClosedPipe } from './cli/report.ts'

stopQuietlyOnClosedPipe()
process.exitCode = await main(process.argv.slice(2))
