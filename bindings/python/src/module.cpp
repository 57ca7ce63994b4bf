// The extension module mirnet._mirnet: the C interface of the library as objects of Python. Names, defaults, docstrings
// and what belongs to numpy are in mirnet/__init__.py; here, arrays are buffers, so the module fits any numpy.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <mirnet.h>
#include <pybind11/pybind11.h>

namespace py = pybind11;

namespace {

// --- Errors ------------------------------------------------------------------------------------------------------

PyObject* error_type = nullptr;        // mirnet.Error
PyObject* model_error_type = nullptr;  // mirnet.ModelError

[[noreturn]] void raise(PyObject* type, std::string const& message) {
  // Messages quote names of files, which may be in any encoding, and long messages are cut.
  auto* const text = PyUnicode_DecodeUTF8(message.data(), static_cast<py::ssize_t>(message.size()), "replace");
  if (text != nullptr) {
    PyErr_SetObject(type, text);
    Py_DECREF(text);
  }
  throw py::error_already_set();
}

void check(mirnet_status status, mirnet_error const& error) {
  switch (status) {
    case MIRNET_OK: return;
    case MIRNET_INVALID_ARGUMENT: raise(PyExc_ValueError, error.message);
    case MIRNET_MODEL: raise(model_error_type, error.message);
    case MIRNET_MEMORY: raise(PyExc_MemoryError, error.message);
    case MIRNET_INTERNAL:
    case MIRNET_CANCELLED: break;
  }
  raise(error_type, error.message);
}

// --- The GIL, and the end of Python ------------------------------------------------------------------------------

[[noreturn]] void sleep_until_exit() {
  while (true) std::this_thread::sleep_for(std::chrono::hours(1));
}

// Calls a C function that asks for the GIL or runs Python code. After its own end, Python ends the daemon threads that
// ask for the GIL, and the C library may unwind their stacks. The C++ functions of this file would not survive that, as
// their destructors need the GIL. The thread sleeps until the process exits, like any other daemon thread.
template <class Function>
auto call_python(Function const& function) {
  try {
    return function();
  } catch (...) {
    sleep_until_exit();  // this is the unwinding: C functions throw no exceptions
  }
}

// Releases the GIL as long as it lives.
class OthersRun {
 public:
  OthersRun() : state_(PyEval_SaveThread()) {}
  OthersRun(OthersRun const&) = delete;
  OthersRun& operator=(OthersRun const&) = delete;
  ~OthersRun() {
    call_python([this] { PyEval_RestoreThread(state_); });
  }

 private:
  PyThreadState* state_;
};

void handle_signals() {
  if (call_python(PyErr_CheckSignals) != 0) throw py::error_already_set();
}

void call_progress(py::object const& progress, double done) {
  py::float_ const argument(done);
  auto const succeeds = call_python([&] {
    auto* const result = PyObject_CallOneArg(progress.ptr(), argument.ptr());
    Py_XDECREF(result);
    return result != nullptr;
  });
  if (!succeeds) throw py::error_already_set();
}

// --- Computations ------------------------------------------------------------------------------------------------

std::atomic<int> workers = 0;  // the threads that compute
std::atomic<bool> python_ends = false;
// Those below are used with the GIL held.
std::thread::id thread_that_ends;
long forks = 0;  // by which this process descends from the one that loaded the module

// Ends all computations before the process destroys what they use. An exception of a signal's handler ends the wait.
void end_computations() {
  thread_that_ends = std::this_thread::get_id();
  python_ends = true;
  while (workers > 0) {
    {
      OthersRun const others_run;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    handle_signals();
  }
}

// For computations that cannot start or go on because Python ends. A daemon thread does not return.
void stop_if_python_ends() {
  if (!python_ends) return;
  if (std::this_thread::get_id() == thread_that_ends)
    raise(error_type, "no computation can start: Python is about to end");
  OthersRun const others_run;
  sleep_until_exit();
}

// The child of a fork has one thread, and none of those that compute.
void after_fork() {
  workers = 0;
  ++forks;
}

// What the thread that computes and the one that waits for it share.
struct Computation {
  std::mutex mutex;
  std::condition_variable ended;
  bool has_ended = false;
  std::atomic<bool> is_cancelled = false;
  std::atomic<double> done = 0;

  bool has_to_end() const { return is_cancelled || python_ends; }
};

// A mirnet_run_options::progress.
int note_progress(void* self, double done) {
  auto& computation = *static_cast<Computation*>(self);
  computation.done = done;
  return computation.has_to_end() ? 1 : 0;
}

// Calls work(computation, error) in a thread of its own. Meanwhile, the calling thread has released the GIL and wakes
// to handle signals and to call `progress`; if these raise an exception, the work is cancelled, and the exception goes
// on once it has ended.
template <class Work>
void compute(Work const& work, py::object const& progress) {
  constexpr auto interval = std::chrono::milliseconds(50);
  stop_if_python_ends();

  auto const computation = std::make_shared<Computation>();
  mirnet_error error{};
  auto status = MIRNET_OK;
  std::thread worker;
  ++workers;
  try {
    worker = std::thread([&work, &error, &status, computation] {
      status = work(*computation, error);
      {
        std::lock_guard const lock(computation->mutex);
        computation->has_ended = true;
        computation->ended.notify_one();
      }
      --workers;
    });
  } catch (std::system_error const& failure) {
    --workers;
    raise(error_type, std::string("the computation's thread cannot be started: ") + failure.what());
  }

  auto const join = [&] {
    OthersRun const others_run;
    worker.join();
  };
  auto const wait = [&] {
    OthersRun const others_run;
    std::unique_lock lock(computation->mutex);
    return computation->ended.wait_for(lock, interval, [&] { return computation->has_ended; });
  };
  auto const forks_before = forks;
  auto told = -1.0;
  try {
    while (!wait()) {
      handle_signals();
      if (!progress.is_none() && told != computation->done) {
        told = computation->done;
        call_progress(progress, told);
      }
      if (forks != forks_before)
        raise(error_type, "a process was forked while this computation ran; it goes on in the parent alone");
    }
  } catch (...) {
    if (forks != forks_before) {
      // `progress` or the handler of a signal has forked, and this is the child, which has no worker. Joining it or
      // destroying what it uses may wait forever, so both stay.
      new std::pair(std::move(worker), computation);
    } else {
      computation->is_cancelled = true;
      join();
    }
    throw;
  }
  join();
  if (status == MIRNET_CANCELLED) stop_if_python_ends();
  check(status, error);
  handle_signals();
  if (!progress.is_none() && told != 1) call_progress(progress, 1.0);
}

// --- Models ------------------------------------------------------------------------------------------------------

class Model {
 public:
  Model(py::object const& path, py::object const& bytes, char const* instruction_set, std::int32_t precision,
        std::int32_t algorithm) {
    mirnet_model_options options = MIRNET_MODEL_OPTIONS_INIT;
    options.instruction_set = instruction_set;
    options.precision = precision;
    options.algorithm = algorithm;
    mirnet_error error{};
    auto status = MIRNET_OK;
    if (!path.is_none()) {
      auto const name = path.cast<std::string>();
      OthersRun const others_run;
      status = mirnet_model_load_file(name.c_str(), &options, &handle_, &error);
    } else {
      auto const content = py::cast<py::buffer>(bytes).request();
      OthersRun const others_run;
      status = mirnet_model_load_memory(content.ptr, static_cast<std::size_t>(content.size * content.itemsize),
                                        &options, &handle_, &error);
    }
    check(status, error);
  }
  Model(Model const&) = delete;
  Model& operator=(Model const&) = delete;
  ~Model() { mirnet_model_free(handle_); }

  mirnet_model const* handle() const { return handle_; }

  mirnet_model_info info() const {
    mirnet_model_info info = MIRNET_MODEL_INFO_INIT;
    mirnet_error error{};
    check(mirnet_model_get_info(handle_, &info, &error), error);
    return info;
  }

 private:
  mirnet_model* handle_ = nullptr;
};

// --- Plans -------------------------------------------------------------------------------------------------------

// The rows of an image that is the memory of a Python object, which stays where it is as long as this lives.
class Rows {
 public:
  Rows(py::buffer const& array, mirnet_format const& format, bool writable) : buffer_(array.request(writable)) {
    auto const sample = buffer_.itemsize;
    auto const channels = py::ssize_t{format.channels};
    auto const width = static_cast<py::ssize_t>(format.width);
    auto const has_axis = buffer_.ndim == 3;
    char const* const code = format.type == MIRNET_U8 ? "B" : format.type == MIRNET_U16 ? "H" : "f";
    auto const& shape = buffer_.shape;
    auto const& strides = buffer_.strides;
    if (buffer_.format != code || (buffer_.ndim != 2 && !has_axis) || shape[0] != format.height || shape[1] != width ||
        (has_axis ? shape[2] : 1) != channels) {
      raise(PyExc_ValueError, "the array is not an image of the plan's format");
    }
    // The library checks the rest. To it, a stride of 0 means rows without gaps.
    if ((channels > 1 && strides[2] != sample) || (width > 1 && strides[1] != channels * sample) ||
        (shape[0] > 1 && strides[0] == 0)) {
      raise(PyExc_ValueError, "the samples of the array are not side by side in rows of their own");
    }
    stride_ = shape[0] > 1 ? strides[0] : 0;
  }

  void* data() const { return buffer_.ptr; }
  std::ptrdiff_t stride() const { return stride_; }

 private:
  py::buffer_info buffer_;
  std::ptrdiff_t stride_ = 0;
};

class Plan {
 public:
  Plan(std::shared_ptr<Model const> model, mirnet_format const& format, std::int32_t tile, std::int32_t threads,
       std::int64_t most_memory)
      : model_(std::move(model)), format_(format) {
    mirnet_plan_options options = MIRNET_PLAN_OPTIONS_INIT;
    options.tile = tile;
    options.threads = threads;
    options.most_memory = most_memory;
    mirnet_error error{};
    auto status = MIRNET_OK;
    {
      OthersRun const others_run;
      status = mirnet_plan_create(model_->handle(), &format_, &options, &handle_, &error);
    }
    check(status, error);
  }
  Plan(Plan const&) = delete;
  Plan& operator=(Plan const&) = delete;
  ~Plan() { mirnet_plan_free(handle_); }

  mirnet_plan_info info() const {
    mirnet_plan_info info = MIRNET_PLAN_INFO_INIT;
    mirnet_error error{};
    check(mirnet_plan_get_info(handle_, &info, &error), error);
    return info;
  }

  void run(py::buffer const& input, py::buffer const& output, py::object const& right, float strength, float keep_grain,
           py::object const& progress) const {
    Rows const from(input, format_, false);
    Rows const to(output, format_, true);
    std::optional<Rows> other_view;
    if (!right.is_none()) other_view.emplace(py::cast<py::buffer>(right), format_, false);
    compute(
        [&](Computation& computation, mirnet_error& error) {
          mirnet_run_options options = MIRNET_RUN_OPTIONS_INIT;
          options.strength = strength;
          options.keep_grain = keep_grain;
          if (other_view) {
            options.right_view = other_view->data();
            options.right_stride = other_view->stride();
          }
          options.progress = note_progress;
          options.self = &computation;
          return mirnet_run(handle_, from.data(), from.stride(), to.data(), to.stride(), &options, &error);
        },
        progress);
  }

  py::list profile(std::int32_t runs) const {
    struct Node {
      mirnet_node numbers;
      std::string name, operation, kernel;
    };
    struct Profiled {
      std::vector<Node> nodes;
      Computation* computation;
    };
    Profiled profiled{};
    compute(
        [&](Computation& computation, mirnet_error& error) {
          profiled.computation = &computation;
          return mirnet_profile(
              handle_, runs,
              [](void* self, mirnet_node const* node) {
                static_cast<Profiled*>(self)->nodes.push_back({*node, node->name, node->operation, node->kernel});
              },
              [](void* self, double done) { return note_progress(static_cast<Profiled*>(self)->computation, done); },
              &profiled, &error);
        },
        py::none());
    py::list all;
    for (auto const& [numbers, name, operation, kernel] : profiled.nodes) {
      py::dict node;
      node["name"] = name;
      node["operation"] = operation;
      node["kernel"] = kernel;
      node["input_height"] = numbers.input_height;
      node["input_width"] = numbers.input_width;
      node["input_channels"] = numbers.input_channels;
      node["output_height"] = numbers.output_height;
      node["output_width"] = numbers.output_width;
      node["output_channels"] = numbers.output_channels;
      node["macs"] = numbers.macs;
      node["bytes"] = numbers.bytes;
      node["seconds"] = numbers.seconds;
      all.append(node);
    }
    return all;
  }

 private:
  std::shared_ptr<Model const> model_;  // which has to outlive the plan
  mirnet_format format_;
  mirnet_plan* handle_ = nullptr;
};

py::tuple instruction_sets() {
  py::list names;
  for (std::int32_t index = 0;; ++index) {
    auto const* const name = mirnet_instruction_set(index);
    if (name == nullptr) return names;
    names.append(name);
  }
}

PyObject* new_error(char const* name, PyObject* base, char const* doc) {
  auto* const type = PyErr_NewExceptionWithDoc((std::string("mirnet.") + name).c_str(), doc, base, nullptr);
  if (type == nullptr) throw py::error_already_set();
  return type;
}

}  // namespace

PYBIND11_MODULE(_mirnet, module) {
  module.doc() = "The library behind the package mirnet; use that.";
  module.attr("version") = mirnet_version();

  error_type =
      new_error("Error", PyExc_RuntimeError,
                "The library failed: a defect, or a computation that could not go on.\n\n"
                "Arguments that are not accepted raise ValueError or TypeError instead, and memory that cannot\n"
                "be allocated or is not allowed raises MemoryError.");
  model_error_type =
      new_error("ModelError", error_type, "A weight file is damaged, or of a kind that this version cannot use.");
  module.attr("Error") = py::handle(error_type);
  module.attr("ModelError") = py::handle(model_error_type);

  module.attr("WHOLE") = MIRNET_WHOLE;
  module.attr("U8") = static_cast<int>(MIRNET_U8);
  module.attr("U16") = static_cast<int>(MIRNET_U16);
  module.attr("F32") = static_cast<int>(MIRNET_F32);
  module.attr("PRECISION_AUTO") = static_cast<int>(MIRNET_PRECISION_AUTO);
  module.attr("FP32") = static_cast<int>(MIRNET_FP32);
  module.attr("BF16") = static_cast<int>(MIRNET_BF16);
  module.attr("ALGORITHM_AUTO") = static_cast<int>(MIRNET_ALGORITHM_AUTO);
  module.attr("DIRECT") = static_cast<int>(MIRNET_DIRECT);

  module.def("instruction_sets", instruction_sets);
  module.def("end_computations", end_computations);
  module.def("after_fork", after_fork);

  py::class_<Model, std::shared_ptr<Model>>(module, "Model")
      .def(py::init<py::object const&, py::object const&, char const*, std::int32_t, std::int32_t>(), py::arg("path"),
           py::arg("bytes"), py::arg("instruction_set"), py::arg("precision"), py::arg("algorithm"))
      .def_property_readonly("network", [](Model const& model) { return std::string(model.info().network); })
      .def_property_readonly("task", [](Model const& model) { return std::string(model.info().task); })
      .def_property_readonly("isa", [](Model const& model) { return std::string(model.info().instruction_set); })
      .def_property_readonly("precision", [](Model const& model) { return std::string(model.info().precision); })
      .def_property_readonly("parameters", [](Model const& model) { return model.info().parameters; })
      .def_property_readonly("bytes", [](Model const& model) { return model.info().bytes; })
      .def_property_readonly("views", [](Model const& model) { return model.info().views; });

  py::class_<Plan>(module, "Plan")
      .def(py::init([](std::shared_ptr<Model> const& model, std::int64_t height, std::int64_t width,
                       std::int32_t channels, std::int32_t type, std::int32_t tile, std::int32_t threads,
                       std::int64_t most_memory) {
             return std::make_unique<Plan>(model, mirnet_format{width, height, channels, type}, tile, threads,
                                           most_memory);
           }),
           py::arg("model"), py::arg("height"), py::arg("width"), py::arg("channels"), py::arg("type"), py::arg("tile"),
           py::arg("threads"), py::arg("most_memory"))
      .def_property_readonly("tile",
                             [](Plan const& plan) {
                               auto const info = plan.info();
                               return py::make_tuple(info.tile_height, info.tile_width);
                             })
      .def_property_readonly("tiles",
                             [](Plan const& plan) {
                               auto const info = plan.info();
                               return py::make_tuple(info.rows, info.columns);
                             })
      .def_property_readonly("memory", [](Plan const& plan) { return plan.info().memory; })
      .def_property_readonly("macs", [](Plan const& plan) { return plan.info().macs; })
      .def_property_readonly("threads", [](Plan const& plan) { return plan.info().threads; })
      .def("run", &Plan::run, py::arg("input"), py::arg("output"), py::arg("right"), py::arg("strength"),
           py::arg("keep_grain"), py::arg("progress"))
      .def("profile", &Plan::profile, py::arg("runs"));
}
