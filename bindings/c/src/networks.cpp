// Models and plans of each of the library's networks.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <mirnet/model/weight_file.hpp>
#include <mirnet/networks/mirnet/mirnet.hpp>
#include <mirnet/networks/mirnet_v2/mirnet_v2.hpp>
#include <mirnet/runtime/thread_pool.hpp>
#include <mirnet/tensor/memory.hpp>
#include <mirnet/tensor/tensor.hpp>

#include "handles.hpp"
#include "measure/profiler.hpp"
#include "measure/samples.hpp"

namespace mirnet_c {
namespace {

using mirnet::Context;
using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::Model;
using mirnet::ParallelFor;
using mirnet::Result;

/// Without exceptions: null where there is no memory.
template <class T, class... Arguments>
std::unique_ptr<T> make(Arguments&&... arguments) noexcept {
  return std::unique_ptr<T>(new (std::nothrow) T(std::forward<Arguments>(arguments)...));
}

Error no_memory_for(char const* what) noexcept { return Error(ErrorCode::memory, "cannot allocate %s", what); }

/// The caller's scheduler as the library calls one.
ParallelFor parallel_of(mirnet_scheduler const& scheduler) noexcept {
  struct Call {
    ParallelFor::Task task;
    void* arguments;
  };
  auto const run = [](void* self, Index count, ParallelFor::Task task, void* arguments) noexcept {
    auto const& to = *static_cast<mirnet_scheduler const*>(self);
    Call call{task, arguments};
    to.run(
        to.self, count,
        [](void* of_call, int64_t item, int64_t worker) {
          auto const& from = *static_cast<Call const*>(of_call);
          from.task(from.arguments, static_cast<Index>(item), static_cast<Index>(worker));
        },
        &call);
  };
  return {run, const_cast<mirnet_scheduler*>(&scheduler), scheduler.workers};
}

/// The threads of one run: its own, or the caller's.
class Workers {
 public:
  /// Errors: memory.
  static Result<Workers> start(int32_t threads, mirnet_scheduler const& scheduler) noexcept {
    Workers workers;
    if (scheduler.run != nullptr) {
      workers.parallel_ = parallel_of(scheduler);
    } else if (threads > 1) {
      workers.pool_ = make<mirnet::ThreadPool>(threads);
      if (!workers.pool_) return no_memory_for("a pool of threads");
      workers.parallel_ = *workers.pool_;
      workers.parallel_.workers = threads;  // as planned, even if the system gives fewer
    }
    return workers;
  }

  ParallelFor parallel() const noexcept { return parallel_; }

 private:
  std::unique_ptr<mirnet::ThreadPool> pool_;
  ParallelFor parallel_;
};

/// Tells the caller how far a run has come, and stops it if the caller says so.
class Reporter {
 public:
  Reporter(int (*progress)(void* self, double done), void* self, double macs) noexcept
      : progress_(progress), self_(self), all_(macs) {}

  template <class T>
  void report_on(Context<T>& context) noexcept {
    context.stop = &stop_;
    if (progress_ == nullptr) return;
    context.progress = {[](void* self, std::uint64_t macs) noexcept { static_cast<Reporter*>(self)->report(macs); },
                        this};
    // A layer of a large image takes seconds: the caller is asked within it, too.
    parallel_ = context.parallel;
    context.parallel.self = this;
    context.parallel.run = [](void* self, Index count, ParallelFor::Task task, void* arguments) noexcept {
      auto& reporter = *static_cast<Reporter*>(self);
      reporter.parallel_(count, [&](Index item, Index worker) noexcept {
        if (reporter.stopped()) return;  // nobody sees the results
        if (Clock::now().time_since_epoch().count() >= reporter.next_.load(std::memory_order_relaxed)) reporter.ask();
        task(arguments, item, worker);
      });
    };
  }

  /// What a run said when it ended. Two threads may have been done at once, of which one has told nothing: the caller
  /// hears of the end all the same. Errors: those of the run; cancelled.
  Result<void> end(Result<void> const& run) noexcept {
    if (!run || progress_ == nullptr) return run;
    if (!stopped() && (told_ >= 1 || progress_(self_, 1.0) == 0)) return run;
    return Error(ErrorCode::cancelled, "stopped before the image was done");
  }

  bool stopped() const noexcept { return stop_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr auto interval = std::chrono::milliseconds(20);

  void report(std::uint64_t macs) noexcept {
    done_.store(all_ > 0 ? (std::min)(static_cast<double>(macs) / all_, 1.0) : 1.0, std::memory_order_relaxed);
    ask();
  }

  /// Nothing while another thread asks.
  void ask() noexcept {
    if (stopped() || asking_.exchange(true, std::memory_order_acquire)) return;
    told_ = done_.load(std::memory_order_relaxed);
    if (progress_(self_, told_) != 0) stop_.store(true, std::memory_order_relaxed);
    next_.store((Clock::now() + interval).time_since_epoch().count(), std::memory_order_relaxed);
    asking_.store(false, std::memory_order_release);
  }

  std::atomic<bool> stop_ = false, asking_ = false;
  std::atomic<double> done_ = 0;
  std::atomic<Clock::rep> next_ = 0;
  double told_ = 0;  // by whichever thread asks
  ParallelFor parallel_;
  int (*progress_)(void*, double);
  void* self_;
  double all_;
};

template <class Net>
struct Computed {
  using T = typename Net::Scalar;

  Model<Net> model;
  mirnet::KernelTable<T> const* kernels;
  mirnet::Algorithm algorithm;

  Context<T> context(ParallelFor const& parallel) const noexcept {
    Context<T> context(*kernels, parallel);
    context.algorithm = algorithm;
    return context;
  }
};

template <class Net>
class NetworkPlan final : public mirnet_plan {
 public:
  using Tiling = mirnet::Tiling<typename Net::Config>;

  NetworkPlan(Computed<Net> const& computed, PlanRequest const& request, Tiling const& tiling, Index bytes) noexcept
      : computed_(computed), tiling_(tiling), threads_(request.threads), scheduler_(request.scheduler) {
    format = request.format;
    info.tile_width = tiling.x.length();
    info.tile_height = tiling.y.length();
    info.columns = tiling.x.count();
    info.rows = tiling.y.count();
    info.memory = bytes;
    info.macs = tiling.macs();
    info.threads = static_cast<int32_t>(tiling.plan.workers);
    info.at_once = static_cast<int32_t>(tiling.at_once);
  }

  Result<void> run(RunRequest const& request) const noexcept override {
    auto const workers = Workers::start(threads_, scheduler_);
    if (!workers) return workers.error();
    mirnet::Memory own;
    std::span<std::byte> memory(static_cast<std::byte*>(request.memory), request.memory_size);
    if (request.memory == nullptr) {
      auto allocated = mirnet::Memory::allocate(static_cast<Index>(info.memory));
      if (!allocated) return allocated.error();
      own = *std::move(allocated);
      memory = own.bytes();
    }
    auto context = computed_.context(workers->parallel());
    Reporter reporter(request.progress, request.self, static_cast<double>(tiling_.macs()));
    reporter.report_on(context);
    auto const finished = [&](Index y, Index x, Index height, Index width) {
      if (request.finished != nullptr && !reporter.stopped()) request.finished(request.self, x, y, width, height);
    };
    return reporter.end(mirnet::restore_into(computed_.model, request.views, context, tiling_, request.strength, memory,
                                             request.output, finished));
  }

  Result<void> profile(int32_t runs, void (*report)(void* self, mirnet_node const* node),
                       int (*progress)(void* self, double done), void* self) const override {
    using Pixel = typename Model<Net>::Pixel;
    auto const workers = Workers::start(threads_, scheduler_);
    if (!workers) return workers.error();
    auto context = computed_.context(workers->parallel());
    Index const height = tiling_.y.seen(), width = tiling_.x.seen();
    auto const rehearsal = measure::rehearse(computed_.model, context, height, width);
    if (!rehearsal) return rehearsal.error();
    auto const& config = computed_.model.config();
    mirnet::Shape const shape{height, width, Net::channels_in(config)};
    auto image = mirnet::Tensor<Pixel>::create(shape);
    auto output = mirnet::Tensor<Pixel>::create(Net::output_shape(config, shape));
    auto memory = mirnet::Memory::allocate(rehearsal->plan.bytes);
    if (!image) return image.error();
    if (!output) return output.error();
    if (!memory) return memory.error();
    // Times hardly depend on the values, as long as they are not all zero.
    Index value = 0;
    for (Index y = 0; y < height; ++y) {
      for (Index x = 0; x < width; ++x) {
        for (Index c = 0; c < shape.channels; ++c)
          image->view()(y, x, c) = static_cast<Pixel>(++value % 97) / Pixel(97);
      }
    }
    measure::Profiler profiler(rehearsal->pieces, context.parallel.workers);
    context.trace = profiler.trace();
    Reporter reporter(progress, self, static_cast<double>(rehearsal->plan.macs) * runs);
    reporter.report_on(context);
    std::vector<measure::Samples> times(rehearsal->nodes.size());
    for (int32_t i = 0; i < runs; ++i) {
      profiler.start_run();
      auto const done = computed_.model.run(context, rehearsal->plan, memory->bytes(), image->view(), output->view());
      profiler.end_run();
      if (!done) return done;
      double const ms = profiler.clock().nanoseconds_a_tick() * 1e-6;
      for (auto& time : times) time.ms.push_back(0);
      for (auto const& piece : profiler.timeline().pieces) {
        times[static_cast<std::size_t>(piece.node)].ms.back() += static_cast<double>(piece.end - piece.begin) * ms;
      }
    }
    if (auto const ended = reporter.end({}); !ended) return ended;
    for (std::size_t i = 0; i < times.size(); ++i) {
      auto const& record = rehearsal->nodes[i];
      auto const operation = record.operation + record.fused;
      mirnet_node const node{.struct_size = sizeof(mirnet_node),
                             .name = record.name.c_str(),
                             .operation = operation.c_str(),
                             .kernel = record.kernel.c_str(),
                             .input_height = record.input.height,
                             .input_width = record.input.width,
                             .input_channels = record.input.channels,
                             .output_height = record.output.height,
                             .output_width = record.output.width,
                             .output_channels = record.output.channels,
                             .macs = static_cast<uint64_t>(record.macs),
                             .bytes = static_cast<int64_t>(record.bytes),
                             .seconds = times[i].median() * 1e-3};
      report(self, &node);
    }
    return {};
  }

 private:
  Computed<Net> const& computed_;
  Tiling tiling_;
  int32_t threads_;
  mirnet_scheduler scheduler_;
};

template <class Net>
class NetworkModel final : public mirnet_model {
 public:
  NetworkModel(char const* name, Model<Net> model, Computing const& computing) noexcept
      : computed_{std::move(model), computing.set->kernels_of<typename Net::Scalar>(), computing.algorithm} {
    info.network = name;
    info.task = mirnet::name_of(computed_.model.task());
    info.instruction_set = computed_.kernels->isa;
    info.precision = computing.in_bfloat16 ? "bf16" : "fp32";
    info.parameters = computed_.model.parameters();
    info.bytes = computed_.model.bytes();
    info.views = static_cast<int32_t>(Net::channels_in(computed_.model.config()) / 3);
  }

  Result<std::unique_ptr<mirnet_plan>> plan(PlanRequest const& request) const noexcept override {
    ParallelFor parallel;
    parallel.workers = request.scheduler.run != nullptr ? request.scheduler.workers : request.threads;
    auto const context = computed_.context(parallel);
    auto const& model = computed_.model;
    mirnet::ImageView const image = request.format;
    // All views have one format. What a tiling counts and a run here does not take is the result.
    std::optional<mirnet::ImageView> right;
    if (info.views == 2) right = image;
    mirnet::Views const views(image, right);
    constexpr Index no_limit = (std::numeric_limits<Index>::max)();
    Index const result = image.height() * image.row_bytes();  // which can be counted: request_of has seen to that
    Index const most = request.most_memory == 0 ? no_limit : request.most_memory;
    Index const most_with_result = mirnet::checked_sum(most, result).value_or(no_limit);
    auto const tiling = request.tile == 0 ? mirnet::plan_whole(model, context, image)
                                          : mirnet::plan_tiles(model, context, image, request.tile, most_with_result);
    if (!tiling) return tiling.error();
    auto const bytes = mirnet::restoring_bytes(model, views, *tiling);
    if (!bytes) return bytes.error();
    if (*bytes > most) {
      constexpr Index slack = 2 * mirnet::alignment_bytes;  // by which the two ways of counting may differ
      Index const longest = request.tile == 0 ? mirnet::usual_tile : request.tile;
      auto const fits =
          mirnet::longest_tile_within(model, context, image, (std::max<Index>)(most_with_result - slack, 0), longest);
      if (!fits) return fits.error();
      auto const number = [](Index value) { return static_cast<long long>(value); };
      if (*fits == 0) {
        return Error(ErrorCode::memory, "a run needs %lld bytes, most_memory is %lld, and no tile is small enough",
                     number(*bytes), number(most));
      }
      return Error(ErrorCode::memory, "a run needs %lld bytes, most_memory is %lld; expected a tile of at most %lld",
                   number(*bytes), number(most), number(*fits));
    }
    std::unique_ptr<mirnet_plan> made = make<NetworkPlan<Net>>(computed_, request, *tiling, *bytes);
    if (!made) return no_memory_for("a plan");
    return made;
  }

 private:
  Computed<Net> computed_;
};

template <template <class> class Net>
struct LibraryNetwork {
  Index architecture;  // its number in weight files
  char const* name;

  template <class T>
  static Result<std::unique_ptr<mirnet_model>> load(char const* name, mirnet::ByteSource& source,
                                                    Computing const& computing) noexcept {
    auto loaded = Model<Net<T>>::load(source);
    if (!loaded) return loaded.error();
    Index const channels = Net<T>::channels_in(loaded->config());
    Index const made = Net<T>::output_shape(loaded->config(), {1, 1, channels}).channels;
    if (made != 3 || (channels != 3 && channels != 6)) {
      return Error(ErrorCode::model, "the network takes %lld channels and makes %lld; expected 3 or 6, and 3",
                   static_cast<long long>(channels), static_cast<long long>(made));
    }
    std::unique_ptr<mirnet_model> model = make<NetworkModel<Net<T>>>(name, *std::move(loaded), computing);
    if (!model) return no_memory_for("a model");
    return model;
  }
};

constexpr std::tuple networks{LibraryNetwork<mirnet::Mirnet>{1, "MIRNet"},
                              LibraryNetwork<mirnet::MirnetV2>{2, "MIRNet-v2"}};

}  // namespace

Result<std::unique_ptr<mirnet_model>> load_model(mirnet::ByteSource& source, Computing const& computing) noexcept {
  auto const file = mirnet::WeightFile::open(source);
  if (!file) return file.error();
  Index const architecture = file->header().architecture();
  Result<std::unique_ptr<mirnet_model>> model = Error(
      ErrorCode::model, "the weights are for a network with the number %lld; expected 1 (MIRNet) or 2 (MIRNet-v2)",
      static_cast<long long>(architecture));
  auto const try_network = [&](auto const& network) {
    if (network.architecture != architecture) return;
    using Network = std::remove_cvref_t<decltype(network)>;
    model = computing.in_bfloat16 ? Network::template load<mirnet::bfloat16>(network.name, source, computing)
                                  : Network::template load<float>(network.name, source, computing);
  };
  std::apply([&](auto const&... network) { (try_network(network), ...); }, networks);
  return model;
}

}  // namespace mirnet_c
