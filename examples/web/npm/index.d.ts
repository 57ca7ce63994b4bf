/** Samples of an image: 0 to 255, 0 to 65535, or floats with black at 0 and white at 1. */
export type Samples = Uint8Array | Uint8ClampedArray | Uint16Array | Float32Array;

/** Rows from top to bottom, pixels from left to right, the samples of a pixel side by side. */
export interface Image<T extends Samples = Samples> {
  width: number;
  height: number;
  /** 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha. */
  channels: 1 | 2 | 3 | 4;
  data: T;
}

/** A part of the result, with its samples. */
export interface Rectangle<T extends Samples = Samples> {
  x: number;
  y: number;
  width: number;
  height: number;
  data: T;
}

/** How a run is done: in overlapping tiles. */
export interface Plan {
  columns: number;
  rows: number;
  tileWidth: number;
  tileHeight: number;
  /** Bytes that the run works in, beside both images. */
  memory: number;
}

export interface LoadOptions {
  /**
   * 0, the default: one for each core, at most 8. Results do not depend on it. A page that is not isolated
   * (crossOriginIsolated) and a browser without SIMD have one thread, whatever is asked for.
   */
  threads?: number;
  /** bf16 takes half of the memory for weights and intermediate results. Default: auto, which is fp32 here. */
  precision?: 'auto' | 'fp32' | 'bf16';
  /**
   * A weight file (.mirw): its bytes, which are copied, or where it is: a URL, or in Node a path. Default: the one in
   * the package.
   */
  weights?: ArrayBuffer | ArrayBufferView | URL | string;
  /** false: as in a browser without SIMD instructions, many times slower. */
  simd?: boolean;
}

export interface DenoiseOptions<T extends Samples = Samples> {
  /** 0: the image stays as it is; 1, the default: all of the network's change. */
  strength?: number;
  /** The share of the change in brightness that is left out, 0 to 1. Default: 0. */
  keepGrain?: number;
  /** The longest side of a tile in pixels, 256 or more, or no tiles. Default: 768. Results differ slightly with it. */
  tile?: number | 'off';
  /**
   * Bytes that images and working memory may take. Default and most: 2 GB less 128 MB, or less where the system gives
   * less.
   */
  mostMemory?: number;
  /** Hands the whole buffer of image.data over instead of copying the samples: it is empty afterwards. */
  transfer?: boolean;
  /** Ends the run at once, or its waiting for others: the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
  /** Called once, before the run starts. */
  onPlan?(plan: Plan): void;
  /** Called some times a second with the share of the work that is done. */
  onProgress?(done: number): void;
  /** Called when a part of the result is final. The rectangles cover every pixel exactly once. */
  onRectangle?(rectangle: Rectangle<T>): void;
}

export interface ModelInfo {
  /** Of the library: "0.2.0". */
  readonly version: string;
  /** "MIRNet" */
  readonly network: string;
  /** What the weights were trained for: "denoise". */
  readonly task: string;
  /** "sse2", whose code is compiled to WebAssembly's SIMD instructions, or "scalar". */
  readonly instructionSet: string;
  readonly precision: 'fp32' | 'bf16';
  /** Numbers learned. */
  readonly parameters: number;
  readonly threads: number;
  /** Which module runs. */
  readonly variant: 'simd' | 'threads' | 'plain';
}

export interface Model {
  readonly info: ModelInfo;
  /**
   * The image without its noise, of the same size and type (for a Buffer of Node, a Uint8Array); alpha is copied.
   * Computed in workers; one run of a model at a time, others wait.
   */
  denoise<T extends Samples>(image: Image<T>, options?: DenoiseOptions<T>): Promise<Image<T>>;
  /** Ends the workers and rejects all runs that are not done. */
  free(): void;
}

/** The library's own errors. */
export class MirnetError extends Error {
  code: 'internal' | 'invalid_argument' | 'model' | 'memory' | 'cancelled';
}

/** Loads the module and the weights. A worker for each thread waits for images until free() is called. */
export function load(options?: LoadOptions): Promise<Model>;

/** Whether WebAssembly has SIMD instructions here. */
export function hasSimd(): boolean;

/** Whether workers can share memory here: in Node, and in pages that are isolated. */
export function hasThreads(): boolean;
