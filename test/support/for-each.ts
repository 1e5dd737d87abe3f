/** Does something for each of many, some at a time. */
export async function forEach<T>(
  things: readonly T[],
  concurrency: number,
  work: (thing: T) => Promise<unknown>,
): Promise<void> {
  const queue = things.values()
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (const thing of queue) await work(thing)
    }),
  )
}
