/** A binary heap: the least element first. */
export interface Heap<T> {
  push(element: T): void
  peek(): T | undefined
  pop(): T | undefined
  readonly size: number
}

/** @param before whether `a` comes out before `b` */
export function createHeap<T>(before: (a: T, b: T) => boolean): Heap<T> {
  const elements: T[] = []

  function swap(i: number, j: number): void {
    const held = elements[i] as T
    elements[i] = elements[j] as T
    elements[j] = held
  }

  function up(start: number): void {
    for (let child = start; child > 0; ) {
      const parent = (child - 1) >> 1
      if (!before(elements[child] as T, elements[parent] as T)) return
      swap(child, parent)
      child = parent
    }
  }

  function down(): void {
    for (let parent = 0; ; ) {
      let least = parent
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < elements.length && before(elements[child] as T, elements[least] as T)) {
          least = child
        }
      }
      if (least === parent) return
      swap(parent, least)
      parent = least
    }
  }

  return {
    push(element) {
      elements.push(element)
      up(elements.length - 1)
    },
    peek: () => elements[0],
    pop() {
      const first = elements[0]
      const last = elements.pop()
      if (elements.length > 0) {
        elements[0] = last as T
        down()
      }
      return first
    },
    get size() {
      return elements.length
    },
  }
}
