// mirnet:denoise, an operation for GEGL, and so a filter in GIMP: removes noise from photographs with the MIRNet
// networks. gegl-op.h includes this file again for its properties.
#ifdef GEGL_PROPERTIES

// clang-format off
property_double(strength, "Strength", 1.0)
    description("How much of the noise is removed")
    value_range(0.0, 1.0)
    ui_steps(0.01, 0.1)

property_double(keep_grain, "Keep grain", 0.0)
    description("The share of the grain in the brightness that stays; blotches of colour go")
    value_range(0.0, 1.0)
    ui_steps(0.01, 0.1)

property_file_path(weights, "Weights", "")
    description("A weight file (.mirw) of MIRNet or MIRNet-v2; without one, the weights that come with the operation")
// clang-format on

#else

#define GEGL_OP_FILTER
#define GEGL_OP_NAME denoise
#define GEGL_OP_C_SOURCE mirnet_denoise.cpp  // also names the type, among those of all modules
#include <gegl-op.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <mutex>
#include <string>
#include <utility>

#include "denoiser.hpp"

namespace {

using mirnet_gegl::Denoiser;

/// What `user_data` points to, from the operation's first moment to its last.
struct State {
  Denoiser denoiser;
  std::mutex mutex;
  std::string told;  // the last message, which is not repeated while nothing has changed
};

State& state_of(GeglOperation* operation) { return *static_cast<State*>(GEGL_PROPERTIES(operation)->user_data); }

/// GIMP shows in a dialog what GEGL logs at this level; the program gegl prints it on the standard error.
void tell(State& state, std::string const& message) {
  {
    std::lock_guard const lock(state.mutex);
    if (state.told == message) return;
    state.told = message;
  }
  if (!message.empty()) g_log("GEGL", G_LOG_LEVEL_MESSAGE, "mirnet:denoise: %s", message.c_str());
}

/// How an input is read and in what the result is stored. `read` is sRGB in gray or RGB, with or without alpha.
struct Formats {
  Babl const *read, *stored;
  mirnet::Index channels;
  mirnet::SampleType type;
};

/// Whether the codes of a space are those of sRGB, as far as files say. Many profiles describe sRGB by its primaries
/// and a curve that is nearly its own, and PNGs by the gamma that stands for it, 45455; the program takes these for
/// sRGB, too, but not a profile with a gamma of 2.2. Gray has a curve and no primaries.
bool is_srgb(Babl const* space, bool gray) {
  auto const* const srgb = babl_space("sRGB");
  if (space == nullptr || space == srgb) return true;
  if (babl_space_is_cmyk(space) != 0) return false;
  auto const near = [](auto const& a, auto const& b, double most) {
    return std::equal(a.begin(), a.end(), b.begin(), [&](auto x, auto y) { return std::abs(x - y) <= most; });
  };
  auto const primaries = [](Babl const* of) {
    std::array<double, 8> xy{};
    babl_space_get(of, &xy[0], &xy[1], &xy[2], &xy[3], &xy[4], &xy[5], &xy[6], &xy[7], nullptr, nullptr, nullptr);
    return xy;
  };
  // The linear light of three codes.
  std::array<float, 3> const codes{0.05f, 0.3f, 0.7f};
  auto const curve = [&](Babl const* of) {
    auto light = codes;
    babl_process(babl_fish(babl_format_with_space("Y' float", of), babl_format_with_space("Y float", of)), codes.data(),
                 light.data(), 3);
    return light;
  };
  // The gamma as a PNG says it, and as a profile made of it rounds it: babl has one object for each exponent, which it
  // tells from the 2.2 of a profile.
  auto const png_gamma = [&] {
    std::array<Babl const*, 3> curves{};
    babl_space_get(space, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, &curves[0],
                   &curves[1], &curves[2]);
    return std::all_of(curves.begin(), curves.end(), [](Babl const* of) {
      return of == babl_trc_gamma(1 / 0.45455) || of == babl_trc_gamma(144178 / 65536.0);
    });
  };
  return (near(curve(space), curve(srgb), 5e-4) || png_gamma()) &&
         (gray || near(primaries(space), primaries(srgb), 2e-3));
}

/// Samples of 8 and 16 bits and floats that are encoded as sRGB are read as they are, and the result is of the same
/// kind. GEGL converts everything else, to floats in sRGB and back to the input's space.
Formats formats_of(Babl const* source) {
  if (source == nullptr) source = babl_format("R'G'B'A float");
  auto const flags = babl_get_model_flags(source);
  auto const has = [&](int flag) { return (static_cast<int>(flags) & flag) != 0; };
  bool const gray = has(BABL_MODEL_FLAG_GRAY), alpha = babl_format_has_alpha(source) != 0;
  mirnet::Index const channels = (gray ? 1 : 3) + (alpha ? 1 : 0);
  auto const* const space = babl_format_get_space(source);
  auto const named = [&](bool perceptual, char const* samples, Babl const* in) {
    auto name = std::string(gray ? "Y'" : "R'G'B'") + (alpha ? "A " : " ") + samples;
    if (perceptual) std::replace(name.begin(), name.end(), '\'', '~');
    return babl_format_with_space(name.c_str(), in);
  };
  // In this space, its own encoding (') and the perceptual one (~) are the same.
  bool const encoded = is_srgb(space, gray) && (gray || has(BABL_MODEL_FLAG_RGB)) &&
                       has(BABL_MODEL_FLAG_NONLINEAR | BABL_MODEL_FLAG_PERCEPTUAL) &&
                       !has(BABL_MODEL_FLAG_ASSOCIATED | BABL_MODEL_FLAG_INVERTED) && !babl_format_is_palette(source);
  for (auto const& [samples, type] : {std::pair("u8", mirnet::SampleType::u8),
                                      {"u16", mirnet::SampleType::u16},
                                      {"float", mirnet::SampleType::f32}}) {
    if (!encoded || babl_format_get_type(source, 0) != babl_type(samples)) continue;
    auto const* const format = named(has(BABL_MODEL_FLAG_PERCEPTUAL), samples, space);
    return {format, format, channels, type};
  }
  // A space of CMYK has no R'G'B' of its own.
  auto const* const stored_in = has(BABL_MODEL_FLAG_CMYK) ? nullptr : space;
  return {named(false, "float", nullptr), named(false, "float", stored_in), channels, mirnet::SampleType::f32};
}

GeglRectangle input_bounds(GeglOperation* operation) {
  auto const* const bounds = gegl_operation_source_get_bounding_box(operation, "input");
  return bounds != nullptr ? *bounds : GeglRectangle{0, 0, 0, 0};
}

std::string weights_of(GeglOperation* operation) {
  auto const* const path = GEGL_PROPERTIES(operation)->weights;
  return path != nullptr ? path : "";
}

void prepare(GeglOperation* operation) {
  auto const formats = formats_of(gegl_operation_get_source_format(operation, "input"));
  gegl_operation_set_format(operation, "input", formats.read);
  gegl_operation_set_format(operation, "output", formats.stored);
}

/// Empty where nothing can be restored: GEGL then computes nothing, and saves no file that would look like a result.
GeglRectangle get_bounding_box(GeglOperation* operation) {
  auto& state = state_of(operation);
  auto const bounds = input_bounds(operation);
  constexpr GeglRectangle empty{0, 0, 0, 0};
  if (gegl_rectangle_is_infinite_plane(&bounds)) {
    tell(state, "the input is an infinite plane; expected a picture with edges: crop it first");
    return empty;
  }
  auto const loaded = state.denoiser.load(weights_of(operation));
  tell(state, loaded ? "" : loaded.error().message());
  return loaded ? bounds : empty;
}

// The network averages over all of the picture, so each pixel of the result depends on each of the input.

GeglRectangle get_required_for_output(GeglOperation* operation, gchar const*, GeglRectangle const*) {
  return input_bounds(operation);
}

GeglRectangle get_invalidated_by_change(GeglOperation* operation, gchar const*, GeglRectangle const*) {
  return input_bounds(operation);
}

GeglRectangle get_cached_region(GeglOperation* operation, GeglRectangle const*) { return input_bounds(operation); }

/// GEGL takes progress from its main thread and ignores that of others. GIMP draws its indicator at each call.
struct Progress {
  GeglOperation* operation;
  double told = 0;

  static int report(void* self, double done) noexcept {
    auto& progress = *static_cast<Progress*>(self);
    if (done >= 1 || done < progress.told + 0.005) return 0;  // 0 begins a run and 1 ends it: process() says both
    progress.told = done;
    gegl_operation_progress(progress.operation, done, nullptr);
    return 0;
  }
};

/// Errors: as Denoiser::load and restore.
mirnet::Result<void> denoise(GeglOperation* operation, GeglBuffer* input, GeglBuffer* output,
                             GeglRectangle const& roi) {
  auto& denoiser = state_of(operation).denoiser;
  auto const* const properties = GEGL_PROPERTIES(operation);
  auto const bounds = input_bounds(operation);
  auto const formats = formats_of(gegl_operation_get_source_format(operation, "input"));
  auto picture = mirnet::Image::create(bounds.width, bounds.height, formats.channels, formats.type);
  if (!picture) return picture.error();
  gegl_buffer_get(input, &bounds, 1.0, formats.read, picture->bytes().data(), GEGL_AUTO_ROWSTRIDE, GEGL_ABYSS_NONE);

  auto const loaded = denoiser.load(weights_of(operation));
  if (!loaded) return loaded.error();
  gint threads = 0;
  g_object_get(gegl_config(), "threads", &threads, nullptr);
  Progress progress{operation};
  auto const restored = denoiser.restore(*loaded, *std::move(picture), threads, Progress::report, &progress);
  if (!restored) return restored.error();

  auto result = mirnet::Image::create(roi.width, roi.height, formats.channels, formats.type);
  if (!result) return result.error();
  auto const strength = static_cast<float>(properties->strength);
  auto const grain = static_cast<float>(properties->keep_grain);
  mirnet_gegl::Rectangle const part{roi.x - bounds.x, roi.y - bounds.y, roi.width, roi.height};
  std::atomic<bool> blended = true;
  auto const blend = [&](gsize first, gsize rows) {
    auto const done = (*restored)->blend({strength * (1.0f - grain), strength}, part, *result,
                                         static_cast<mirnet::Index>(first), static_cast<mirnet::Index>(first + rows));
    if (!done) blended = false;
  };
  gegl_parallel_distribute_range(static_cast<gsize>(roi.height), 1.0, blend);
  if (!blended) return mirnet::Error(mirnet::ErrorCode::memory, "cannot allocate memory for a row");
  gegl_buffer_set(output, &roi, 0, formats.read, result->bytes().data(), GEGL_AUTO_ROWSTRIDE);
  return {};
}

/// A failure leaves the result empty, which nobody takes for a restored picture.
gboolean process(GeglOperation* operation, GeglBuffer* input, GeglBuffer* output, GeglRectangle const* roi, gint) {
  gegl_operation_progress(operation, 0.0, nullptr);
  auto const done = denoise(operation, input, output, *roi);
  gegl_operation_progress(operation, 1.0, nullptr);
  tell(state_of(operation), done ? "" : done.error().message());
  if (!done) gegl_buffer_clear(output, roi);
  return done ? TRUE : FALSE;
}

/// GEGL asks for reduced levels only where an application turned them on, as a quick preview. Reducing averages the
/// noise away; what is left is no input that the network has learned.
gboolean process_level(GeglOperation* operation, GeglOperationContext* context, gchar const* output,
                       GeglRectangle const* roi, gint level) {
  if (level > 0) {
    auto* const input = gegl_operation_context_get_object(context, "input");
    gegl_operation_context_take_object(context, output, G_OBJECT(g_object_ref(input)));
    return TRUE;
  }
  return GEGL_OPERATION_CLASS(gegl_op_parent_class)->process(operation, context, output, roi, level);
}

void constructed(GObject* object) {
  G_OBJECT_CLASS(gegl_op_parent_class)->constructed(object);
  GEGL_PROPERTIES(object)->user_data = new State;
}

void finalize(GObject* object) {
  delete static_cast<State*>(GEGL_PROPERTIES(object)->user_data);
  GEGL_PROPERTIES(object)->user_data = nullptr;
  G_OBJECT_CLASS(gegl_op_parent_class)->finalize(object);
}

}  // namespace

static void gegl_op_class_init(GeglOpClass* klass) {
  G_OBJECT_CLASS(klass)->constructed = constructed;
  G_OBJECT_CLASS(klass)->finalize = finalize;
  auto* const operation = GEGL_OPERATION_CLASS(klass);
  operation->prepare = prepare;
  operation->get_bounding_box = get_bounding_box;
  operation->get_required_for_output = get_required_for_output;
  operation->get_invalidated_by_change = get_invalidated_by_change;
  operation->get_cached_region = get_cached_region;
  operation->process = process_level;
  operation->threaded = FALSE;
  GEGL_OPERATION_FILTER_CLASS(klass)->process = process;
  // GIMP 3 reads the keys of its menu; GIMP 2.10 lists the operation in Tools > GEGL Operation.
  // clang-format off
  gegl_operation_class_set_keys(operation,
                                "name", "mirnet:denoise",
                                "title", "Denoise (MIRNet)",
                                "categories", "enhance:noise-reduction",
                                "description", "Remove noise from a photograph with a neural network",
                                "gimp:menu-path", "<Image>/Filters/Enhance",
                                "gimp:menu-label", "_Denoise (MIRNet)...",
                                nullptr);
  // clang-format on
}

#endif
