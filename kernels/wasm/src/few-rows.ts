/** Up to this many rows of x, weights are read as they lie. */
export const fewRows = 4;
/** Tasks of such a product: each reads a long run of memory, and a thread that comes late leaves one to the others. */
export const tasksPerThread = 2;
