// The WebAssembly module: the C interface in functions whose arguments JavaScript can pass without knowing a
// structure's layout, and a scheduler for threads that JavaScript starts. npm/worker.js is the only caller.
//
// One instance has one model. It is the one that JavaScript calls _initialize of. In the variant with threads, the
// instances of the other workers share its memory and do nothing but serve().
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <mirnet.h>

// export_name keeps a function and its name, import_name declares one that JavaScript brings.
#define MIRNET_EXPORT(name) extern "C" __attribute__((used, export_name(#name)))
#define MIRNET_IMPORT(name) extern "C" __attribute__((import_module("env"), import_name(#name)))

MIRNET_IMPORT(progress) void tell_progress(int32_t run, double done);
MIRNET_IMPORT(rectangle) void tell_rectangle(double x, double y, double width, double height);

namespace {

mirnet_error error;
mirnet_model* model;
mirnet_plan* plan;
mirnet_model_info model_info = MIRNET_MODEL_INFO_INIT;
mirnet_plan_info plan_info = MIRNET_PLAN_INFO_INIT;

#if defined(__wasm_atomics__)

// Threads that wait in serve() for items to share out. mirnet::ThreadPool cannot be used: its threads start inside the
// module, which takes Emscripten's run-time library in JavaScript.
class Pool {
 public:
  void run(int64_t count, mirnet_task task, void* arguments) {
    task_ = task;
    arguments_ = arguments;
    count_ = count;
    next_.store(0);
    busy_.store(helpers);
    generation_.fetch_add(1);
    wake(generation_);
    work(0);
    for (uint32_t busy = busy_.load(); busy != 0; busy = busy_.load()) wait_while(busy_, busy);
  }

  [[noreturn]] void serve(int64_t worker) {
    for (uint32_t seen = 0;; ++seen) {
      wait_while(generation_, seen);
      work(worker);
      if (busy_.fetch_sub(1) == 1) wake(busy_);
    }
  }

  uint32_t helpers = 0;  // threads that serve

 private:
  void work(int64_t worker) {
    for (int64_t item = next_.fetch_add(1); item < count_; item = next_.fetch_add(1)) task_(arguments_, item, worker);
  }

  // To wake a thread costs as much as a small layer: a thread looks some microseconds long first.
  static void wait_while(std::atomic<uint32_t>& place, uint32_t value) {
    for (int i = 0; i < 20000; ++i) {
      if (place.load() != value) return;
    }
    while (place.load() == value) __builtin_wasm_memory_atomic_wait32(address(place), static_cast<int>(value), -1);
  }
  static void wake(std::atomic<uint32_t>& place) { __builtin_wasm_memory_atomic_notify(address(place), UINT32_MAX); }
  static int* address(std::atomic<uint32_t>& place) { return reinterpret_cast<int*>(&place); }

  std::atomic<uint32_t> generation_ = 0, busy_ = 0;
  std::atomic<int64_t> next_ = 0;
  int64_t count_ = 0;
  mirnet_task task_ = nullptr;
  void* arguments_ = nullptr;
};

Pool pool;

#endif

}  // namespace

MIRNET_EXPORT(allocate) void* allocate(size_t bytes) { return std::malloc(bytes); }
MIRNET_EXPORT(release) void release(void* bytes) { std::free(bytes); }

// Of the last call that failed.
MIRNET_EXPORT(message) char const* message() { return error.message; }

MIRNET_EXPORT(version) char const* version() { return mirnet_version(); }

MIRNET_EXPORT(load) mirnet_status load(void const* bytes, size_t size, int32_t precision) {
  mirnet_model_options options = MIRNET_MODEL_OPTIONS_INIT;
  options.precision = precision;
  mirnet_status const status = mirnet_model_load_memory(bytes, size, &options, &model, &error);
  return status != MIRNET_OK ? status : mirnet_model_get_info(model, &model_info, &error);
}

MIRNET_EXPORT(network) char const* network() { return model_info.network; }
MIRNET_EXPORT(task) char const* task() { return model_info.task; }
MIRNET_EXPORT(instruction_set) char const* instruction_set() { return model_info.instruction_set; }
MIRNET_EXPORT(precision) char const* precision() { return model_info.precision; }
MIRNET_EXPORT(parameters) double parameters() { return static_cast<double>(model_info.parameters); }

// A run is prepared, the image is put into memory that JavaScript allocates, and the run is started.
MIRNET_EXPORT(prepare)
mirnet_status prepare(double width, double height, int32_t channels, int32_t type, int32_t tile, double most_memory) {
  mirnet_plan_free(plan);
  plan = nullptr;
  mirnet_format const format = {static_cast<int64_t>(width), static_cast<int64_t>(height), channels, type};
  mirnet_plan_options options = MIRNET_PLAN_OPTIONS_INIT;
  options.tile = tile;
  options.threads = 1;
  options.most_memory = static_cast<int64_t>(most_memory);
#if defined(__wasm_atomics__)
  mirnet_scheduler const scheduler = {
      [](void*, int64_t count, mirnet_task item, void* arguments) { pool.run(count, item, arguments); }, nullptr,
      static_cast<int32_t>(pool.helpers) + 1};
  if (pool.helpers > 0) options.scheduler = &scheduler;
#endif
  mirnet_status const status = mirnet_plan_create(model, &format, &options, &plan, &error);
  return status != MIRNET_OK ? status : mirnet_plan_get_info(plan, &plan_info, &error);
}

MIRNET_EXPORT(tile_width) double tile_width() { return static_cast<double>(plan_info.tile_width); }
MIRNET_EXPORT(tile_height) double tile_height() { return static_cast<double>(plan_info.tile_height); }
MIRNET_EXPORT(columns) double columns() { return static_cast<double>(plan_info.columns); }
MIRNET_EXPORT(rows) double rows() { return static_cast<double>(plan_info.rows); }
MIRNET_EXPORT(run_memory) double run_memory() { return static_cast<double>(plan_info.memory); }

// `number` is that of the run, for progress().
MIRNET_EXPORT(run)
mirnet_status run(void const* input, void* output, float strength, float keep_grain, int32_t number) {
  mirnet_run_options options = MIRNET_RUN_OPTIONS_INIT;
  options.strength = strength;
  options.keep_grain = keep_grain;
  options.self = &number;
  options.progress = [](void* self, double done) {
    tell_progress(*static_cast<int32_t*>(self), done);
    return 0;  // who cancels ends the worker
  };
  options.finished = [](void*, int64_t x, int64_t y, int64_t width, int64_t height) {
    tell_rectangle(static_cast<double>(x), static_cast<double>(y), static_cast<double>(width),
                   static_cast<double>(height));
  };
  return mirnet_run(plan, input, 0, output, 0, &options, &error);
}

#if defined(__wasm_atomics__)

// How many threads serve from now on: all of them are there before the first run.
MIRNET_EXPORT(set_helpers) void set_helpers(uint32_t count) { pool.helpers = count; }

// Of a thread of its own, which ends with the worker.
MIRNET_EXPORT(serve) void serve(int32_t worker) { pool.serve(worker); }

#endif
