/** Which of many numbers is the greatest, while the greatest changes. Of equals, any; but always the same one. */
export class MaxHeap {
  /** Indices of `keys` as a binary heap. */
  private readonly order: Uint32Array;

  constructor(private readonly keys: Float64Array) {
    this.order = Uint32Array.from(keys.keys());
    for (let i = keys.length >> 1; i >= 0; i--) this.sink(i);
  }

  /** The index of the greatest. */
  get top(): number {
    return this.order[0]!;
  }

  /** −Infinity where there are none. */
  get max(): number {
    return this.order.length > 0 ? this.keys[this.top]! : Number.NEGATIVE_INFINITY;
  }

  replaceTop(key: number): void {
    this.keys[this.top] = key;
    this.sink(0);
  }

  private sink(from: number): void {
    const { keys, order } = this;
    for (let at = from; ; ) {
      const left = 2 * at + 1;
      const right = left + 1;
      if (left >= order.length) return;
      const child = right < order.length && keys[order[right]!]! > keys[order[left]!]! ? right : left;
      if (keys[order[child]!]! <= keys[order[at]!]!) return;
      [order[at], order[child]] = [order[child]!, order[at]!];
      at = child;
    }
  }
}
