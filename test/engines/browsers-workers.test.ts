import { suite } from 'uvu'
import { registerEngines } from './register.ts'

const test = suite('engines: browsers-workers')
registerEngines(test, (id) => /^(workerd|chromium)$/.test(id))
test.run()
