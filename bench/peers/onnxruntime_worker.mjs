// compare.py's worker for ONNX Runtime: INSTALLED FOLDER THREADS SIZE RESULT
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [installed, folder, threads, size, result] = process.argv.slice(2);
// An import would look beside this file.
const ort = createRequire(`${installed}/package.json`)('onnxruntime-node');

const session = await ort.InferenceSession.create(`${folder}/network.onnx`, {
  executionProviders: ['cpu'],
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  extra: { session: { force_spinning_stop: '1' } }, // its threads do not spin while it is another engine's turn
});
const samples = new Float32Array(new Uint8Array(readFileSync(`${folder}/in.f32`)).buffer);
const feeds = { image: new ort.Tensor('float32', samples, [1, 3, Number(size), Number(size)]) };

// The first run records how much memory is used when, the second plans with that.
for (let i = 0; i < 2; ++i) await session.run(feeds);
console.log('ready');
for await (const _ of createInterface({ input: process.stdin })) {
  const start = performance.now();
  const { restored } = await session.run(feeds);
  const seconds = (performance.now() - start) / 1000;
  writeFileSync(result, new Uint8Array(restored.data.buffer, restored.data.byteOffset, restored.data.byteLength));
  console.log(seconds);
}
