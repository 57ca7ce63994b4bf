// node --test npm_api.mjs, with the package's folder in the environment variable MIRNET_NPM: what the package promises
// beside pixels, which test_npm.py compares.
import assert from 'node:assert/strict';
import {copyFile, mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {pathToFileURL} from 'node:url';

const folder = process.env.MIRNET_NPM;
const {load, hasSimd, hasThreads, MirnetError} = await import(pathToFileURL(`${folder}/index.js`));

function picture(width, height, channels = 3, Samples = Uint8Array) {
  const data = new Samples(width * height * channels);
  for (let i = 0; i < data.length; ++i) data[i] = (i * 31 + (i >> 3) * 17) % 251;
  return {width, height, channels, data};
}

const fails = (code, says) => (error) => {
  assert.ok(error instanceof MirnetError, String(error.stack));
  assert.equal(error.code, code);
  assert.match(error.message, says);
  return true;
};

async function withModel(options, body) {
  const model = await load(options);
  try {
    await body(model);
  } finally {
    model.free();
  }
}

test('a model says what it is', async () => {
  assert.ok(hasSimd());
  assert.ok(hasThreads());
  const {version} = JSON.parse(await readFile(`${folder}/package.json`));
  await withModel({threads: 2}, ({info}) => {
    assert.deepEqual({...info, parameters: info.parameters > 100000}, {
      version, network: 'MIRNet', task: 'denoise', instructionSet: 'sse2', precision: 'fp32', parameters: true,
      threads: 2, variant: 'threads',
    });
  });
  await withModel({threads: 1, precision: 'bf16'}, ({info}) => {
    assert.equal(info.precision, 'bf16');
    assert.equal(info.variant, 'simd');
  });
  await withModel({simd: false}, ({info}) => {
    assert.equal(info.instructionSet, 'scalar');
    assert.equal(info.variant, 'plain');
  });
});

test('rectangles cover the result once, and progress ends at 1', async () => {
  await withModel({threads: 2}, async (model) => {
    const image = picture(300, 270);
    const before = image.data.slice();
    const seen = new Uint8Array(300 * 270);
    const put = new Uint8Array(image.data.length);
    const progress = [];
    let plan;
    const clean = await model.denoise(image, {
      tile: 256,
      onPlan: (one) => { plan = one; },
      onProgress: (done) => progress.push(done),
      onRectangle({x, y, width, height, data}) {
        assert.equal(data.length, width * height * 3);
        for (let row = 0; row < height; ++row) {
          for (let column = 0; column < width; ++column) ++seen[(y + row) * 300 + x + column];
          put.set(data.subarray(row * width * 3, (row + 1) * width * 3), ((y + row) * 300 + x) * 3);
        }
      },
    });
    assert.ok(seen.every((times) => times === 1));
    assert.deepEqual(put, clean.data);
    assert.deepEqual(image.data, before);
    assert.deepEqual([plan.columns, plan.rows], [2, 2]);
    assert.ok(plan.tileWidth <= 256 && plan.memory > 1e6);
    assert.ok(progress.length > 2);
    assert.ok(progress.every((done, i) => i === 0 || done >= progress[i - 1]));
    assert.equal(progress.at(-1), 1);
  });
});

test('strength 0 leaves the image as it is, and the kind of samples stays', async () => {
  await withModel({threads: 1}, async (model) => {
    for (const Samples of [Uint8Array, Uint8ClampedArray, Uint16Array]) {
      const image = picture(40, 30, 4, Samples);
      const same = await model.denoise(image, {strength: 0});
      assert.equal(same.data.constructor, Samples);
      assert.deepEqual(same.data, image.data);
    }
    const image = picture(40, 30);
    const all = (await model.denoise(image)).data;
    const grain = (await model.denoise(image, {keepGrain: 1})).data;
    assert.notDeepEqual(all, image.data);
    assert.notDeepEqual(grain, all);
  });
});

test('samples are copied, or handed over on request', async () => {
  await withModel({threads: 1}, async (model) => {
    const image = picture(20, 20);
    await model.denoise(image);
    assert.equal(image.data.length, 1200);
    await model.denoise(image, {transfer: true});
    assert.equal(image.data.length, 0);
  });
});

test('a part of a buffer, a Buffer and shared memory are as good as an array', async () => {
  await withModel({threads: 1}, async (model) => {
    const image = picture(20, 20);
    const expected = await model.denoise(image);
    const whole = new Uint8Array(5000);
    const shared = new Uint8Array(new SharedArrayBuffer(1200));
    for (const data of [whole.subarray(7, 1207), Buffer.from(image.data), shared]) {
      data.set(image.data);
      assert.deepEqual(await model.denoise({...image, data}), expected);
      assert.deepEqual(Uint8Array.from(data), image.data);
    }
    await assert.rejects(model.denoise({...image, data: shared}, {transfer: true}),
        fails('invalid_argument', /data cannot be handed over: ./));
    assert.deepEqual(await model.denoise(image), expected);
  });
});

test('weights are copied, and a path may have any letters', async () => {
  const file = await readFile(`${folder}/denoise.mirw`);
  const weights = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
  await withModel({threads: 1, weights}, async (model) => {
    new Uint8Array(weights).fill(0);
    await assert.rejects(model.denoise(picture(300, 300), {onProgress() { throw new Error('mine'); }}), /mine/);
    assert.equal((await model.denoise(picture(20, 20))).data.length, 1200);  // in a new worker
  });
  const home = process.cwd();
  const other = await mkdtemp(join(tmpdir(), 'mirnet #1? 100%20 '));
  try {
    await copyFile(`${folder}/denoise.mirw`, join(other, 'a#b?c%20.mirw'));
    process.chdir(other);
    await withModel({threads: 1, weights: 'a#b?c%20.mirw'}, ({info}) => assert.equal(info.network, 'MIRNet'));
    await withModel({threads: 1, weights: join(other, 'a#b?c%20.mirw')}, () => {});
    await withModel({threads: 1, weights: pathToFileURL(`${folder}/denoise.mirw`).href}, () => {});
  } finally {
    process.chdir(home);
    await rm(other, {recursive: true});
  }
});

test('errors say what was found and what was expected', async () => {
  await assert.rejects(load({threads: -1}), fails('invalid_argument', /threads is -1; expected 0/));
  await assert.rejects(load({precision: 'fp8'}), fails('invalid_argument', /precision is fp8; expected auto/));
  await assert.rejects(load({threads: 1, weights: new Uint8Array(100)}), fails('model', /./));
  await assert.rejects(load({weights: `${folder}/missing.mirw`}), fails('model', /missing\.mirw cannot be read/));
  const weights = await readFile(`${folder}/denoise.mirw`);
  weights[weights.length - 100] ^= 1;
  await assert.rejects(load({threads: 2, weights}), fails('model', /checksum/));
  await withModel({threads: 2}, async (model) => {
    const image = picture(30, 20);
    const wrong = async (change, options, code, says) =>
      assert.rejects(model.denoise({...image, ...change}, options), fails(code, says));
    await wrong({width: 31}, {}, 'invalid_argument', /data has 1800 samples; expected 31 x 20 x 3 = 1860/);
    await wrong({width: 0}, {}, 'invalid_argument', /width is 0; expected an integer of 1 or more/);
    await wrong({channels: 5}, {}, 'invalid_argument', /channels is 5; expected 1, 2, 3 or 4/);
    await wrong({data: [1, 2, 3]}, {}, 'invalid_argument', /data is Array; expected Uint8Array/);
    for (const tile of [100, 2 ** 32 + 256, -1, 256.5, Infinity, 'big']) {
      await wrong({}, {tile}, 'invalid_argument', /tile is .*; expected 'off' or an integer from 256 to 2147483647/);
    }
    await wrong({}, {strength: NaN}, 'invalid_argument', /strength/);
    await wrong({}, {strength: -1}, 'invalid_argument', /strength/);
    await wrong({}, {keepGrain: 2}, 'invalid_argument', /keep_grain/);
    await wrong({}, {mostMemory: 1e6}, 'memory', /./);
    await wrong({}, {mostMemory: 1000}, 'memory', /3600 bytes.*mostMemory, 1000/);
    for (const mostMemory of [-1, 0, -Infinity]) {
      await wrong({}, {mostMemory}, 'invalid_argument', /mostMemory is -?[01I].*; expected a number of bytes/);
    }
    for (const mostMemory of [Infinity, 2 ** 40]) {  // more than there is
      assert.equal((await model.denoise(image, {mostMemory, tile: 2 ** 31 - 1})).data.length, 1800);
    }
    assert.equal((await model.denoise(image)).data.length, 1800);  // and still works
  });
});

test('a signal ends a run at once, and the next run works', async () => {
  for (const threads of [1, 2]) {
    await withModel({threads}, async (model) => {
      const expected = await model.denoise(picture(40, 40));
      const controller = new AbortController();
      const waiting = model.denoise(picture(1500, 1500), {
        signal: controller.signal, onProgress: () => controller.abort(new Error('enough')),
      });
      const next = model.denoise(picture(40, 40));  // waits for the first
      await assert.rejects(waiting, /^Error: enough$/);
      assert.deepEqual(await next, expected);
      await assert.rejects(model.denoise(picture(40, 40), {signal: AbortSignal.abort()}), {name: 'AbortError'});
    });
  }
});

test('a signal ends a run that waits for others', async () => {
  await withModel({threads: 2}, async (model) => {
    const first = new AbortController(), second = new AbortController();
    let ended = false;
    const running = model.denoise(picture(1500, 1500), {signal: first.signal}).finally(() => { ended = true; });
    const waiting = model.denoise(picture(40, 40), {signal: second.signal});
    second.abort(new Error('enough'));
    await assert.rejects(waiting, /^Error: enough$/);
    assert.equal(ended, false);
    first.abort(new Error('also'));
    await assert.rejects(running, /^Error: also$/);
  });
});

test('a run that ends for no reason fails all the same', async () => {
  await withModel({threads: 2}, async (model) => {
    const controller = new AbortController();
    const run = model.denoise(picture(600, 600), {signal: controller.signal, onProgress: () => controller.abort(null)});
    await assert.rejects(run, (error) => error === null);
    await assert.rejects(model.denoise(picture(600, 600), {onProgress() { throw null; }}), (error) => error === null);
    assert.equal((await model.denoise(picture(20, 20))).data.length, 1200);
  });
});

test('an error of a function of the caller ends the run', async () => {
  await withModel({threads: 2}, async (model) => {
    const run = model.denoise(picture(600, 600), {onProgress() { throw new TypeError('mine'); }});
    await assert.rejects(run, {name: 'TypeError', message: 'mine'});
    assert.equal((await model.denoise(picture(20, 20))).data.length, 1200);
  });
});

const {Memory} = WebAssembly;

// The memory that workers share, as a system gives it that has little.
async function withLittleMemory(most, body) {
  WebAssembly.Memory = function (pages) {
    if (pages.maximum * 65536 > most) throw new RangeError('too much');
    return new Memory(pages);
  };
  try {
    await body();
  } finally {
    WebAssembly.Memory = Memory;
  }
}

test('workers that could not start are replaced by the next run', async () => {
  await withModel({threads: 2}, async (model) => {
    await withLittleMemory(0, async () => {
      await assert.rejects(model.denoise(picture(300, 300), {onProgress() { throw new Error('mine'); }}), /mine/);
      for (let i = 0; i < 2; ++i) {
        await assert.rejects(model.denoise(picture(20, 20)), fails('memory', /^memory for threads: too much$/));
      }
    });
    assert.equal((await model.denoise(picture(20, 20))).data.length, 1200);
  });
});

test('a run takes no more than the memory that the system gave', async () => {
  await withLittleMemory(256 << 20, async () => {
    await withModel({threads: 2}, async (model) => {
      const image = picture(700, 650);
      await assert.rejects(model.denoise(image, {mostMemory: 1e9}), fails('memory', /most_memory is 131487728;/));
      assert.equal((await model.denoise(picture(50, 50))).data.length, 7500);
    });
  });
});

test('freeing a model ends what waits for new workers', {timeout: 20000}, async () => {
  const model = await load({threads: 2});
  await assert.rejects(model.denoise(picture(300, 300), {onProgress() { throw new Error('mine'); }}), /mine/);
  const waiting = model.denoise(picture(20, 20));
  await new Promise(setImmediate);
  model.free();
  await assert.rejects(waiting, fails('cancelled', /^the model was freed$/));
});

test('freeing a model ends its run, and it refuses others', async () => {
  const model = await load({threads: 2});
  const run = model.denoise(picture(1500, 1500), {onProgress: () => model.free()});
  await assert.rejects(run, fails('cancelled', /freed during the run/));
  await assert.rejects(model.denoise(picture(20, 20)), fails('invalid_argument', /was freed/));
});
