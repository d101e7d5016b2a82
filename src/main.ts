/** From argv to one command. The only place that ends the process. */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 24 || (major === 24 && minor < 7)) {
  process.stderr.write(
    `daybook: Node ${process.versions.node} is too old: Daybook needs Node 24.7 or later. "npm ci" brings one along: ` +
      'start Daybook with "npm run -s daybook -- serve".\n',
  )
  process.exit(1)
}

void import('./cli/program.ts')
  .then(({ main }) => main(process.argv.slice(2)))
  .catch((error: Error) => {
    process.stderr.write(`daybook: ${error.stack ?? error}\n`)
    return 1
  })
  .then(async (code) => {
    // What was written into a pipe is not read yet.
    for (const stream of [process.stdout, process.stderr])
      if (stream.writableLength > 0) await new Promise<void>((resolve) => stream.write('', () => resolve()))
    process.exit(code)
  })
