/**
 * Completion scripts for shells, made from the program's own commands. They are complete in
 * themselves: pressing Tab starts no program.
 */

/** A word of the command line that can be completed. */
export interface CompletedCommand {
  /** Names from the program on: empty for the program itself. */
  readonly path: readonly string[]
  readonly commands: readonly Described[]
  readonly options: readonly Described[]
}

/** A word with what it means. */
export interface Described {
  readonly word: string
  readonly help: string
  /** Values that an option takes; undefined for any or none. */
  readonly choices?: readonly string[] | undefined
}

/** Shells for which there are scripts. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const
/** One of {@link SHELLS}. */
export type Shell = (typeof SHELLS)[number]

/** The script for a shell. */
export function completionScript(shell: Shell, commands: readonly CompletedCommand[]): string {
  switch (shell) {
    case 'bash':
      return bash(commands)
    case 'zsh':
      return zsh(commands)
    case 'fish':
      return fish(commands)
  }
}

const nameOf = ({ path }: CompletedCommand) => path.join(' ')

function bash(commands: readonly CompletedCommand[]): string {
  const paths = commands.filter(({ path }) => path.length > 0).map((one) => quoted(nameOf(one)))
  const words = commands.map((one) => {
    const all = [...one.commands, ...one.options].map(({ word }) => word)
    return `    ${quoted(nameOf(one))}) words=${quoted(all.join(' '))} ;;`
  })
  const values = commands.flatMap((one) =>
    one.options.flatMap(({ word, choices }) =>
      choices
        ? [`    ${quoted(`${nameOf(one)} ${word}`)}) words=${quoted(choices.join(' '))} ;;`]
        : [],
    ),
  )
  return `# bash completion of keyferry: source <(keyferry completion bash)
_keyferry() {
  local command='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${command:+$command }$word" in
    ${paths.join('|')}) command="\${command:+$command }$word" ;;
    esac
  done
  case "$command" in
${words.join('\n')}
  esac
  case "$command \${COMP_WORDS[COMP_CWORD-1]}" in
${values.join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}")
}
complete -o bashdefault -o default -F _keyferry keyferry
`
}

function zsh(commands: readonly CompletedCommand[]): string {
  const paths = commands.filter(({ path }) => path.length > 0).map((one) => quoted(nameOf(one)))
  const described = (all: readonly Described[]) =>
    all.map(({ word, help }) => quoted(`${word.replaceAll(':', '\\:')}:${help}`)).join(' ')
  const known = commands.map((one) => {
    const all = described([...one.commands, ...one.options])
    return `    (${quoted(nameOf(one))}) candidates=(${all}) ;;`
  })
  const values = commands.flatMap((one) =>
    one.options.flatMap(({ word, choices = [] }) =>
      choices.length > 0
        ? [
            `    (${quoted(`${nameOf(one)} ${word}`)}) candidates=(${choices.map(quoted).join(' ')}) ;;`,
          ]
        : [],
    ),
  )
  return `#compdef keyferry
# zsh completion of keyferry: source <(keyferry completion zsh), after compinit
_keyferry() {
  local command='' word
  local -a candidates
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "\${command:+$command }$word" in
    (${paths.join('|')}) command="\${command:+$command }$word" ;;
    esac
  done
  case "$command" in
${known.join('\n')}
  esac
  case "$command \${words[CURRENT-1]}" in
${values.join('\n')}
  esac
  _describe keyferry candidates
  _files
}
compdef _keyferry keyferry
`
}

function fish(commands: readonly CompletedCommand[]): string {
  const paths = commands.filter(({ path }) => path.length > 0).map((one) => quoted(nameOf(one)))
  const lines = commands.flatMap((one) => {
    const at = `complete -c keyferry -n ${quoted(`__keyferry_at ${quoted(nameOf(one)).replaceAll("'", '"')}`)}`
    return [
      ...one.commands.map(({ word, help }) => `${at} -f -a ${quoted(word)} -d ${quoted(help)}`),
      ...one.options.map(({ word, help, choices }) => {
        const name = word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`
        const values = choices ? ` -x -a ${quoted(choices.join(' '))}` : ''
        return `${at} ${name}${values} -d ${quoted(help)}`
      }),
    ]
  })
  return `# fish completion of keyferry: keyferry completion fish | source
function __keyferry_at
  set -l command ''
  for word in (commandline -opc)[2..-1]
    set -l longer (string trim -- "$command $word")
    if contains -- $longer ${paths.join(' ')}
      set command $longer
    end
  end
  test "$command" = "$argv[1]"
end
${lines.join('\n')}
`
}

/** A word in single quotes, which no shell looks into. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", '’')}'`
}
