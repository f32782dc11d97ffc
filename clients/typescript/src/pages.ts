/** Lists whose pages are fetched as they are needed. */

/** What a response has to have to be a page. */
export interface PageResponse {
  readonly nextPageToken: string;
  readonly throughSequence?: bigint;
}

/**
 * Items of all pages, in the order of the list: `for await (const item of pages)`. Each loop begins with the first page.
 */
export class Pages<T, P extends PageResponse = PageResponse> implements AsyncIterable<T> {
  readonly #fetch: (pageToken: string) => Promise<P>;
  readonly #itemsOf: (page: P) => readonly T[];
  #throughSequence: bigint | undefined;

  /** @internal */
  constructor(fetch: (pageToken: string) => Promise<P>, itemsOf: (page: P) => readonly T[]) {
    this.#fetch = fetch;
    this.#itemsOf = itemsOf;
  }

  /** The point of the log at which the first page was read: follow from here. Undefined before that, and for bars. */
  get throughSequence(): bigint | undefined {
    return this.#throughSequence;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for await (const page of this.pages()) yield* this.#itemsOf(page);
  }

  /** The pages themselves, as the service sends them. */
  async *pages(): AsyncIterableIterator<P> {
    let token = "";
    do {
      const page = await this.#fetch(token);
      this.#throughSequence ??= page.throughSequence;
      yield page;
      token = page.nextPageToken;
    } while (token !== "");
  }

  /** All items. */
  async toArray(): Promise<T[]> {
    const items: T[] = [];
    for await (const item of this) items.push(item);
    return items;
  }
}
