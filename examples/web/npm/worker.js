// Runs the WebAssembly module, in a worker of a browser or of Node. index.js starts these: one that leads, which has
// the model, and in the variant with threads others that help, on the same memory.
const inBrowser = typeof globalThis.postMessage === 'function' && typeof globalThis.addEventListener === 'function';
const port = inBrowser ? globalThis : (await import('node:worker_threads')).parentPort;
const send = (message, transfer = []) => port.postMessage(message, transfer);

let module, memory;  // the instance's exports, its memory
let image;           // of the run: width, height, channels, type, and the place of the output

const types = {
  u8: {number: 0, Samples: Uint8Array},
  u16: {number: 1, Samples: Uint16Array},
  f32: {number: 2, Samples: Float32Array},
};
const statuses = {1: 'internal', 2: 'invalid_argument', 4: 'model', 5: 'memory', 130: 'cancelled'};

class Failure extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

function text(place) {
  const bytes = new Uint8Array(memory.buffer);
  const end = bytes.indexOf(0, place);
  return new TextDecoder().decode(bytes.slice(place, end));  // a copy: shared memory cannot be decoded
}

function check(status) {
  if (status !== 0) throw new Failure(statuses[status] ?? 'internal', text(module.message()));
}

function allocate(bytes) {
  const place = module.allocate(bytes) >>> 0;
  if (place === 0) throw new Failure('memory', `${bytes} bytes of WebAssembly memory cannot be allocated`);
  return place;
}

// Many times a second is more than anybody can read.
let lastProgress = 0;
function tellProgress(run, done) {
  const now = performance.now();
  if (now - lastProgress < 50 && done < 1) return;
  lastProgress = now;
  send({progress: {run, done}});
}

function tellRectangle(x, y, width, height) {
  const {Samples} = types[image.type];
  const {channels} = image;
  const part = new Samples(width * height * channels);
  const output = new Samples(memory.buffer, image.output, image.width * image.height * channels);
  for (let row = 0; row < height; ++row) {
    const start = ((y + row) * image.width + x) * channels;
    part.set(output.subarray(start, start + width * channels), row * width * channels);
  }
  send({rectangle: {x, y, width, height, data: part}}, [part.buffer]);
}

async function instantiate(start) {
  const none = () => 8;  // "bad file": there are no files
  const imports = {
    env: {
      progress: tellProgress,
      rectangle: tellRectangle,
      emscripten_notify_memory_growth() {},
    },
    wasi_snapshot_preview1: {
      // Threads compare their times, and performance.now() starts with each worker.
      clock_time_get(clock, precision, place) {
        const milliseconds = performance.timeOrigin + performance.now();
        new DataView(memory.buffer).setBigUint64(place, BigInt(Math.round(milliseconds * 1e6)), true);
        return 0;
      },
      proc_exit(code) {
        throw new Error(`the module has ended with the code ${code}`);
      },
      fd_close: none,
      fd_read: none,
      fd_seek: none,
      fd_write: none,
    },
  };
  if (start.memory) imports.env.memory = start.memory;
  const instance = await WebAssembly.instantiate(start.module, imports);
  module = instance.exports;
  memory = start.memory ?? module.memory;
}

async function lead(start) {
  await instantiate(start);
  module._initialize();
  const size = start.weights.byteLength;
  const weights = allocate(size);
  new Uint8Array(memory.buffer).set(new Uint8Array(start.weights), weights);
  check(module.load(weights, size, start.precision));
  module.release(weights);
  const stacks = [];
  for (let helper = 1; helper < start.threads; ++helper) {
    stacks.push({
      top: allocate(start.stackBytes) + start.stackBytes,
      tls: module.__tls_size.value > 0 ? allocate(module.__tls_size.value) : 0,
    });
  }
  if (stacks.length > 0) module.set_helpers(stacks.length);
  send({
    ready: {
      info: {
        version: text(module.version()),
        network: text(module.network()),
        task: text(module.task()),
        instructionSet: text(module.instruction_set()),
        precision: text(module.precision()),
        parameters: module.parameters(),
        threads: start.threads,
      },
      stacks,
    },
  });
}

async function help(start) {
  await instantiate(start);
  module.stackRestore(start.stack.top & ~15);
  if (start.stack.tls !== 0) module.__wasm_init_tls(start.stack.tls);
  send({ready: {}});
  module.serve(start.helper);  // until the worker is ended
}

function run({number: runNumber, width, height, channels, type, data, options}) {
  const {number, Samples} = types[type];
  const bytes = data.byteLength;
  const most = options.mostMemory - 2 * bytes;
  if (most < 1) {
    throw new Failure('memory', `the image takes ${2 * bytes} bytes as input and output, which leaves nothing of ` +
        `mostMemory, ${options.mostMemory}`);
  }
  check(module.prepare(width, height, channels, number, options.tile, most));
  send({
    plan: {
      columns: module.columns(),
      rows: module.rows(),
      tileWidth: module.tile_width(),
      tileHeight: module.tile_height(),
      memory: module.run_memory(),
    },
  });
  let input = 0;
  image = {width, height, channels, type, output: 0};
  try {
    input = allocate(bytes);
    image.output = allocate(bytes);
    new Samples(memory.buffer, input, data.length).set(data);
    check(module.run(input, image.output, options.strength, options.keepGrain, runNumber));
  } finally {
    if (image.output !== 0) module.release(image.output);
    if (input !== 0) module.release(input);
  }
  send({done: {memory: memory.buffer.byteLength}});
}

async function receive(message) {
  try {
    if (message.lead) await lead(message.lead);
    if (message.help) await help(message.help);
    if (message.run) run(message.run);
  } catch (error) {
    // A trap of the module leaves it in no state to go on.
    send({
      error: {
        code: error.code ?? 'internal',
        message: error.message,
        usable: error instanceof Failure,
        memory: memory?.buffer.byteLength ?? 0,
      },
    });
  }
}

if (inBrowser) port.onmessage = (event) => receive(event.data);
else port.on('message', receive);
