// mirnet in WebAssembly: removes noise from images, in browsers and in Node. index.d.ts explains the interface.
//
// What is computed is computed in workers (worker.js), so that a page stays responsive.

const files = {
  simd: new URL('./mirnet-simd.wasm', import.meta.url),
  threads: new URL('./mirnet-threads.wasm', import.meta.url),
  plain: new URL('./mirnet-plain.wasm', import.meta.url),
};
const shippedWeights = new URL('./denoise.mirw', import.meta.url);
const workerFile = new URL('./worker.js', import.meta.url);

const inNode = typeof globalThis.Worker !== 'function' && typeof process === 'object';
// The comments keep bundlers for browsers from looking for Node's modules.
const node = inNode ? {
  ...await import(/* webpackIgnore: true */ /* @vite-ignore */ 'node:worker_threads'),
  ...await import(/* webpackIgnore: true */ /* @vite-ignore */ 'node:fs/promises'),
  ...await import(/* webpackIgnore: true */ /* @vite-ignore */ 'node:os'),
} : null;

const mebibyte = 1 << 20;
const largestMemory = 2048 * mebibyte;
const stackBytes = mebibyte;
// Memory of WebAssembly never shrinks: workers that have more than this after a run are replaced.
const keptMemory = 384 * mebibyte;

export class MirnetError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'MirnetError';
    this.code = code;
  }
}

function refuse(message) {
  throw new MirnetError('invalid_argument', message);
}

/** Whether WebAssembly has SIMD here: whether a module that has an instruction of it is valid. */
export function hasSimd() {
  return WebAssembly.validate(new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0,        // version 1
    1, 5, 1, 96, 0, 1, 123,             // a type: () -> v128
    3, 2, 1, 0,                         // a function of this type
    10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,  // i32.const 0, i8x16.splat, i8x16.popcnt
  ]));
}

/** Whether workers can share memory: in Node always, in a page that is isolated from others. */
export function hasThreads() {
  return typeof SharedArrayBuffer === 'function' && (inNode || globalThis.crossOriginIsolated === true);
}

function usableThreads() {
  const cores = inNode ? (node.availableParallelism?.() ?? node.cpus().length) : navigator.hardwareConcurrency;
  return Math.max(1, Math.min(cores || 1, 8));
}

async function readBytes(source) {
  if (source instanceof ArrayBuffer) return source;
  if (ArrayBuffer.isView(source)) {
    return source.buffer.slice(source.byteOffset, source.byteOffset + source.byteLength);
  }
  const url = source instanceof URL ? source : new URL(source, inNode ? `file://${process.cwd()}/` : location.href);
  try {
    if (inNode && url.protocol === 'file:') {
      const bytes = await node.readFile(url);
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    }
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the server answers ${response.status} ${response.statusText}`.trim());
    return await response.arrayBuffer();
  } catch (error) {
    throw new MirnetError('model', `${url} cannot be read: ${error.message}`);
  }
}

const modules = new Map();

// Compiled once, however many models there are.
function compiled(variant) {
  if (!modules.has(variant)) {
    const module = readBytes(files[variant]).then((bytes) => WebAssembly.compile(bytes));
    modules.set(variant, module);
    module.catch(() => modules.delete(variant));
  }
  return modules.get(variant);
}

/** A worker of a browser or of Node, which hands its messages to `receive`. */
class Thread {
  constructor(receive) {
    const fail = (event) => receive({
      error: {code: 'internal', message: `a worker has failed: ${event.message ?? 'it could not be loaded'}`},
    });
    if (inNode) {
      this.worker = new node.Worker(workerFile, {execArgv: []});  // --input-type, say, is not for files
      this.worker.on('message', receive);
      this.worker.on('error', fail);
    } else {
      this.worker = new Worker(workerFile, {type: 'module'});
      this.worker.onmessage = (event) => receive(event.data);
      this.worker.onerror = fail;
    }
  }

  send(message, transfer = []) {
    this.worker.postMessage(message, transfer);
  }

  // Node ends when nothing is left to do: only a run counts as that.
  keepAlive(yes) {
    if (inNode) this.worker[yes ? 'ref' : 'unref']();
  }

  end() {
    this.worker.terminate();
  }
}

// Systems that have little may refuse the largest memory.
function sharedMemory() {
  for (let maximum = largestMemory; ; maximum /= 2) {
    try {
      return new WebAssembly.Memory({initial: 64 * mebibyte / 65536, maximum: maximum / 65536, shared: true});
    } catch (error) {
      if (maximum <= 256 * mebibyte) throw new MirnetError('memory', `memory for threads: ${error.message}`);
    }
  }
}

/** The workers of a model: one that leads and those that help it. */
class Crew {
  constructor(settings) {
    this.threads = [];
    this.ended = false;
    this.ready = this.start(settings);
    this.ready.catch(() => {});  // whoever needs it sees it
  }

  add(message) {
    return new Promise((resolve, reject) => {
      const thread = new Thread((answer) => {
        if (answer.ready) {
          thread.keepAlive(false);
          resolve(answer.ready);
        } else if (answer.error && !this.receive) {
          reject(new MirnetError(answer.error.code, answer.error.message));
        } else {
          this.receive?.(answer);
        }
      });
      this.threads.push(thread);
      thread.send(message);
    });
  }

  async start({variant, threads, weights, precision}) {
    const module = await compiled(variant);
    if (this.ended) return null;
    const memory = variant === 'threads' ? sharedMemory() : null;
    const leader = await this.add({lead: {module, memory, weights, precision, threads, stackBytes}});
    if (this.ended) return null;
    await Promise.all(leader.stacks.map(
        (stack, index) => this.add({help: {module, memory, stack, helper: index + 1}})));
    return leader.info;
  }

  /** Calls receive(message) for each message until it returns true. */
  run(message, transfer, receive) {
    return new Promise((resolve) => {
      for (const thread of this.threads) thread.keepAlive(true);
      this.receive = (answer) => {
        if (!receive(answer)) return;
        this.receive = null;
        for (const thread of this.threads) thread.keepAlive(false);
        resolve();
      };
      this.threads[0].send(message, transfer);
    });
  }

  end() {
    this.ended = true;
    for (const thread of this.threads) thread.end();
  }
}

const sampleTypes = [
  [Uint8Array, 'u8'], [Uint8ClampedArray, 'u8'], [Uint16Array, 'u16'], [Float32Array, 'f32'],
];

function checkImage(image) {
  const {width, height, channels, data} = image ?? {};
  for (const [name, value] of Object.entries({width, height})) {
    if (!Number.isInteger(value) || value < 1) refuse(`${name} is ${value}; expected an integer of 1 or more`);
  }
  if (![1, 2, 3, 4].includes(channels)) refuse(`channels is ${channels}; expected 1, 2, 3 or 4`);
  const type = sampleTypes.find(([Samples]) => data instanceof Samples)?.[1];
  if (!type) {
    refuse(`data is ${data?.constructor?.name ?? data}; expected Uint8Array, Uint8ClampedArray, Uint16Array or ` +
        'Float32Array');
  }
  const expected = width * height * channels;
  if (data.length !== expected) {
    refuse(`data has ${data.length} samples; expected ${width} x ${height} x ${channels} = ${expected}`);
  }
  return {width, height, channels, type, data};
}

function number(options, name, usual) {
  const value = options[name] ?? usual;
  if (typeof value !== 'number' || Number.isNaN(value)) refuse(`${name} is ${value}; expected a number`);
  return value;
}

class Model {
  #settings;
  #crew;
  #last = Promise.resolve();
  #freed = false;
  #stop = null;  // ends the run that goes on

  constructor(settings, crew, info) {
    this.#settings = settings;
    this.#crew = crew;
    this.info = Object.freeze({...info, variant: settings.variant});
  }

  /** One run at a time; others wait. */
  denoise(image, options = {}) {
    const result = this.#last.then(() => this.#denoise(image, options));
    this.#last = result.catch(() => {});
    return result;
  }

  async #denoise(image, options) {
    const {signal, onPlan, onProgress, onRectangle} = options;
    if (this.#freed) refuse('the model was freed');
    signal?.throwIfAborted();
    const {width, height, channels, type, data} = checkImage(image);
    const tile = options.tile === 'off' ? -1 : number(options, 'tile', 0);
    if (!Number.isInteger(tile)) refuse(`tile is ${tile}; expected an integer`);
    const settings = {
      tile,
      strength: number(options, 'strength', 1),
      keepGrain: number(options, 'keepGrain', 0),
      mostMemory: number(options, 'mostMemory', largestMemory - 128 * mebibyte),
    };
    await this.#crew.ready;
    signal?.throwIfAborted();
    if (this.#freed) refuse('the model was freed');

    // A picture of 24 megapixels must not be three times in memory.
    const transfer = options.transfer ? [data.buffer] : [];
    const output = new data.constructor(data.length);
    let failure = null, restart = false, stop;
    const crew = this.#crew;
    const run = crew.run(
        {run: {width, height, channels, type, data, options: settings}}, transfer, (message) => {
          if (message.abort) {
            failure = message.abort.reason;
            restart = true;
            return true;
          }
          try {
            if (message.plan) onPlan?.(message.plan);
            if (message.progress !== undefined) onProgress?.(message.progress);
            if (message.rectangle) {
              const part = {...message.rectangle, data: new data.constructor(message.rectangle.data.buffer)};
              for (let row = 0; row < part.height; ++row) {
                output.set(part.data.subarray(row * part.width * channels, (row + 1) * part.width * channels),
                    ((part.y + row) * width + part.x) * channels);
              }
              onRectangle?.(part);
            }
          } catch (error) {  // of the caller's function: the run ends
            failure = error;
            restart = true;
            return true;
          }
          if (message.error) {
            failure = new MirnetError(message.error.code, message.error.message);
            restart = !message.error.usable;
            return true;
          }
          if (message.done) restart = message.done.memory > keptMemory;
          return Boolean(message.done);
        });
    if (signal) {
      stop = () => crew.receive?.({abort: {reason: signal.reason}});
      signal.addEventListener('abort', stop, {once: true});
    }
    this.#stop = (reason) => crew.receive?.({abort: {reason}});
    await run;
    this.#stop = null;
    if (stop) signal.removeEventListener('abort', stop);
    if (restart && !this.#freed) {
      crew.end();
      this.#crew = new Crew(this.#settings);
    }
    if (failure) throw failure;
    return {width, height, channels, data: output};
  }

  free() {
    this.#freed = true;
    this.#crew.end();
    this.#stop?.(new MirnetError('cancelled', 'the model was freed during the run'));
  }
}

const precisions = {auto: 0, fp32: 1, bf16: 2};

export async function load(options = {}) {
  const precision = precisions[options.precision ?? 'auto'];
  if (precision === undefined) refuse(`precision is ${options.precision}; expected auto, fp32 or bf16`);
  const wanted = options.threads ?? 0;
  if (!Number.isInteger(wanted) || wanted < 0 || wanted > 64) {
    refuse(`threads is ${wanted}; expected 0, for one for each core, or an integer up to 64`);
  }
  const simd = options.simd !== false && hasSimd();
  const threads = simd && hasThreads() ? (wanted || usableThreads()) : 1;
  const variant = !simd ? 'plain' : threads > 1 ? 'threads' : 'simd';
  const settings = {variant, threads, precision, weights: await readBytes(options.weights ?? shippedWeights)};
  const crew = new Crew(settings);
  try {
    return new Model(settings, crew, await crew.ready);
  } catch (error) {
    crew.end();
    throw error;
  }
}
