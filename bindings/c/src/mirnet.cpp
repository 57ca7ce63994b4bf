// The functions of mirnet.h: they check their arguments, and let no exception out.
#include <mirnet.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <span>
#include <type_traits>
#include <utility>

#include <mirnet/io/model_file.hpp>
#include <mirnet/mirnet.hpp>
#include <mirnet/runtime/usable_cores.hpp>

#include "handles.hpp"

#if MIRNET_EXCEPTIONS
#include <exception>
#include <new>
#endif

namespace {

using mirnet::Error;
using mirnet::ErrorCode;
using mirnet::Index;
using mirnet::Result;

long long number(std::int64_t value) noexcept { return static_cast<long long>(value); }

mirnet_status status_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument: return MIRNET_INVALID_ARGUMENT;
    case ErrorCode::model:
    case ErrorCode::input: return MIRNET_MODEL;  // the one input that is read here
    case ErrorCode::memory: return MIRNET_MEMORY;
    case ErrorCode::cancelled: return MIRNET_CANCELLED;
    case ErrorCode::internal:
    case ErrorCode::unmet:
    case ErrorCode::partial:
    case ErrorCode::output: break;
  }
  return MIRNET_INTERNAL;
}

/// The bytes of a text in UTF-8 without its last character if that is cut.
std::size_t whole_characters(char const* text, std::size_t size) noexcept {
  auto const byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  std::size_t last = size - 1;  // where the last character begins
  while (last > size - 4 && (byte(last) & 0xC0) == 0x80) --last;
  std::size_t const bytes = byte(last) >= 0xF0 ? 4 : byte(last) >= 0xE0 ? 3 : byte(last) >= 0xC0 ? 2 : 1;
  return last + bytes > size ? last : size;
}

mirnet_status fail(Error const& error, mirnet_error* to) noexcept {
  auto const status = status_of(error.code());
  if (to == nullptr) return status;
  to->status = status;
  constexpr std::size_t most = sizeof to->message - 1;
  std::size_t size = std::strlen(error.message());
  if (size >= most) size = whole_characters(error.message(), most);
  std::memcpy(to->message, error.message(), size);
  to->message[size] = '\0';
  return status;
}

/// What body() says, which may throw.
template <class Body>
mirnet_status checked(mirnet_error* error, Body&& body) noexcept {
#if MIRNET_EXCEPTIONS
  try {
#endif
    Result<void> const done = body();
    return done ? MIRNET_OK : fail(done.error(), error);
#if MIRNET_EXCEPTIONS
  } catch (std::bad_alloc const&) {
    return fail(Error(ErrorCode::memory, "cannot allocate memory"), error);
  } catch (std::exception const& exception) {
    return fail(Error(ErrorCode::internal, "%s", exception.what()), error);
  } catch (...) {
    return fail(Error(ErrorCode::internal, "an exception of an unknown type"), error);
  }
#endif
}

Error null_argument(char const* name) noexcept { return Error(ErrorCode::invalid_argument, "%s is NULL", name); }

/// Errors: invalid_argument, for a size that no version's structure has.
Result<void> check_size(std::size_t size, char const* name) noexcept {
  if (size >= sizeof(size) && size <= 4096) return {};
  return Error(ErrorCode::invalid_argument, "%s: struct_size is %zu; expected the size of the structure", name, size);
}

/// A structure as this version knows it. A program that was built with an older header gives fewer members, and the
/// others have their defaults; one that was built with a newer header gives more, which have to be zero. Errors:
/// invalid_argument.
template <class Options>
Result<Options> options_of(Options const* given, Options options, char const* name) noexcept {
  static_assert(std::is_trivially_copyable_v<Options>);
  if (given == nullptr) return options;
  if (auto const checked = check_size(given->struct_size, name); !checked) return checked.error();
  auto const* const bytes = reinterpret_cast<unsigned char const*>(given);
  for (std::size_t i = sizeof options; i < given->struct_size; ++i) {
    if (bytes[i] != 0) {
      return Error(ErrorCode::invalid_argument,
                   "%s: a member at byte %zu is set, which version %s does not know; expected zero", name, i,
                   MIRNET_VERSION);
    }
  }
  std::memcpy(&options, given, (std::min)(given->struct_size, sizeof options));
  options.struct_size = sizeof options;
  return options;
}

/// Fills what `to` has. Errors: invalid_argument.
template <class Info>
Result<void> fill(Info const& from, Info* to) noexcept {
  if (to == nullptr) return null_argument("info");
  auto const size = to->struct_size;
  if (auto const checked = check_size(size, "info"); !checked) return checked;
  std::memcpy(to, &from, (std::min)(size, sizeof from));
  to->struct_size = size;
  return {};
}

Result<mirnet_c::Computing> computing_of(mirnet_model_options const* given) noexcept {
  auto const options = options_of(given, mirnet_model_options MIRNET_MODEL_OPTIONS_INIT, "options");
  if (!options) return options.error();
  if (options->precision < MIRNET_PRECISION_AUTO || options->precision > MIRNET_BF16) {
    return Error(ErrorCode::invalid_argument, "precision is %lld; expected 0 to 2", number(options->precision));
  }
  if (options->algorithm < MIRNET_ALGORITHM_AUTO || options->algorithm > MIRNET_DIRECT) {
    return Error(ErrorCode::invalid_argument, "algorithm is %lld; expected 0 or 1", number(options->algorithm));
  }
  std::optional<std::string_view> name;
  if (options->instruction_set != nullptr) name = options->instruction_set;
  auto const set = mirnet::choose_kernel_set(name);
  if (!set) return set.error();
  auto const* const known = mirnet::find_instruction_set((*set)->name);
  bool const multiplies_bfloat16 = known != nullptr && known->pair_products;
  bool const in_bfloat16 =
      options->precision == MIRNET_PRECISION_AUTO ? multiplies_bfloat16 : options->precision == MIRNET_BF16;
  if (in_bfloat16 && (*set)->bfloat16_kernels == nullptr) {
    return Error(ErrorCode::invalid_argument, "the instruction set %s has no kernels of bf16", (*set)->name);
  }
  auto const algorithm = options->algorithm == MIRNET_DIRECT ? mirnet::Algorithm::direct : mirnet::Algorithm::automatic;
  return mirnet_c::Computing{*set, in_bfloat16, algorithm};
}

Result<void> load(mirnet::ByteSource& source, mirnet_model_options const* options, mirnet_model** model) noexcept {
  auto const computing = computing_of(options);
  if (!computing) return computing.error();
  auto loaded = mirnet_c::load_model(source, *computing);
  if (!loaded) return loaded.error();
  *model = loaded->release();
  return {};
}

Result<mirnet::ImageView> view_of(mirnet_format const& format) noexcept {
  if (format.channels < 1 || format.channels > 4) {
    return Error(ErrorCode::invalid_argument, "channels is %lld; expected 1 to 4", number(format.channels));
  }
  mirnet::SampleType type = mirnet::SampleType::f32;
  switch (format.type) {
    case MIRNET_U8: type = mirnet::SampleType::u8; break;
    case MIRNET_U16: type = mirnet::SampleType::u16; break;
    case MIRNET_F32: break;
    default: return Error(ErrorCode::invalid_argument, "type is %lld; expected 0 to 2", number(format.type));
  }
  constexpr std::int64_t longest = (std::numeric_limits<std::int32_t>::max)();
  for (auto const& [name, side] : {std::pair("width", format.width), std::pair("height", format.height)}) {
    if (side < 1 || side > longest) {
      return Error(ErrorCode::invalid_argument, "%s is %lld; expected 1 to %lld", name, number(side), number(longest));
    }
  }
  auto const width = static_cast<Index>(format.width), height = static_cast<Index>(format.height);
  auto const row = mirnet::checked_product(width, format.channels * mirnet::sample_bytes(type));
  if (!row || !mirnet::checked_product(*row, height)) {
    return Error(ErrorCode::memory, "an image of %lld x %lld pixels has more bytes than can be addressed",
                 number(width), number(height));
  }
  return mirnet::ImageView(nullptr, width, height, format.channels, type, *row);
}

Result<mirnet_c::PlanRequest> request_of(mirnet_format const& format, mirnet_plan_options const* given) noexcept {
  auto const options = options_of(given, mirnet_plan_options MIRNET_PLAN_OPTIONS_INIT, "options");
  if (!options) return options.error();
  auto const view = view_of(format);
  if (!view) return view.error();
  mirnet_c::PlanRequest request;
  request.format = *view;
  request.tile = options->tile == MIRNET_WHOLE ? 0 : options->tile == 0 ? mirnet::usual_tile : options->tile;
  if (options->tile != MIRNET_WHOLE && request.tile < mirnet::shortest_tile) {
    return Error(ErrorCode::invalid_argument, "tile is %lld; expected %lld or more, 0 or MIRNET_WHOLE",
                 number(options->tile), number(mirnet::shortest_tile));
  }
  if (options->most_memory < 0) {
    return Error(ErrorCode::invalid_argument, "most_memory is %lld; expected 0 or more", number(options->most_memory));
  }
  constexpr std::int64_t most = (std::numeric_limits<Index>::max)();
  request.most_memory = static_cast<Index>((std::min)(options->most_memory, most));
  constexpr std::int32_t most_workers = 1024;
  if (options->scheduler != nullptr) {
    request.scheduler = *options->scheduler;
    if (request.scheduler.run == nullptr) return null_argument("the scheduler's run");
    if (request.scheduler.workers < 1 || request.scheduler.workers > most_workers) {
      return Error(ErrorCode::invalid_argument, "the scheduler has %lld workers; expected 1 to %lld",
                   number(request.scheduler.workers), number(most_workers));
    }
    return request;
  }
  if (options->threads < 0 || options->threads > most_workers) {
    return Error(ErrorCode::invalid_argument, "threads is %lld; expected 0 to %lld", number(options->threads),
                 number(most_workers));
  }
  request.threads = options->threads > 0
                        ? options->threads
                        : static_cast<std::int32_t>((std::min)(mirnet::usable_cores(), Index{most_workers}));
  return request;
}

/// The caller's samples as an image of the plan's format. Errors: invalid_argument.
template <class Byte, class Sample>
Result<mirnet::BasicImageView<Byte>> image_of(mirnet::ImageView format, Sample* samples, std::ptrdiff_t stride,
                                              char const* name) noexcept {
  if (samples == nullptr) return null_argument(name);
  // No row follows a single one, whatever the stride says.
  if (stride == 0 || format.height() == 1) stride = format.row_bytes();
  Index const size = mirnet::sample_bytes(format.type());
  if (reinterpret_cast<std::uintptr_t>(samples) % static_cast<std::uintptr_t>(size) != 0 || stride % size != 0) {
    return Error(ErrorCode::invalid_argument, "%s: rows do not start at a multiple of %lld bytes, a sample's size",
                 name, number(size));
  }
  // The opposite of the least number is not one.
  if (stride < format.row_bytes() && stride > -format.row_bytes()) {
    return Error(ErrorCode::invalid_argument, "%s: the stride is %lld; expected at least the %lld bytes of a row", name,
                 number(stride), number(format.row_bytes()));
  }
  // Nothing lies so far away.
  constexpr Index largest = (std::numeric_limits<Index>::max)();
  if (stride > largest / format.height() || stride < -(largest / format.height())) {
    return Error(ErrorCode::invalid_argument, "%s: the stride is %lld, which the %lld rows of an image cannot have",
                 name, number(stride), number(format.height()));
  }
  return mirnet::BasicImageView<Byte>(static_cast<Byte*>(samples), format.width(), format.height(), format.channels(),
                                      format.type(), stride);
}

/// Whether two images of one format have a byte in common.
bool overlap(mirnet::ImageView a, mirnet::ImageView b) noexcept {
  auto const first = [](mirnet::ImageView image) {
    auto const top = reinterpret_cast<std::uintptr_t>(image.samples());
    // Addresses wrap, as unsigned numbers do.
    return image.stride() < 0 ? top + static_cast<std::uintptr_t>((image.height() - 1) * image.stride()) : top;
  };
  auto const distance = [](mirnet::ImageView image) {
    return static_cast<std::uintptr_t>(image.stride() < 0 ? -image.stride() : image.stride());
  };
  auto const row = static_cast<std::uintptr_t>(a.row_bytes());
  auto const rows = static_cast<std::uintptr_t>(a.height() - 1);
  auto low = a, high = b;
  if (first(high) < first(low)) std::swap(low, high);
  auto const apart = first(high) - first(low);
  if (apart >= rows * distance(low) + row) return false;
  // Side by side in one larger image: rows of the one between those of the other. All distances from a row of the one
  // to a row of the other differ by multiples of what both strides are multiples of.
  auto const step = std::gcd(distance(low), distance(high)), offset = apart % step;
  return offset < row || offset > step - row;
}

Result<void> run(mirnet_plan const& plan, void const* input, std::ptrdiff_t input_stride, void* output,
                 std::ptrdiff_t output_stride, mirnet_run_options const* given) noexcept {
  auto const options = options_of(given, mirnet_run_options MIRNET_RUN_OPTIONS_INIT, "options");
  if (!options) return options.error();
  auto const left = image_of<std::byte const>(plan.format, input, input_stride, "input");
  if (!left) return left.error();
  auto const to = image_of<std::byte>(plan.format, output, output_stride, "output");
  if (!to) return to.error();
  if (overlap(*left, *to)) return Error(ErrorCode::invalid_argument, "output and input overlap");
  mirnet::Views views(*left);
  if (options->right_view != nullptr) {
    auto const right = image_of<std::byte const>(plan.format, options->right_view, options->right_stride, "right_view");
    if (!right) return right.error();
    if (overlap(*right, *to)) return Error(ErrorCode::invalid_argument, "output and right_view overlap");
    views.right = *right;
  }
  for (auto const& [name, share] :
       {std::pair("strength", options->strength), std::pair("keep_grain", options->keep_grain)}) {
    if (!(share >= 0.0f && share <= 1.0f)) {
      return Error(ErrorCode::invalid_argument, "%s is %g; expected 0 to 1", name, static_cast<double>(share));
    }
  }
  auto const done = plan.run({.views = views,
                              .output = *to,
                              .strength = {options->strength * (1.0f - options->keep_grain), options->strength},
                              .memory = options->memory,
                              .memory_size = options->memory_size,
                              .progress = options->progress,
                              .finished = options->finished,
                              .self = options->self});
  // That there are more or fewer views than the model takes is not the weights' fault.
  if (!done && done.error().code() == ErrorCode::model) {
    return Error(ErrorCode::invalid_argument, "%s", done.error().message());
  }
  return done;
}

}  // namespace

extern "C" {

char const* mirnet_version(void) { return MIRNET_VERSION; }

char const* mirnet_instruction_set(int32_t index) {
  std::int32_t passed = 0;
  for (auto const& set : mirnet::kernel_sets()) {
    if (set.available() && passed++ == index) return set.name;
  }
  return nullptr;
}

mirnet_status mirnet_model_load_file(char const* path, mirnet_model_options const* options, mirnet_model** model,
                                     mirnet_error* error) {
  return checked(error, [&]() -> Result<void> {
    if (model == nullptr) return null_argument("model");
    *model = nullptr;
    if (path == nullptr) return null_argument("path");
    auto file = mirnet::InputFile::open(path, ErrorCode::model);
    if (!file) return file.error();
    mirnet::FileSource source(*std::move(file));
    auto const loaded = load(source, options, model);
    // What is wrong with the options is not the file's.
    if (loaded || loaded.error().code() == ErrorCode::invalid_argument) return loaded;
    return Error(loaded.error().code(), "%s: %s", path, loaded.error().message());
  });
}

mirnet_status mirnet_model_load_memory(void const* bytes, size_t size, mirnet_model_options const* options,
                                       mirnet_model** model, mirnet_error* error) {
  return checked(error, [&]() -> Result<void> {
    if (model == nullptr) return null_argument("model");
    *model = nullptr;
    if (bytes == nullptr) return null_argument("bytes");
    mirnet::MemorySource source({static_cast<std::byte const*>(bytes), size});
    return load(source, options, model);
  });
}

void mirnet_model_free(mirnet_model* model) { delete model; }

mirnet_status mirnet_model_get_info(mirnet_model const* model, mirnet_model_info* info, mirnet_error* error) {
  return checked(error, [&]() -> Result<void> {
    if (model == nullptr) return null_argument("model");
    return fill(model->info, info);
  });
}

mirnet_status mirnet_plan_create(mirnet_model const* model, mirnet_format const* format,
                                 mirnet_plan_options const* options, mirnet_plan** plan, mirnet_error* error) {
  return checked(error, [&]() -> Result<void> {
    if (plan == nullptr) return null_argument("plan");
    *plan = nullptr;
    if (model == nullptr) return null_argument("model");
    if (format == nullptr) return null_argument("format");
    auto const request = request_of(*format, options);
    if (!request) return request.error();
    auto made = model->plan(*request);
    if (!made) return made.error();
    *plan = made->release();
    return {};
  });
}

void mirnet_plan_free(mirnet_plan* plan) { delete plan; }

size_t mirnet_plan_memory(mirnet_plan const* plan) {
  return plan == nullptr ? 0 : static_cast<size_t>(plan->info.memory);
}

mirnet_status mirnet_plan_get_info(mirnet_plan const* plan, mirnet_plan_info* info, mirnet_error* error) {
  return checked(error, [&]() -> Result<void> {
    if (plan == nullptr) return null_argument("plan");
    return fill(plan->info, info);
  });
}

mirnet_status mirnet_run(mirnet_plan const* plan, void const* input, ptrdiff_t input_stride, void* output,
                         ptrdiff_t output_stride, mirnet_run_options const* options, mirnet_error* error) {
  return checked(error, [&]() -> Result<void> {
    if (plan == nullptr) return null_argument("plan");
    return run(*plan, input, input_stride, output, output_stride, options);
  });
}

mirnet_status mirnet_profile(mirnet_plan const* plan, int32_t runs, void (*report)(void* self, mirnet_node const* node),
                             int (*progress)(void* self, double done), void* self, mirnet_error* error) {
  return checked(error, [&]() -> Result<void> {
    if (plan == nullptr) return null_argument("plan");
    if (report == nullptr) return null_argument("report");
    constexpr int32_t most_runs = 1'000'000;
    if (runs < 1 || runs > most_runs) {
      return Error(ErrorCode::invalid_argument, "runs is %lld; expected 1 to %lld", number(runs), number(most_runs));
    }
    return plan->profile(runs, report, progress, self);
  });
}

}  // extern "C"
