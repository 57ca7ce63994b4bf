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

const inNode = typeof globalThis.Worker !== 'function' && Boolean(globalThis.process?.versions?.node);
let node = null;  // what is used of Node's modules

async function loadNode() {
  // The comments keep bundlers for browsers from looking for Node's modules.
  const [{Worker}, {readFile}, {availableParallelism, cpus}, {pathToFileURL}] = await Promise.all([
    import(/* webpackIgnore: true */ /* @vite-ignore */ 'node:worker_threads'),
    import(/* webpackIgnore: true */ /* @vite-ignore */ 'node:fs/promises'),
    import(/* webpackIgnore: true */ /* @vite-ignore */ 'node:os'),
    import(/* webpackIgnore: true */ /* @vite-ignore */ 'node:url'),
  ]);
  node = {Worker, readFile, availableParallelism, cpus, pathToFileURL};
}

const mebibyte = 1 << 20;
const largestMemory = 2048 * mebibyte;
const modelMemory = 128 * mebibyte;  // more than the module, its weights and its stacks take
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

function toUrl(source) {
  if (source instanceof URL) return source;
  if (!inNode) return new URL(source, location.href);
  // One letter and a colon are a drive of Windows.
  return /^[a-z][a-z0-9+.-]+:/i.test(source) ? new URL(source) : node.pathToFileURL(source);
}

/** A copy of bytes, or what a file has. */
async function readBytes(source) {
  if (source instanceof ArrayBuffer) return source.slice();
  if (ArrayBuffer.isView(source)) {
    return source.buffer.slice(source.byteOffset, source.byteOffset + source.byteLength);
  }
  let url = source;
  try {
    url = toUrl(source);
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
      const pages = {initial: 64 * mebibyte / 65536, maximum: maximum / 65536, shared: true};
      return {memory: new WebAssembly.Memory(pages), maximum};
    } catch (error) {
      if (maximum <= 256 * mebibyte) throw new MirnetError('memory', `memory for threads: ${error.message}`);
    }
  }
}

/** The workers of a model: one that leads and those that help it. */
class Crew {
  constructor(settings) {
    this.threads = [];
    this.starting = [];  // functions that reject the promises of add()
    this.ended = false;
    this.failure = null;  // why this crew cannot be used
    this.maximum = largestMemory;  // that its memory can have
    this.ready = this.start(settings);
    this.ready.catch((error) => {
      this.failure = error;
      this.end();
    });
  }

  add(message) {
    return new Promise((resolve, reject) => {
      this.starting.push(reject);
      const thread = new Thread((answer) => {
        if (answer.ready) {
          thread.keepAlive(false);
          resolve(answer.ready);
        } else if (answer.error && !this.receive) {
          this.failure = new MirnetError(answer.error.code, answer.error.message);
          reject(this.failure);
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
    this.throwIfEnded();
    let memory = null;
    if (variant === 'threads') ({memory, maximum: this.maximum} = sharedMemory());
    const leader = await this.add({lead: {module, memory, weights, precision, threads, stackBytes}});
    this.throwIfEnded();
    await Promise.all(leader.stacks.map(
        (stack, index) => this.add({help: {module, memory, stack, helper: index + 1}})));
    return leader.info;
  }

  /** Calls receive(message) for each message until it returns true. Throws what sending the message throws. */
  async run(message, transfer, receive) {
    for (const thread of this.threads) thread.keepAlive(true);
    try {
      await new Promise((resolve) => {
        this.receive = (answer) => {
          if (!receive(answer)) return;
          this.receive = null;
          resolve();
        };
        this.threads[0].send(message, transfer);
      });
    } finally {
      this.receive = null;
      for (const thread of this.threads) thread.keepAlive(false);
    }
  }

  throwIfEnded() {
    if (this.ended) throw new MirnetError('cancelled', 'the model was freed');
  }

  /** Workers that are starting never answer: whoever waits for them hears that the model was freed. */
  end() {
    this.ended = true;
    for (const thread of this.threads) thread.end();
    for (const reject of this.starting) reject(new MirnetError('cancelled', 'the model was freed'));
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
  const [Samples, type] = sampleTypes.find(([Samples]) => data instanceof Samples) ?? [];
  if (!type) {
    refuse(`data is ${data?.constructor?.name ?? data}; expected Uint8Array, Uint8ClampedArray, Uint16Array or ` +
        'Float32Array');
  }
  const expected = width * height * channels;
  if (data.length !== expected) {
    refuse(`data has ${data.length} samples; expected ${width} x ${height} x ${channels} = ${expected}`);
  }
  return {width, height, channels, type, data, Samples};
}

function number(options, name, usual) {
  const value = options[name] ?? usual;
  if (typeof value !== 'number' || Number.isNaN(value)) refuse(`${name} is ${value}; expected a number`);
  return value;
}

function checkOptions(options) {
  const tile = options.tile ?? null, longest = 2 ** 31 - 1;
  if (tile !== null && tile !== 'off' && !(Number.isInteger(tile) && tile >= 256 && tile <= longest)) {
    refuse(`tile is ${tile}; expected 'off' or an integer from 256 to ${longest}`);
  }
  const mostMemory = number(options, 'mostMemory', largestMemory);
  if (mostMemory < 1) refuse(`mostMemory is ${mostMemory}; expected a number of bytes, 1 or more`);
  return {
    tile: tile === 'off' ? -1 : tile ?? 0,
    strength: number(options, 'strength', 1),
    keepGrain: number(options, 'keepGrain', 0),
    mostMemory,
  };
}

/** The samples, copied unless they are handed over, and an array for the result. */
function takeSamples({data, Samples}, transfer) {
  try {
    return {samples: transfer ? data : new Samples(data), output: new Samples(data.length)};
  } catch (error) {
    throw new MirnetError('memory', `memory for ${data.length} samples: ${error.message}`);
  }
}

/** As the promise, but rejected as soon as the signal says so. */
function unlessAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

class Model {
  #settings;
  #crew;
  #last = Promise.resolve();
  #runs = 0;
  #freed = false;
  #stop = null;  // ends the run that goes on

  constructor(settings, crew, info) {
    this.#settings = settings;
    this.#crew = crew;
    this.info = Object.freeze({...info, variant: settings.variant});
  }

  /** One run at a time; others wait. */
  async denoise(image, options = {}) {
    const result = this.#last.then(() => this.#denoise(image, options));
    this.#last = result.then(() => {}, () => {});  // without the result, which may be large
    return options.signal ? unlessAborted(result, options.signal) : result;
  }

  /** A crew that has failed is replaced: there may be more memory now. */
  async #readyCrew() {
    if (this.#crew.failure) {
      this.#crew.end();
      this.#crew = new Crew(this.#settings);
    }
    const crew = this.#crew;
    await crew.ready;
    crew.throwIfEnded();
    return crew;
  }

  async #denoise(image, options) {
    const {signal, transfer, onPlan, onProgress, onRectangle} = options;
    if (this.#freed) refuse('the model was freed');
    signal?.throwIfAborted();
    const checked = checkImage(image);
    const settings = checkOptions(options);
    const crew = await this.#readyCrew();
    signal?.throwIfAborted();
    settings.mostMemory = Math.min(settings.mostMemory, crew.maximum - modelMemory);

    // A picture of 24 megapixels must not be three times in memory.
    const {width, height, channels, type, Samples} = checked;
    const {samples, output} = takeSamples(checked, transfer);
    const run = ++this.#runs;
    let failure = null, restart = false, furthest = -1;

    const put = ({x, y, width: columns, height: rows, data}) => {
      for (let row = 0; row < rows; ++row) {
        output.set(data.subarray(row * columns * channels, (row + 1) * columns * channels),
            ((y + row) * width + x) * channels);
      }
    };
    // Whether the run has ended.
    const receive = (message) => {
      if (message.abort) {
        failure = {error: message.abort.reason};
        restart = true;
        return true;
      }
      try {
        if (message.plan) onPlan?.(message.plan);
        if (message.progress) {
          // A worker's message can arrive after later ones of others, even in the next run.
          const {run: itsRun, done} = message.progress;
          if (itsRun === run && done > furthest) {
            furthest = done;
            onProgress?.(done);
          }
        }
        if (message.rectangle) {
          const part = {...message.rectangle, data: new Samples(message.rectangle.data.buffer)};
          put(part);
          onRectangle?.(part);
        }
      } catch (error) {  // of the caller's function: the run ends
        failure = {error};
        restart = true;
        return true;
      }
      const {error, done} = message;
      if (!error && !done) return false;
      if (error) failure = {error: new MirnetError(error.code, error.message)};
      restart = Boolean(error && !error.usable) || (error ?? done).memory > keptMemory;
      return true;
    };

    const stop = () => crew.receive?.({abort: {reason: signal.reason}});
    signal?.addEventListener('abort', stop);
    this.#stop = (reason) => crew.receive?.({abort: {reason}});
    try {
      await crew.run({run: {number: run, width, height, channels, type, data: samples, options: settings}},
          [samples.buffer], receive);
    } catch (error) {
      throw new MirnetError('invalid_argument', `data cannot be handed over: ${error.message}`);
    } finally {
      this.#stop = null;
      signal?.removeEventListener('abort', stop);
    }
    if (restart && !this.#freed) {
      crew.end();
      this.#crew = new Crew(this.#settings);
    }
    if (failure) throw failure.error;
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
  if (inNode && !node) await loadNode();
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
