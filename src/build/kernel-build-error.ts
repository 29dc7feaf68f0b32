/** A kernel that cannot be built, with the place in the `.wgsl` source (not in the linked text). */
export class KernelBuildError extends Error {
  override readonly name = "KernelBuildError";
  readonly file: string;
  readonly line: number;

  constructor(message: string, file: string, line: number) {
    super(`${file}:${line}: ${message}`);
    this.file = file;
    this.line = line;
  }
}
