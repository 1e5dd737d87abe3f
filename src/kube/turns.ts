/** Waiting keys in groups: first in, first out inside a group, and the groups take turns. */
export interface Turns {
  push(group: string, key: string): void
  /** @param mayGo whether it may be that group's turn; it keeps its place otherwise */
  shift(mayGo?: (group: string) => boolean): string | undefined
}

/** A waiting line. Keys before `head` are already served; they are cut off now and then. */
interface Line {
  keys: string[]
  head: number
}

/** Lines without keys take no memory. */
export function createTurns(): Turns {
  // A Map keeps insertion order: its first group is the next to be served.
  const groups = new Map<string, Line>()
  return {
    push(group, key) {
      const line = groups.get(group)
      if (line === undefined) groups.set(group, { keys: [key], head: 0 })
      else line.keys.push(key)
    },
    shift(mayGo = () => true) {
      const first = groups.entries().find(([group]) => mayGo(group))
      if (first === undefined) return undefined
      const [group, line] = first
      const key = line.keys[line.head]
      line.head += 1
      if (line.head >= 1024 && line.head * 2 > line.keys.length) {
        line.keys = line.keys.slice(line.head)
        line.head = 0
      }
      groups.delete(group)
      if (line.head < line.keys.length) groups.set(group, line)
      return key
    },
  }
}
