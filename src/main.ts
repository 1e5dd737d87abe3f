import { Command } from 'commander'
import { connectCommand } from './cli/connect.ts'
import packageJson from '../package.json' with { type: 'json' }
import { operatorCommand } from './cli/operator.ts'
import { isKeyferryError } from './errors.ts'

/** Exit codes: 0 done, 1 failed, 2 wrong usage (commander's own). */
const program = new Command('keyferry')
  .description(packageJson.description)
  .version(packageJson.version)
  .addCommand(operatorCommand())
  .addCommand(connectCommand(process.env))

try {
  await program.parseAsync()
} catch (error) {
  if (!isKeyferryError(error)) throw error
  process.stderr.write(`keyferry: ${error.message}\n  ${error.remedy}\n`)
  process.exitCode = 1
}
