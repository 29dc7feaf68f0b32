/** The values of `GPUBufferUsage`, which is not there where nobody has asked for a GPU yet. */
export const BUFFER_USAGE = { MAP_READ: 0x1, COPY_SRC: 0x4, COPY_DST: 0x8, STORAGE: 0x80 } as const;
