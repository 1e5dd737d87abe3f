import { CommanderError } from 'commander'
import { program } from './cli/program.ts'
import { exitCodeOf } from './cli/usage.ts'
import { isKeyferryError } from './errors.ts'

// Whoever reads, such as head, may have seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

try {
  const [, , first, second] = process.argv
  const wanted = first === 'help' ? second : first
  const root = await program((name) => name === wanted)
  await root.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = exitCodeOf(error)
  else if (isKeyferryError(error)) {
    // At once: sockets that are kept open would hold the process for as long as half a minute.
    process.stderr.write(`keyferry: ${error.message}\n  ${error.remedy}\n`, () => process.exit(1))
  } else throw error
}
